// Live state: one event stream for the page, and parts that are made anew when something changed.

import { refresh, to_the_door } from "./api.js";
import { $, $$ } from "./dom.js";
import { toast } from "./messages.js";
import { bytes, span } from "./text.js";

const STREAM = "/api/admin/models/status";
let stream = null;
let known = new Map();

/** Follows the stream while the page is seen: a browser has six connections for all of its tabs. */
export function start_live() {
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => { stream?.close(); stream = null; });
  addEventListener("pageshow", follow);
  follow();
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) to_the_door();
    else toast("This part of the page could not be loaded.", { bad: true });
  });
  document.addEventListener("htmx:sendError", () => toast("The server does not answer; is it still running?", { bad: true }));
  keep_focus();
}

function follow() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (!stream) {
    stream = new EventSource(STREAM);
    stream.addEventListener("message", (event) => show(JSON.parse(event.data).downloads));
  }
}

function show(downloads) {
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
  changed ||= [...known.keys()].some((id) => id && !jobs.some((job) => job.id === id));
  known = new Map(jobs.map((job) => [job.id, job.state]));
  // So that the first job of all is news, too.
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
  paint_segments($(".segments", element), job.segments ?? []);
}

function put(element, name, text) {
  const place = $(`[data-live="${name}"]`, element);
  if (place) place.textContent = text;
}

/** Which parts of the file are here, from its beginning to its end. */
function paint_segments(picture, segments) {
  if (!picture) return;
  picture.toggleAttribute("hidden", segments.length === 0);
  while (picture.childElementCount < segments.length) {
    const part = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of [["x", picture.childElementCount], ["width", 1], ["height", 1]]) part.setAttribute(name, value);
    picture.append(part);
  }
  segments.forEach((percent, index) => picture.children[index].setAttribute("fill-opacity", percent / 100));
}

/** What had the focus has it again when the server made the part around it anew. */
function keep_focus() {
  let wanted = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const focused = document.activeElement;
    if (!event.detail.target.contains(focused)) return;
    const { focus, act } = focused.dataset;
    if (focus) wanted = `[data-focus="${CSS.escape(focus)}"]`;
    else if (act) wanted = `[data-act="${CSS.escape(act)}"]`;
  });
  document.addEventListener("htmx:afterSettle", () => {
    const again = wanted && $(wanted);
    wanted = null;
    if (again && document.activeElement === document.body) again.focus({ preventScroll: true });
  });
}
