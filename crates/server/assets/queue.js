// The order of the queue: dragged by its grip with mouse, pen or finger, or moved with the arrow keys on it.

import { call, hold, refresh } from "./api.js";
import { $, $$ } from "./dom.js";
import { toast } from "./messages.js";

/** So close to the edge of the window, in pixels, it scrolls. */
const EDGE = 60;

export function start_queue() {
  document.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest("[data-grip]");
    if (grip && event.button === 0) drag(grip, event);
  });
  document.addEventListener("keydown", (event) => {
    const grip = event.target.closest("[data-grip]");
    if (grip) move_by_key(grip, event);
  });
}

const waiting = () => $$(".job[data-waiting]");

/** Follows the pointer until it is let go; the others stay where they are, a line shows where it would go. */
function drag(grip, down) {
  down.preventDefault();
  grip.focus();
  grip.setPointerCapture(down.pointerId);
  hold(true);
  const job = grip.closest(".job");
  job.classList.add("dragging");
  let place = null;
  const start = down.clientY + scrollY;
  const move = (event) => {
    if (event.clientY < EDGE) scrollBy(0, -12);
    if (event.clientY > innerHeight - EDGE) scrollBy(0, 12);
    job.style.translate = `0 ${event.clientY + scrollY - start}px`;
    place = place_at(event.clientY, job);
    mark(place);
  };
  const end = async (event) => {
    grip.removeEventListener("pointermove", move);
    job.classList.remove("dragging");
    job.style.translate = "";
    mark(null);
    if (event.type === "pointerup" && place) await put(job, place);
    hold(false);
  };
  grip.addEventListener("pointermove", move);
  for (const type of ["pointerup", "pointercancel"]) grip.addEventListener(type, end, { once: true });
}

/** Beside which other job that height is. */
function place_at(height, job) {
  const others = waiting().filter((other) => other !== job);
  const below = others.find((other) => {
    const { top, bottom } = other.getBoundingClientRect();
    return height < (top + bottom) / 2;
  });
  if (below) return { before: below };
  return others.length > 0 ? { after: others.at(-1) } : null;
}

function mark(place) {
  for (const job of waiting()) {
    job.classList.toggle("drop-before", place?.before === job);
    job.classList.toggle("drop-after", place?.after === job);
  }
}

async function move_by_key(grip, event) {
  const job = grip.closest(".job");
  const jobs = waiting();
  const here = jobs.indexOf(job);
  const target = { ArrowUp: here - 1, ArrowDown: here + 1, Home: 0, End: jobs.length - 1 }[event.key];
  if (target === undefined) return;
  event.preventDefault();
  if (target < 0 || target >= jobs.length || target === here) return;
  await put(job, target < here ? { before: jobs[target] } : { after: jobs[target] });
  toast(`Place ${target + 1} of ${jobs.length}.`);
}

async function put(job, { before, after }) {
  const body = before ? { before: before.dataset.job } : { after: after.dataset.job };
  // Where it already is.
  const neighbour = before ? before.previousElementSibling : after.nextElementSibling;
  if (neighbour === job) return;
  try {
    await call("POST", `/api/admin/downloads/${job.dataset.job}/move`, body);
  } catch (error) {
    toast(error.message, { bad: true });
  }
  refresh();
}
