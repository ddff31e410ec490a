// The list of tasks next to every page, by cluster, language or dataset.
import { button, byId, element, kept, plural, select } from "./dom.js";
import { address, here } from "./place.js";
import { app, entryOf, languageName } from "./settings.js";

const groupings = {
  cluster: (entry) => [entry.cluster || "no cluster"],
  language: (entry) => [entry.language ? `${languageName(entry.language)} (${entry.language})` : "no language"],
  dataset: (entry) => [entry.dataset || entry.key],
};

const OPEN_ALL = 30;

const title = (entry) => entry.task || (entry.subset && !entry.key.endsWith(entry.subset) ? `${entry.key} ${entry.subset}` : entry.key);

function link(entry, place, current) {
  const target = address({ page: place.page === "overview" ? "browse" : place.page, key: entry.key, task: entry.task, language: place.page === "translate" ? place.language : null });
  return element("li", {},
    element("a", { href: target, class: entry.here === false ? "away" : null, title: entry.here === false ? "its rows are not on this machine" : null, "aria-current": entry === current ? "true" : null, on: { click: close } },
      element("span", { class: "name", text: title(entry) }),
      element("span", { class: "count", text: String(entry.templates), title: plural(entry.templates, "template") })));
}

function close() {
  byId("tasks").classList.remove("open");
  byId("tasks-toggle")?.setAttribute("aria-expanded", "false");
}

function groups(filter, by) {
  const wanted = filter.trim().toLowerCase();
  const found = new Map();
  for (const entry of app.collection.entries) {
    const words = [title(entry), entry.key, entry.dataset, entry.cluster, entry.language, languageName(entry.language || "")].join(" ").toLowerCase();
    if (!wanted.split(/\s+/).every((word) => words.includes(word))) continue;
    for (const name of groupings[by](entry)) {
      if (!found.has(name)) found.set(name, []);
      found.get(name).push(entry);
    }
  }
  return [...found].sort(([a], [b]) => a.localeCompare(b));
}

/** A group that makes its links when it is opened: there may be thousands. */
function group(name, entries, open, makeLink) {
  const links = element("ul");
  const fill = () => { if (!links.childElementCount) links.append(...entries.map(makeLink)); };
  if (open) fill();
  return element("details", { open, on: { toggle: fill } },
    element("summary", {}, element("span", { text: name }), element("span", { class: "count", text: String(entries.length) })), links);
}

/** Draw the list. */
export function drawTasks() {
  const panel = byId("tasks");
  const list = element("div", { class: "task-groups" });
  const search = element("input", { type: "search", id: "task-search", placeholder: "Filter", "aria-label": "Filter tasks", autocomplete: "off" });
  let by = kept.get("group") ?? "cluster";
  const fill = () => {
    const place = here(), current = entryOf(place);
    const parts = groups(search.value, by);
    const many = app.collection.entries.length > OPEN_ALL && !search.value;
    list.replaceChildren(...parts.map(([name, entries]) => group(name, entries, !many || entries.includes(current), (entry) => link(entry, place, current))));
    if (!parts.length) list.append(element("p", { class: "soft", text: "No task matches." }));
  };
  search.addEventListener("input", fill);
  const grouped = select([["cluster", "by cluster"], ["language", "by language"], ["dataset", "by dataset"]], by, (value) => {
    by = value;
    kept.set("group", value);
    fill();
  }, { "aria-label": "Group tasks", id: "task-group" });
  const toggle = button("Tasks", () => {
    toggle.setAttribute("aria-expanded", String(panel.classList.toggle("open")));
  }, { id: "tasks-toggle", "aria-expanded": "false", "aria-controls": "tasks-body" });
  const current = element("span", { class: "current", id: "tasks-current" });
  panel.replaceChildren(
    element("div", { class: "tasks-bar" }, toggle, current),
    element("div", { class: "tasks-body", id: "tasks-body" }, element("div", { class: "tasks-tools" }, search, grouped), list));
  panel.refresh = () => {
    const entry = entryOf(here());
    current.textContent = entry ? title(entry) : "";
    fill();
    const marked = list.querySelector("[aria-current]");
    if (marked) list.scrollTop = Math.max(marked.offsetTop - list.offsetTop - list.clientHeight / 3, 0);
  };
  panel.refresh();
}

/** Let the list follow the address. */
export const followTasks = () => byId("tasks").refresh?.();
