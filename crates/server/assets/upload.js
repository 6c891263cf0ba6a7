// Uploads by tus 1.0 (https://tus.io/protocols/resumable-upload): pieces that the server has keep counting when the
// page, the network or the server goes away. The address of an unfinished upload is kept in this browser.

import { refresh } from "./api.js";
import { toast } from "./messages.js";
import { bytes } from "./text.js";

const PIECE = 16 * 1024 * 1024;
const HEADERS = { "Tus-Resumable": "1.0.0" };

/** Makes the drop zone of the page work, when it has one. */
export function start_uploads() {
  const drop = document.querySelector("#drop");
  if (!drop) return;
  const picker = drop.querySelector("input[type=file]");
  picker.addEventListener("change", () => { send_all(picker.files); picker.value = ""; });
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    send_all(event.dataTransfer.files);
  });
}

async function send_all(files) {
  const kind = document.querySelector("#entity-type").value;
  for (const file of files) await send(file, kind);
  refresh();
}

/** Sends one file, with a row that shows how far it is. */
async function send(file, kind) {
  const row = show_row(file);
  const key = `upload:${file.name}:${file.size}:${file.lastModified}:${kind}`;
  try {
    let place = localStorage.getItem(key);
    let offset = place ? await offset_of(place) : null;
    if (offset === null) {
      place = await create(file, kind);
      localStorage.setItem(key, place);
      offset = 0;
    }
    offset = await send_pieces(file, place, offset, row);
    const result = await result_of(place);
    localStorage.removeItem(key);
    row.done(result);
  } catch (error) {
    row.failed(error.message);
    if (error.isFinal) localStorage.removeItem(key);
  }
}

async function offset_of(place) {
  const response = await fetch(place, { method: "HEAD", headers: HEADERS });
  return response.ok ? Number(response.headers.get("Upload-Offset")) : null;
}

async function create(file, kind) {
  const metadata = { filename: file.name, entity_type: kind };
  const response = await fetch("/api/admin/uploads", {
    method: "POST",
    headers: {
      ...HEADERS,
      "Upload-Length": String(file.size),
      "Upload-Metadata": Object.entries(metadata).map(([name, value]) => `${name} ${base64(value)}`).join(","),
    },
  });
  if (!response.ok) throw await fault(response);
  return new URL(response.headers.get("Location"), location.href).pathname;
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

async function send_pieces(file, place, start, row) {
  let offset = start;
  let failures = 0;
  row.at(offset);
  while (offset < file.size) {
    try {
      const response = await fetch(place, {
        method: "PATCH",
        headers: { ...HEADERS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" },
        body: file.slice(offset, offset + PIECE),
      });
      if (response.status === 409) { offset = await offset_of(place) ?? 0; continue; }
      if (!response.ok) throw await fault(response);
      offset = Number(response.headers.get("Upload-Offset"));
      failures = 0;
      row.at(offset);
    } catch (error) {
      failures += 1;
      if (error.isFinal || failures > 5) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** failures));
      offset = await offset_of(place).catch(() => null) ?? offset;
    }
  }
  return offset;
}

async function result_of(place) {
  const response = await fetch(place, { headers: { Accept: "application/json" } });
  return response.ok ? response.json() : {};
}

async function fault(response) {
  const answer = await response.json().catch(() => ({}));
  const detail = typeof answer.detail === "string" ? answer.detail : `the server answered ${response.status}`;
  const error = new Error(detail);
  error.isFinal = response.status >= 400 && response.status < 500;
  return error;
}

function show_row(file) {
  const row = document.querySelector("#upload-row").content.firstElementChild.cloneNode(true);
  row.querySelector(".name").textContent = file.name;
  document.querySelector("#uploads").prepend(row);
  const bar = row.querySelector("progress");
  const text = row.querySelector(".text");
  return {
    at(offset) {
      bar.value = file.size ? (100 * offset) / file.size : 100;
      text.textContent = `${bytes(offset)} of ${bytes(file.size)}`;
    },
    done(result) {
      bar.hidden = true;
      text.textContent = result.partial_path ? `Stored as ${result.partial_path}.` : "Stored.";
      toast(`${file.name} is stored.`);
    },
    failed(reason) {
      bar.hidden = true;
      text.textContent = reason;
      row.classList.add("failed");
      toast(`${file.name}: ${reason}`, { bad: true });
    },
  };
}
