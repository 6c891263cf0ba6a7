// What every page does in the browser: the frame, and the start of everything else.

import { start_actions } from "./actions.js";
import { call } from "./api.js";
import { $ } from "./dom.js";
import { start_library } from "./library.js";
import { start_live } from "./live.js";
import { start_queue } from "./queue.js";
import { start_uploads } from "./upload.js";

document.addEventListener("click", (event) => {
  if (event.target.closest("#menu-toggle")) toggle_menu();
  if (event.target.closest("#theme")) toggle_theme();
  if (event.target.closest("#logout")) {
    call("POST", "/api/auth/logout").catch(() => {}).finally(() => location.assign("/login"));
  }
});

function toggle_menu() {
  const open = $(".side").classList.toggle("open");
  $("#menu-toggle").setAttribute("aria-expanded", String(open));
}

function toggle_theme() {
  const root = document.documentElement;
  const is_light = root.dataset.theme ? root.dataset.theme === "light" : matchMedia("(prefers-color-scheme: light)").matches;
  root.dataset.theme = is_light ? "dark" : "light";
  localStorage.setItem("theme", root.dataset.theme);
}

// Pictures that are gone leave an empty place, not a broken sign.
document.addEventListener("error", (event) => { if (event.target.matches?.("img")) event.target.hidden = true; }, true);

start_actions();
start_library();
start_queue();
start_uploads();
start_live();
