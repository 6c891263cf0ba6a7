// What every page does in the browser: actions, copying, live state, selection, keys. State changes go through the
// same JSON API that programs use; pages only read.

import { startUploads } from "./upload.js";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- Messages ------------------------------------------------------------------------------

/** Shows a line at the corner; `undo` adds a button that runs it. */
export function toast(text, { bad = false, undo } = {}) {
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  box.setAttribute("role", bad ? "alert" : "status");
  const line = document.createElement("div");
  line.className = "text";
  line.textContent = text;
  box.append(line);
  if (undo) box.append(button("Undo", async () => { box.remove(); await undo(); }));
  box.append(button("Dismiss", () => box.remove()));
  $("#toasts").append(box);
  if (!bad) setTimeout(() => box.remove(), undo ? 12000 : 5000);
}

function button(text, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "quiet";
  element.textContent = text;
  element.addEventListener("click", act);
  return element;
}

/** Asks in a dialog; resolves to whether the answer was yes. */
function ask(text, yes) {
  const dialog = $("#ask");
  $("#ask-text").textContent = text;
  $("#ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// --- The API -------------------------------------------------------------------------------

/** Calls the API; throws an `Error` whose message a person can read. */
export async function call(method, path, body) {
  const request = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
  if (response.status === 401) {
    location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
    throw new Error("log in again");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(reason(answer, response.status));
  return answer;
}

function reason({ detail }, status) {
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map((fault) => `${fault.loc.slice(1).join(".")}: ${fault.msg}`).join("; ");
  return `the server answered ${status}`;
}

/** Tells the parts of the page that are made by the server to load themselves again. */
export function refresh() {
  document.body.dispatchEvent(new Event("refresh"));
}

/** Loads the card or row around an element again; without one, the parts of the page. */
function renew(element) {
  const part = element.closest("[data-path]");
  if (part) window.htmx.trigger(part, "stale");
  else refresh();
}

// --- Actions: data-act="METHOD path" on a button or a form -----------------------------------

async function act(element, body) {
  const { act: what, confirm, done, undo, go } = element.dataset;
  if (confirm && !(await ask(confirm, element.dataset.yes || element.textContent.trim() || "Yes"))) return;
  const [method, path] = what.split(" ");
  const busy = element.matches("form") ? $$("button", element) : [element];
  busy.forEach((each) => { each.disabled = true; });
  try {
    const answer = await call(method, path, body);
    if (answer.status === "restricted") throw new Error(answer.reason);
    if (done) toast(fill(done, answer), { undo: undo && (() => take_back(fill(undo, answer))) });
    element.dispatchEvent(new CustomEvent("acted", { bubbles: true, detail: answer }));
    if (go) location.assign(fill(go, answer)); else renew(element);
  } catch (error) {
    toast(error.message, { bad: true });
  } finally {
    busy.forEach((each) => { each.disabled = false; });
  }
}

async function take_back(what) {
  const [method, path] = what.split(" ");
  try {
    await call(method, path);
    toast("Taken back.");
  } catch (error) {
    toast(error.message, { bad: true });
  }
  refresh();
}

/** Puts fields of an answer into `{field}`. */
function fill(text, answer) {
  return text.replace(/\{([a-z_]+)\}/g, (whole, field) => (field in answer ? String(answer[field]) : whole));
}

/** A form as JSON; `data-type` says what a field is when it is not text. An empty optional field is left out. */
function read_form(form) {
  const body = form.dataset.body ? JSON.parse(form.dataset.body) : {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    const value = read_field(field);
    if (value !== undefined) body[field.name] = value;
  }
  return body;
}

function read_field(field) {
  if (field.type === "checkbox") return field.checked;
  const text = field.value.trim();
  switch (field.dataset.type) {
    case "number": return text === "" ? (field.dataset.empty === "null" ? null : undefined) : Number(text);
    case "mebibytes": return text === "" ? null : Math.round(Number(text) * 1048576);
    case "words": return text.split(",").map((word) => word.trim()).filter(Boolean);
    case "secret": return text === "" ? undefined : text;
    case "optional": return text === "" ? undefined : text;
    default: return field.value;
  }
}

document.addEventListener("click", async (event) => {
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
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.act) return;
  event.preventDefault();
  await act(form, read_form(form));
});

// A catalog file goes to the import as it is.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.fileAct) return;
  event.preventDefault();
  const body = new FormData();
  body.append("file", form.elements.file.files[0]);
  try {
    const response = await fetch(`/api/admin/${form.elements.into.value}/import`, { method: "POST", body });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(reason(answer, response.status));
    toast(`${answer.total_added} added, ${answer.skipped.length} skipped.`);
    for (const fault of answer.errors.slice(0, 3)) toast(`${fault.file || `entry ${fault.index}`}: ${fault.message}`, { bad: true });
  } catch (error) {
    toast(error.message, { bad: true });
  }
});

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https the clipboard is closed; a selected field works everywhere.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast("Copied.");
}

// --- Live state: one event stream for the page -----------------------------------------------

let known = new Map();

function listen() {
  const source = new EventSource("/api/admin/models/status");
  source.addEventListener("message", (event) => show_live(JSON.parse(event.data).downloads));
}

function show_live(downloads) {
  const jobs = Object.values(downloads);
  const active = jobs.filter((job) => job.status === "queued" || job.status === "downloading");
  $("#downloads-count").textContent = active.length || "";
  let changed = false;
  for (const job of jobs) {
    const is_news = known.has(job.id) ? known.get(job.id) !== job.state : known.size > 0;
    changed ||= is_news;
    for (const element of $$(`[data-job="${CSS.escape(job.id)}"]`)) {
      // What was rendered may be older than the stream: then it is made anew until both say the same.
      changed ||= element.dataset.state !== job.state;
      paint(element, job);
    }
    for (const element of $$(`[data-path="${CSS.escape(path_of(job))}"]`)) {
      if (is_news) window.htmx.trigger(element, "stale"); else paint(element, job);
    }
  }
  changed ||= [...known.keys()].some((id) => !jobs.some((job) => job.id === id));
  known = new Map(jobs.map((job) => [job.id, job.state]));
  if (known.size === 0) known.set("", "");
  if (changed) refresh();
}

const path_of = (job) => (job.dest ? `${job.dest}/${job.file}` : job.file);

function paint(element, job) {
  const bar = $("progress", element);
  if (bar && job.percent !== null) { bar.hidden = job.status !== "downloading"; bar.value = job.percent; }
  put(element, "bytes", job.bytes_total ? `${bytes(job.bytes)} of ${bytes(job.bytes_total)}` : bytes(job.bytes));
  put(element, "speed", job.speed >= 1 ? `${bytes(job.speed)}/s` : "");
  put(element, "left", job.eta_seconds ? `${span(job.eta_seconds)} left` : "");
  put(element, "percent", job.percent === null ? "" : `${Math.floor(job.percent)} %`);
  put(element, "connections", job.connections ? `${job.connections} connections` : "");
}

function put(element, name, text) {
  const place = $(`[data-live="${name}"]`, element);
  if (place) place.textContent = text;
}

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return `${count.toFixed(unit === 0 || count >= 100 ? 0 : 1)} ${units[unit]}`;
}

function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.ceil((seconds % 3600) / 60)} min`;
}

// --- Selection and what is done to it ---------------------------------------------------------

function picked() {
  return $$(".pick:checked");
}

function show_picked() {
  const boxes = picked();
  for (const box of $$(".pick")) box.closest(".card, tr").classList.toggle("selected", box.checked);
  const bar = $("#bulk");
  if (!bar) return;
  bar.hidden = boxes.length === 0;
  $("#bulk-count").textContent = boxes.length === 1 ? "1 selected" : `${boxes.length} selected`;
}

document.addEventListener("change", (event) => {
  if (event.target.matches(".pick")) show_picked();
});

document.addEventListener("click", async (event) => {
  const actor = event.target.closest("[data-bulk]");
  if (!actor) return;
  const boxes = picked();
  const bulk = {
    download: (all) => call("POST", "/api/admin/models/download-batch", { filenames: all.map((box) => box.dataset.file) })
      .then((answer) => toast(`${answer.queued.length} queued, ${answer.skipped.length} skipped.`)),
    verify: (all) => call("POST", "/api/admin/verify", { filenames: all.map((box) => box.value) })
      .then(() => toast("Verification runs; the activity page shows how it ends.")),
    delete: (all) => delete_all(all),
    tag: (all) => tag_all(all),
    none: async () => {},
  }[actor.dataset.bulk];
  try {
    if ((await bulk(boxes)) === false) return;
    boxes.forEach((box) => { box.checked = false; });
    show_picked();
    if (actor.dataset.bulk !== "none") boxes.forEach(renew);
  } catch (error) {
    toast(error.message, { bad: true });
  }
});

async function delete_all(boxes) {
  if (!(await ask(`Move ${boxes.length === 1 ? "this file" : `these ${boxes.length} files`} to the bin?`, "Move to bin"))) return false;
  const restored = [];
  for (const box of boxes) {
    const answer = await call("DELETE", `/api/admin/models/${encodeURIComponent(box.dataset.file)}?dest=${encodeURIComponent(box.dataset.dest)}`);
    if (answer.bin_id) restored.push(answer.bin_id);
  }
  toast(`${restored.length} in the bin.`, {
    undo: async () => {
      for (const id of restored) await call("POST", `/api/admin/bin/${id}/restore`);
      toast("Restored.");
      boxes.forEach(renew);
    },
  });
  return true;
}

async function tag_all(boxes) {
  const dialog = $("#tag-dialog");
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const tags = $("#tag-words").value.split(",").map((tag) => tag.trim()).filter(Boolean);
  if (dialog.returnValue !== "yes" || tags.length === 0) return false;
  await call("PATCH", "/api/admin/entries", { ids: boxes.map((box) => box.dataset.id), add_tags: tags });
  toast("Tagged.");
  return true;
}

// --- Keys ------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) {
    if (event.key === "Escape" && event.target.matches("#q")) event.target.blur();
    return;
  }
  const keys = { "/": () => $("#q"), ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => step(in_row()), ArrowUp: () => step(-in_row()) };
  if (event.key === "?") { $("#keys").showModal(); event.preventDefault(); return; }
  if (event.key === "x") { toggle_pick(); return; }
  const target = keys[event.key]?.();
  if (target) { target.focus(); target.select?.(); event.preventDefault(); }
});

const names = () => $$(".card .name, .rows .name");

function step(by) {
  const all = names();
  const here = all.indexOf(document.activeElement);
  if (all.length === 0 || (here < 0 && Math.abs(by) > 1)) return null;
  return all[here < 0 ? 0 : Math.min(Math.max(here + by, 0), all.length - 1)];
}

/** How many cards stand in one row. */
function in_row() {
  const cards = $$(".card");
  if (cards.length === 0) return 1;
  const top = cards[0].offsetTop;
  const next = cards.findIndex((card) => card.offsetTop !== top);
  return next < 0 ? cards.length : next;
}

function toggle_pick() {
  const box = $(".pick", document.activeElement?.closest(".card, tr") ?? document.createElement("i"));
  if (box) box.click();
}

// --- The frame ---------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  if (event.target.closest("#menu-toggle")) {
    const open = $(".side").classList.toggle("open");
    $("#menu-toggle").setAttribute("aria-expanded", String(open));
  }
  if (event.target.closest("#theme")) {
    const light = getComputedStyle(document.documentElement).colorScheme === "light";
    const theme = light ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }
  if (event.target.closest("#logout")) {
    call("POST", "/api/auth/logout").catch(() => {}).finally(() => location.assign("/login"));
  }
});

// On a phone the filters would push everything else away.
if (matchMedia("(max-width: 900px)").matches) $("#facets-box")?.removeAttribute("open");

// A part that cannot be loaded says so, and sends people without a session to the door.
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
  else toast("This part of the page could not be loaded.", { bad: true });
});
document.addEventListener("htmx:sendError", () => toast("The server does not answer; is it still running?", { bad: true }));
document.addEventListener("htmx:afterSwap", show_picked);

// Pictures that are gone leave an empty place, not a broken sign.
document.addEventListener("error", (event) => { if (event.target.matches?.("img")) event.target.hidden = true; }, true);

if (document.body.dataset.live === "on") listen();
startUploads();
