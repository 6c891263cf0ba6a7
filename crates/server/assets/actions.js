// What buttons and forms do: `data-act="METHOD path"`, copying, importing, dialogs. Whatever changes something is a call
// of the API.

import { call, call_with_form, fill, refresh, renew } from "./api.js";
import { $, $$ } from "./dom.js";
import { read_form } from "./forms.js";
import { ask, toast } from "./messages.js";

/** Listens to the whole page, so that parts that come later act as well. */
export function start_actions() {
  document.addEventListener("click", on_click);
  document.addEventListener("submit", on_submit);
}

async function on_click(event) {
  const actor = event.target.closest("button[data-act]");
  if (actor) {
    event.preventDefault();
    await act(actor, actor.dataset.body ? JSON.parse(actor.dataset.body) : undefined);
    return;
  }
  const copier = event.target.closest("[data-copy]");
  if (copier) await copy(copier.dataset.copy);
  const opener = event.target.closest("[data-open]");
  if (opener) $(opener.dataset.open).showModal();
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog").close();
}

async function on_submit(event) {
  const form = event.target;
  if (form.dataset.act) {
    event.preventDefault();
    await act(form, read_form(form, event.submitter));
  } else if (form.dataset.upload) {
    event.preventDefault();
    await upload(form);
  } else if (form.hasAttribute("data-import")) {
    event.preventDefault();
    await import_catalog(form);
  }
}

/**
 * Calls what `data-act` names. Around it: `data-confirm` asks first; `data-done` is said afterwards, with `data-undo` to
 * take it back; `data-then` is called next; `data-reveal` shows the answer in a dialog; `data-go` leads on.
 */
async function act(element, body) {
  const { act: what, confirm, done, undo, go, then, reveal: dialog } = element.dataset;
  if (confirm && !(await ask(confirm, element.dataset.yes || element.textContent.trim() || "Yes"))) return;
  const busy = (element.matches("form") ? $$("button", element) : [element]).filter((each) => !each.disabled);
  busy.forEach((each) => { each.disabled = true; });
  try {
    const answer = await call(...what.split(" "), body);
    if (answer.status === "restricted") throw new Error(answer.reason);
    if (done) toast(fill(done, answer), { undo: undo && (() => take_back(fill(undo, answer))) });
    if (then) await follow(fill(then, answer), element.dataset.thenBody);
    if (dialog) reveal($(dialog), answer);
    if (element.hasAttribute("data-reset")) element.reset();
    if (go) location.assign(fill(go, answer)); else renew(element);
  } catch (error) {
    toast(error.message, { bad: true });
  } finally {
    busy.forEach((each) => { each.disabled = false; });
  }
}

/** A call that follows another; one that lacks what it is about is left out. */
async function follow(what, body) {
  if (what.includes("{")) return;
  await call(...what.split(" "), body ? JSON.parse(body) : undefined);
}

async function take_back(what) {
  try {
    await call(...what.split(" "));
    toast("Taken back.");
  } catch (error) {
    toast(error.message, { bad: true });
  }
  refresh();
}

/** Shows fields of an answer in a dialog, and forgets them when it is closed. */
function reveal(dialog, answer) {
  const places = $$("[data-field]", dialog);
  const put = (text_of) => {
    for (const place of places) {
      const text = text_of(place.dataset.field);
      if (place.matches("button")) place.dataset.copy = text; else place.textContent = text;
    }
  };
  put((field) => answer[field] ?? "");
  dialog.showModal();
  dialog.addEventListener("close", () => put(() => ""), { once: true });
}

/** A form with a small file, as it is. */
async function upload(form) {
  try {
    const answer = await call_with_form(...form.dataset.upload.split(" "), new FormData(form));
    toast(fill(form.dataset.done, answer));
    form.reset();
    refresh();
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

/** A catalog file goes to the import as it is. */
async function import_catalog(form) {
  const body = new FormData();
  body.append("file", form.elements.file.files[0]);
  try {
    const answer = await call_with_form("POST", `/api/admin/${form.elements.into.value}/import`, body);
    toast(`${answer.total_added} added, ${answer.skipped.length} skipped.`);
    for (const fault of answer.errors.slice(0, 3)) toast(`${fault.file || `entry ${fault.index}`}: ${fault.message}`, { bad: true });
    form.reset();
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https the clipboard is closed; a selected field works everywhere, within a dialog when one is open.
    const field = document.createElement("textarea");
    field.value = text;
    ($("dialog[open]") ?? document.body).append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast("Copied.");
}
