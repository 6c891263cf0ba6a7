// The library: what is selected and what is done to it, the keys, filters that are kept in this browser.

import { call, renew } from "./api.js";
import { $, $$ } from "./dom.js";
import { answer_of, ask, toast } from "./messages.js";

export function start_library() {
  document.addEventListener("change", (event) => { if (event.target.matches(".pick")) show_picked(); });
  document.addEventListener("htmx:afterSwap", show_picked);
  document.addEventListener("click", on_click);
  document.addEventListener("keydown", on_key);
  // On a phone the filters would push everything else away.
  if (matchMedia("(max-width: 900px)").matches) $("#facets-box")?.removeAttribute("open");
  show_kept();
}

function on_click(event) {
  const actor = event.target.closest("[data-bulk]");
  if (actor) act_on_picked(actor.dataset.bulk);
  if (event.target.closest("[data-keep-filter]")) keep_filter();
}

// --- Selection ----------------------------------------------------------------------------------

const picked = () => $$(".pick:checked");

function show_picked() {
  const boxes = picked();
  for (const box of $$(".pick")) box.closest(".card, tr").classList.toggle("selected", box.checked);
  const bar = $("#bulk");
  if (!bar) return;
  bar.hidden = boxes.length === 0;
  $("#bulk-count").textContent = boxes.length === 1 ? "1 selected" : `${boxes.length} selected`;
}

const BULK = {
  download: async (boxes) => {
    const answer = await call("POST", "/api/admin/models/download-batch", { filenames: boxes.map((box) => box.dataset.file) });
    toast(`${answer.queued.length} queued, ${answer.skipped.length} skipped.`);
    return true;
  },
  verify: async (boxes) => {
    await call("POST", "/api/admin/verify", { filenames: boxes.map((box) => box.value) });
    toast("Verification runs; the activity page shows how it ends.");
    return true;
  },
  delete: delete_all,
  tag: tag_all,
  none: async () => true,
};

async function act_on_picked(what) {
  const boxes = picked();
  try {
    if (!(await BULK[what](boxes))) return;
    boxes.forEach((box) => { box.checked = false; });
    show_picked();
    if (what !== "none") boxes.forEach(renew);
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

async function delete_all(boxes) {
  const what = boxes.length === 1 ? "this file" : `these ${boxes.length} files`;
  if (!(await ask(`Move ${what} to the bin?`, "Move to bin"))) return false;
  const binned = [];
  for (const box of boxes) {
    const { file, dest } = box.dataset;
    const answer = await call("DELETE", `/api/admin/models/${encodeURIComponent(file)}?dest=${encodeURIComponent(dest)}`);
    if (answer.bin_id) binned.push(answer.bin_id);
  }
  const undo = async () => {
    for (const id of binned) await call("POST", `/api/admin/bin/${id}/restore`);
    toast("Restored.");
    boxes.forEach(renew);
  };
  toast(`${binned.length} in the bin.`, binned.length > 0 ? { undo } : {});
  return true;
}

async function tag_all(boxes) {
  const field = $("#tag-words");
  field.value = "";
  if (!(await answer_of($("#tag-dialog")))) return false;
  const tags = field.value.split(",").map((tag) => tag.trim()).filter(Boolean);
  if (tags.length === 0) return false;
  await call("PATCH", "/api/admin/entries", { ids: boxes.map((box) => box.dataset.id), add_tags: tags });
  toast("Tagged.");
  return true;
}

// --- Kept filters -------------------------------------------------------------------------------

const PLACE = "filters";

/** Names and addresses, in the order in which they were kept. */
function kept() {
  try {
    const list = JSON.parse(localStorage.getItem(PLACE)) ?? [];
    return list.filter((filter) => typeof filter.name === "string" && /^\/\?/.test(filter.address));
  } catch {
    return [];
  }
}

function keep(list) {
  localStorage.setItem(PLACE, JSON.stringify(list));
  show_kept();
}

async function keep_filter() {
  const field = $("#filter-name");
  field.value = $("#q").value.trim();
  if (!(await answer_of($("#filter-dialog"))) || field.value.trim() === "") return;
  const filter = { name: field.value.trim(), address: location.pathname + location.search };
  keep([...kept().filter(({ name }) => name !== filter.name), filter]);
}

function show_kept() {
  const place = $("#kept");
  if (!place) return;
  place.replaceChildren(...kept().map(chip));
  place.hidden = place.childElementCount === 0;
}

function chip({ name, address }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = address;
  link.textContent = name;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Forget the filter ${name}`);
  remove.addEventListener("click", () => keep(kept().filter((filter) => filter.name !== name)));
  item.append(link, remove);
  return item;
}

// --- Keys ---------------------------------------------------------------------------------------

function on_key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) {
    if (event.key === "Escape" && event.target.matches("#q")) event.target.blur();
    return;
  }
  if (event.defaultPrevented || $("dialog[open]")) return;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: in_row(), ArrowUp: -in_row() };
  if (event.key === "?") { $("#keys").showModal(); event.preventDefault(); return; }
  if (event.key === "x") { toggle_pick(); return; }
  const target = event.key === "/" ? $("#q") : event.key in steps ? step(steps[event.key]) : null;
  if (target) { target.focus(); target.select?.(); event.preventDefault(); }
}

function step(by) {
  const all = $$(".card .name, .rows .name");
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
  const around = document.activeElement?.closest(".card, tr");
  if (around) $(".pick", around)?.click();
}
