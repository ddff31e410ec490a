// Elements, made by hand. Texts reach the page through textContent alone, so nothing in them can become markup.

/** Make an element: `class`, `text`, `data`, `on` and attributes in `properties`; children that are null are left out. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "value") made.value = value;
    else if (name === "checked") made.checked = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "on") for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A field with its label above it. */
export function field(label, control, properties = {}) {
  const { class: more = "", ...others } = properties;
  return element("label", { class: `field ${more}`, ...others }, element("span", { text: label }), control);
}

export function button(text, run, properties = {}) {
  return element("button", { type: "button", text, on: { click: run }, ...properties });
}

/** A select of [value, label] pairs; a pair whose label is a list of pairs is a group. */
export function select(pairs, value, change, properties = {}) {
  const made = element("select", { on: { change: () => change(made.value) }, ...properties });
  refill(made, pairs, value);
  return made;
}

const option = ([name, label]) => element("option", { value: name, text: label });
const filled = new WeakMap();

/** Give a select other pairs; it stays the same element, so whoever chooses by keys is not thrown out of it. */
export function refill(control, pairs, value) {
  const wanted = JSON.stringify(pairs);
  if (filled.get(control) !== wanted) {
    control.replaceChildren(...pairs.map((pair) =>
      (Array.isArray(pair[1]) ? element("optgroup", { label: pair[0] }, pair[1].map(option)) : option(pair))));
    filled.set(control, wanted);
  }
  if (value !== null && value !== undefined) control.value = value;
  if (control.selectedIndex < 0) control.selectedIndex = 0;
}

export const chip = (text, kind = "", title = null) => element("span", { class: `chip ${kind}`, text, title });

export const plural = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** Call `run` when `wait` milliseconds passed without another call. */
export function debounce(run, wait) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), wait);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** Say something for a while; errors stay until the next message. */
export function say(message, kind = "note") {
  const status = byId("status");
  status.className = `status ${kind}`;
  status.setAttribute("role", kind === "error" ? "alert" : "status");
  status.textContent = message;
  clearTimeout(say.timer);
  if (kind !== "error") say.timer = setTimeout(() => { status.textContent = ""; }, 5000);
}

/** What the page remembers of a person between visits. */
export const kept = {
  get(name) { try { return localStorage.getItem(`xmtf-studio-${name}`); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`xmtf-studio-${name}`, value); } catch { /* no storage: not remembered */ } },
};
