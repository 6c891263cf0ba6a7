// The JSON API that programs use as well, and the parts of the page that are made by the server.

/** Calls the API; throws an `Error` whose message a person can read. */
export async function call(method, path, body) {
  const request = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  return read(await send(path, request));
}

/** The same with a form of files. */
export async function call_with_form(method, path, form) {
  return read(await send(path, { method, headers: { Accept: "application/json" }, body: form }));
}

async function send(path, request) {
  try {
    return await fetch(path, request);
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
}

async function read(response) {
  if (response.status === 401) {
    to_the_door();
    throw new Error("log in again");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(reason(answer, response.status));
  return answer;
}

/** To the login, and back here afterwards. */
export function to_the_door() {
  location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
}

function reason({ detail }, status) {
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map((fault) => `${fault.loc.slice(1).join(".")}: ${fault.msg}`).join("; ");
  return `the server answered ${status}`;
}

/** Puts fields of an answer into `{field}` and `{field.of_it}`; of a list its length. */
export function fill(text, answer) {
  return text.replace(/\{([a-z_.]+)\}/g, (whole, path) => {
    const value = path.split(".").reduce((within, field) => within?.[field], answer);
    if (value === undefined || value === null) return whole;
    return String(Array.isArray(value) ? value.length : value);
  });
}

// --- Parts of the page --------------------------------------------------------------------------

let is_held = false;
let is_due = false;

/** Tells the parts of the page that are made by the server to load themselves again. */
export function refresh() {
  if (is_held) is_due = true;
  else document.body.dispatchEvent(new Event("refresh"));
}

/** While held, nothing is made anew under somebody's fingers. */
export function hold(held) {
  is_held = held;
  if (!held && is_due) { is_due = false; refresh(); }
}

/** Loads the card or row around an element again; without one, the parts of the page. */
export function renew(element) {
  const part = element.closest("[data-path]");
  if (part) window.htmx.trigger(part, "stale");
  else refresh();
}
