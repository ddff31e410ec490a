// Keys: what each does, and the help that lists them. Single keys rest while one types, and can be switched off.
import { button, byId, element, kept } from "./dom.js";

const bound = [];
let pending = "";
let timer = 0;

/** Bind a key such as "n", "g b" or "Mod+s" (Mod is Ctrl, on a Mac Command); `when` says where it counts. */
export function bind(key, label, run, { group = "Everywhere", when = () => true } = {}) {
  bound.push({ key, label, run, group, when });
}

function typing(event) {
  const target = event.composedPath()[0];
  return target instanceof Element && (target.closest("input, textarea, select") !== null || target.isContentEditable);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey) return `Mod+${event.key.length === 1 ? event.key.toLowerCase() : event.key}`;
  if (event.altKey) return `Alt+${event.key}`;
  return event.key;
}

function listen(event) {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
  const key = pressed(event);
  const single = !key.includes("+") || key === "+";
  if (single && (typing(event) ? key !== "Escape" : kept.get("keys") === "off" && key.length === 1 && key !== "?")) return;
  const whole = pending ? `${pending} ${key}` : key;
  pending = "";
  const found = bound.find((one) => one.key === whole && one.when());
  if (found) {
    if (found.run(event) !== false) event.preventDefault();
  } else if (single && bound.some((one) => one.key.startsWith(`${whole} `))) {
    pending = whole;
    clearTimeout(timer);
    timer = setTimeout(() => { pending = ""; }, 1500);
    event.preventDefault();
  }
}

const modifier = navigator.platform.startsWith("Mac") ? "⌘ " : "Ctrl ";
const spoken = (part) => part.replace("Mod+", modifier).replace("Arrow", "").replace(/ (.)$/, (_, letter) => ` ${letter.toUpperCase()}`);
const shown = (key) => key.split(" ").flatMap((part, place) => [place ? " then " : null, element("kbd", { text: spoken(part) })].filter(Boolean));

function table(group) {
  const rows = bound.filter((one) => one.group === group).map((one) =>
    element("tr", {}, element("td", {}, ...shown(one.key)), element("td", { text: one.label })));
  return element("section", {}, element("h3", { text: group }), element("table", { class: "keys" }, element("tbody", {}, rows)));
}

/** Open the help: all keys, and the switch for single ones. */
export function help() {
  const box = element("input", { type: "checkbox", checked: kept.get("keys") !== "off" });
  box.addEventListener("change", () => kept.set("keys", box.checked ? "on" : "off"));
  const groups = [...new Set(bound.map((one) => one.group))];
  const dialog = element(
    "dialog", { class: "help", "aria-labelledby": "help-title" },
    element("h2", { id: "help-title", text: "Keys" }),
    element("p", { class: "soft", text: "Everything can also be reached with Tab and Enter. Escape leaves a field or the editor; then single keys count." }),
    element("div", { class: "help-groups" }, groups.map(table)),
    element("div", { class: "dialog-foot" },
      element("label", { class: "check" }, box, "Enable single-key shortcuts"),
      button("Close", () => dialog.close(), { class: "primary", autofocus: true })),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export function start() {
  document.addEventListener("keydown", listen);
  bind("?", "This help", help);
  byId("help").addEventListener("click", help);
}
