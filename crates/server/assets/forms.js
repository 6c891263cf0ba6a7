// A form as the JSON that the API takes.

/** The body of a form. `data-body` is where it begins; `data-type` says what a field is when it is not text. */
export function read_form(form, submitter) {
  const body = { ...parsed(form.dataset.body) };
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    if (field.dataset.type === "list") {
      body[field.name] ??= [];
      if (field.checked) body[field.name].push(field.value);
      continue;
    }
    if (field.dataset.type === "audience") { put_audience(body, field.value); continue; }
    const value = read_field(field);
    if (value !== undefined) put(body, field.name, value);
  }
  return { ...body, ...parsed(submitter?.dataset.body) };
}

/** `a.b` is a field within a field. */
function put(body, name, value) {
  const [first, rest] = name.split(".");
  if (rest) (body[first] ??= {})[rest] = value; else body[first] = value;
}

/** A team alone, or everyone. */
function put_audience(body, team) {
  if (team === "") body.is_public = true; else body.team = team;
}

const parsed = (text) => (text ? JSON.parse(text) : {});

/** What a field says; `undefined` leaves it out. */
function read_field(field) {
  const kind = field.dataset.type;
  if (field.type === "checkbox") {
    if (kind === "number") return field.checked ? Number(field.value) : undefined;
    return field.checked;
  }
  const text = field.value.trim();
  switch (kind) {
    case "none": return undefined;
    case "number": return text === "" ? undefined : Number(text);
    case "nullable": return text === "" ? null : text;
    case "nullable-number": return text === "" ? null : Number(text);
    case "mebibytes": return text === "" ? null : Math.round(Number(text) * 1048576);
    case "words": return text.split(",").map((word) => word.trim()).filter(Boolean);
    case "day": return text === "" ? undefined : `${text}T23:59:59Z`;
    case "secret":
    case "optional": return text === "" ? undefined : text;
    default: return field.value;
  }
}
