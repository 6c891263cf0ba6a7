// What the page tells and asks: a line at the corner, a question in a dialog.

import { $ } from "./dom.js";

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
export function ask(text, yes) {
  $("#ask-text").textContent = text;
  $("#ask-yes").textContent = yes;
  return answer_of($("#ask"));
}

/** Opens a dialog; resolves to whether its answer was yes. */
export function answer_of(dialog) {
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
