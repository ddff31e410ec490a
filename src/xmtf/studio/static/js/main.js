// Starts the studio: pages, keys, and the way from an address to what it shows.
import * as browse from "./browse.js";
import { byId, element, say } from "./dom.js";
import * as keys from "./keys.js";
import * as overview from "./overview.js";
import { address, go, here } from "./place.js";
import { fault } from "./rendering.js";
import { app, entryOf, loadCollection } from "./settings.js";
import { drawTasks, followTasks } from "./tasks.js";
import * as translate from "./translate.js";
import * as trial from "./try.js";
import * as write from "./write.js";

const pages = {
  browse: { name: "Browse", key: "b", module: browse },
  write: { name: "Write", key: "w", module: write },
  translate: { name: "Translate", key: "t", module: translate },
  try: { name: "Try", key: "y", module: trial },
  overview: { name: "Overview", key: "o", module: overview },
};

let shown = { page: null, key: null, task: null, view: null };
let turn = 0;

/** The place to go to on a page, with what of this place holds there too. */
function onPage(page) {
  const { key, task, split, row, template, language } = here();
  const one = template && !template.startsWith("language:") ? template : null;
  return address({ page, key, task, split, row, template: page === "overview" ? null : one, language: page === "translate" ? language : null });
}

function drawPages() {
  const { page } = here();
  byId("pages").replaceChildren(...Object.entries(pages).map(([name, { name: text, key }]) =>
    element("a", { href: onPage(name), text, "aria-current": name === page ? "page" : null, "aria-keyshortcuts": `g ${key}` })));
  document.title = `${pages[page]?.name ?? "Studio"} · ${app.collection.name} · xmtf studio`;
}

async function follow() {
  const place = here();
  const entry = entryOf(place);
  if (!(place.page in pages)) { go({ page: "browse" }, true); await follow(); return; }
  if (!entry) { byId("main").replaceChildren(element("p", { class: "notice", text: `No templates in ${app.collection.root}.` })); return; }
  if (place.page !== "overview" && (place.key !== entry.key || (place.task ?? null) !== entry.task)) {
    go({ key: entry.key, task: entry.task }, true);
    await follow();
    return;
  }
  drawPages();
  followTasks();
  document.body.dataset.page = place.page;
  if (shown.page === place.page && shown.key === place.key && shown.task === place.task) { shown.view?.update(place); return; }
  const mine = ++turn;
  shown.view?.close();
  shown = { page: place.page, key: place.key, task: place.task, view: null };
  const root = element("div", { class: "view" });
  byId("main").replaceChildren(root);
  byId("main").setAttribute("aria-busy", "true");
  try {
    const view = await pages[place.page].module.open(root, place);
    if (mine !== turn) { view.close(); return; }
    shown.view = view;
  } catch (error) {
    root.replaceChildren(fault(error));
  } finally {
    if (mine === turn) byId("main").removeAttribute("aria-busy");
  }
}

const on = (...names) => () => names.includes(here().page) && shown.view !== null;
const call = (name, ...values) => () => shown.view?.[name]?.(...values);

function bindKeys() {
  for (const [name, { name: text, key }] of Object.entries(pages)) keys.bind(`g ${key}`, text, () => { location.hash = onPage(name); });
  keys.bind("/", "Search", () => (shown.view?.search ? shown.view.search() : byId("task-search").focus()));
  keys.bind("T", "Filter the tasks", () => { byId("tasks").classList.add("open"); byId("task-search").focus(); });
  keys.bind("m", "Go to the page: its rows, its editor", () => (shown.view?.focus ? shown.view.focus() : byId("main").focus()));
  keys.bind("Escape", "Leave a field or the editor", () => { document.activeElement?.blur(); byId("main").focus({ preventScroll: true }); });
  keys.bind("n", "Next row, template or prompt", call("step", 1), { when: on("browse", "write", "translate", "try") });
  keys.bind("p", "Previous row, template or prompt", call("step", -1), { when: on("browse", "write", "translate", "try") });
  // Keys with a meaning inside the table or the editor alone; named here, so that the help is whole.
  const inside = (key, label, group) => keys.bind(key, label, () => {}, { group, when: () => false });
  inside("ArrowDown", "Next row; also Page Down, Home, End", "Browse");
  inside("Enter", "Show the whole row", "Browse");
  const writing = { group: "Write", when: on("write") };
  keys.bind("e", "Focus the editor", call("edit"), writing);
  keys.bind("Mod+s", "Save", call("save"), writing);
  keys.bind("c", "New template", call("create"), writing);
  keys.bind("d", "Show changes to the file", call("changes"), writing);
  inside("Mod+z", "Undo, in the editor", "Write");
  inside("Mod+Space", "Complete columns and filters, in the editor", "Write");
  inside("F8", "Go to the next finding, in the editor", "Write");
  const reviewing = { group: "Translate", when: on("translate") };
  keys.bind("a", "Accept and go to the next", call("accept"), reviewing);
  keys.bind("Mod+Enter", "Accept, from inside the editor", call("accept"), reviewing);
  keys.bind("e", "Edit the translation", call("edit"), reviewing);
  keys.bind("Mod+s", "Save the edit", call("save"), reviewing);
  keys.bind("x", "Reject", call("reject"), reviewing);
  keys.bind("s", "Suggest with the engine", call("suggest"), reviewing);
  keys.bind("o", "Start with a copy of the original", call("copy"), reviewing);
  const trying = { group: "Try", when: on("try") };
  keys.bind("Mod+Enter", "Ask the model", call("run"), trying);
  keys.bind("x", "Stop it", call("stop"), trying);
}

async function start() {
  try {
    await loadCollection();
  } catch (error) {
    byId("main").replaceChildren(fault(error));
    return;
  }
  byId("collection-name").textContent = app.collection.name;
  byId("collection-name").title = app.collection.root;
  byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
  if (!location.hash) history.replaceState(null, "", address({ page: "browse" }));
  drawTasks();
  keys.start();
  bindKeys();
  addEventListener("hashchange", () => follow().catch((error) => say(error.message, "error")));
  await follow();
}

start();
