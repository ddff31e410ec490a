// What the page does beyond standing there: the theme switch, sorting, and the browser of items.
// Text from data reaches the page through textContent alone, so nothing in it can become markup.
"use strict";

const xmtf = { index: [], sets: new Map(), waiting: new Map() };

// Item sets call this, from inside the page or from files next to it.
function xmtfItems(name, payload) {
  if (name === "index") { xmtf.index = payload; return; }
  xmtf.sets.set(name, payload);
}

const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// --- theme ---------------------------------------------------------------------------------------

function startTheme() {
  const button = byId("theme"), names = ["auto", "light", "dark"];
  const remembered = () => { try { return localStorage.getItem("xmtf-theme"); } catch { return null; } };
  const set = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    try { localStorage.setItem("xmtf-theme", name); } catch { /* a page from a file may have no storage */ }
  };
  let place = Math.max(0, names.indexOf(remembered()));
  set(names[place]);
  button.hidden = false;
  button.addEventListener("click", () => { place = (place + 1) % names.length; set(names[place]); });
}

// --- tables --------------------------------------------------------------------------------------

const number = (text) => parseFloat(text.replace(/,/g, "").replace("\u2212", "-"));

function compareCells(a, b) {
  const x = number(a), y = number(b);
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? -1 : 1;
  return a.localeCompare(b);
}

function sortBy(head) {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  const sign = order === "ascending" ? 1 : -1;
  const key = (row) => row.cells[column].textContent;
  const rows = [...body.rows].sort((a, b) => sign * compareCells(key(a), key(b)));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  body.append(...rows);
}

function startTables() {
  for (const head of document.querySelectorAll("table[data-sortable] th")) {
    const button = element("button", { type: "button", textContent: head.textContent });
    button.addEventListener("click", () => sortBy(head));
    head.replaceChildren(button);
  }
}

// --- items ---------------------------------------------------------------------------------------

const PAGE = 20;
const FIELDS = [
  ["dataset", "Dataset"], ["suite", "Suite"], ["language", "Language"], ["outcome", "Outcome"],
  ["template", "Template"], ["prompt", "Prompt's language"], ["task", "Task"], ["cluster", "Cluster"],
];
const TRANSLATIONS = { none: "", human: ", human-translated", machine: ", machine-translated" };
const browser = { filters: {}, page: 0, found: [] };

const promptName = (job) => job.prompt_language + (TRANSLATIONS[job.translation] ?? "");
const family = (job) => job.task.split("/")[0];

function jobValue(job, dataset, field) {
  if (field === "dataset") return dataset;
  if (field === "prompt") return promptName(job);
  if (field === "task") return family(job);
  return job[field];
}

function outcomes(labels) {
  const found = [];
  labels.forEach((label, place) => {
    found.push([`right-${place}`, `right: ${label}`], [`wrong-${place}`, `wrong: ${label}`]);
  });
  if (labels.length === 2) found.push(["gained", `wrong, then right`], ["lost", `right, then wrong`]);
  if (labels.length > 1) found.push(["differ", "models disagree"]);
  found.push(["noted", "not judged"]);
  return found;
}

function hasOutcome(item, outcome) {
  const verdicts = item.answers.map((answer) => (answer ? answer.correct : undefined));
  const [kind, place] = outcome.split("-");
  if (kind === "right") return verdicts[place] === true;
  if (kind === "wrong") return verdicts[place] === false;
  if (kind === "gained") return verdicts[0] === false && verdicts[1] === true;
  if (kind === "lost") return verdicts[0] === true && verdicts[1] === false;
  if (kind === "differ") return verdicts.includes(true) && verdicts.includes(false);
  return item.answers.some((answer) => answer && answer.correct === undefined);
}

function textOf(item) {
  const answers = item.answers.map((answer) => (answer ? answer.text : "") ?? "");
  return [item.prompt, ...(item.choices ?? []), ...(item.references ?? []), ...answers].join("\n").toLowerCase();
}

// Fetching is not allowed in a page from a file; a script element is.
function load(entry) {
  if (xmtf.sets.has(entry.dataset) || !entry.file) return Promise.resolve();
  if (!xmtf.waiting.has(entry.dataset)) {
    xmtf.waiting.set(entry.dataset, new Promise((resolve, reject) => {
      const script = element("script", { src: `items/${encodeURIComponent(entry.file)}` });
      script.onload = resolve;
      script.onerror = () => {
        xmtf.waiting.delete(entry.dataset);
        reject(new Error(`items/${entry.file} is missing: keep the folder items next to this page`));
      };
      document.head.append(script);
    }));
  }
  return xmtf.waiting.get(entry.dataset);
}

function wantedSets() {
  const { dataset, suite } = browser.filters;
  return xmtf.index.filter((entry) =>
    (!dataset || entry.dataset === dataset) && (!suite || entry.suites.includes(suite)));
}

function keeps(job, dataset) {
  return FIELDS.every(([field]) => field === "outcome" || !browser.filters[field]
    || jobValue(job, dataset, field) === browser.filters[field]);
}

function* chosen(sets) {
  const words = (browser.filters.search ?? "").toLowerCase().trim();
  for (const { dataset } of sets) {
    const set = xmtf.sets.get(dataset);
    if (!set) continue;
    const kept = set.jobs.map((job) => keeps(job, dataset));
    for (const item of set.items) {
      if (!kept[item.job]) continue;
      if (browser.filters.outcome && !hasOutcome(item, browser.filters.outcome)) continue;
      if (words && !textOf(item).includes(words)) continue;
      yield { item, job: set.jobs[item.job], labels: set.labels };
    }
  }
}

async function refresh() {
  const status = byId("item-status"), sets = wantedSets(), asked = JSON.stringify(browser.filters);
  status.textContent = "Loading ...";
  try {
    await Promise.all(sets.map(load));
  } catch (error) {
    status.textContent = error.message;
    return;
  }
  if (asked !== JSON.stringify(browser.filters)) return; // a later choice is under way
  browser.found = [...chosen(sets)];
  browser.page = 0;
  fillChoices();
  showPage();
}

function showPage() {
  const pages = Math.max(1, Math.ceil(browser.found.length / PAGE)), first = browser.page * PAGE;
  const shown = browser.found.slice(first, first + PAGE);
  byId("item-list").replaceChildren(...shown.map(showItem));
  byId("item-status").textContent = browser.found.length
    ? `${first + 1}\u2013${first + shown.length} of ${browser.found.length.toLocaleString("en")} item${browser.found.length === 1 ? "" : "s"}`
    : "No item matches these filters.";
  byId("item-pager").hidden = pages < 2;
  byId("item-page").textContent = `page ${browser.page + 1} of ${pages}`;
  byId("item-back").disabled = browser.page === 0;
  byId("item-next").disabled = browser.page + 1 >= pages;
}

function showItem({ item, job, labels }) {
  const chip = (text, kind = "") => element("span", { className: `chip ${kind}`, textContent: text });
  const verdicts = labels.map((label, place) => {
    const answer = item.answers[place];
    if (!answer || answer.correct === undefined) return null;
    return chip(`${answer.correct ? "\u2713" : "\u2717"} ${label} ${answer.correct ? "right" : "wrong"}`, answer.correct ? "right" : "wrong");
  });
  const head = element("div", { className: "chips" }, ...verdicts, chip(job.suite), chip(`${job.task} [${job.split}] ${item.row}`),
    chip(job.template), chip(`prompt: ${promptName(job)}`), chip(`answer: ${job.language}`),
    item.truncated ? chip("prompt truncated to the model's length") : null);
  const body = item.choices ? showChoices(item, labels) : showTexts(item, labels);
  return element("li", { className: "card" }, head, foreign("pre", item.prompt), ...body, ...notes(item, labels));
}

const foreign = (tag, text) => element(tag, { dir: "auto", textContent: text });

function notes(item, labels) {
  return labels.map((label, place) => {
    const note = item.answers[place]?.note;
    return note ? element("p", { className: "soft", textContent: `${label}: ${note}` }) : null;
  });
}

function showChoices(item, labels) {
  const head = element("tr", {}, element("th", { scope: "col", textContent: "choice" }),
    ...labels.map((label) => element("th", { scope: "col", className: "number", textContent: label })));
  const rows = item.choices.map((choice, place) => {
    const gold = place === item.gold;
    const name = foreign("td", choice);
    if (gold) name.append(element("span", { className: "soft", textContent: "  (gold)" }));
    return element("tr", { className: gold ? "gold" : "" }, name, ...item.answers.map((answer) => scoreCell(answer, place)));
  });
  return [element("div", { className: "wide" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)))];
}

function scoreCell(answer, place) {
  const score = answer?.scores?.[place], picked = answer?.choice === place;
  const text = score == null ? "-" : `${score.toFixed(2)} (${answer.tokens?.[place] ?? "?"})`;
  return element("td", { className: picked ? "number pick" : "number", textContent: picked ? `\u25b8 ${text}` : text });
}

function showTexts(item, labels) {
  const parts = labels.flatMap((label, place) => {
    const answer = item.answers[place];
    if (!answer) return [];
    return [element("div", { className: "label", textContent: label }), foreign("pre", answer.text || "(nothing)")];
  });
  if (item.references) {
    parts.push(element("div", { className: "label", textContent: "expected" }), foreign("pre", item.references.join(" / ")));
  }
  return parts;
}

// The choices of a field are the values that items have under the other filters.
function fillChoices() {
  for (const [field] of FIELDS) {
    const select = byId(`filter-${field}`), current = browser.filters[field] ?? "";
    const options = [["", field === "dataset" ? "all datasets" : "any"], ...choicesOf(field)];
    if (current && !options.some(([value]) => value === current)) options.push([current, current]);
    select.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text })));
    select.value = current;
  }
}

function choicesOf(field) {
  if (field === "dataset") return xmtf.index.map((entry) => [entry.dataset, `${entry.dataset} (${entry.shown.toLocaleString("en")})`]);
  if (field === "suite") return [...new Set(xmtf.index.flatMap((entry) => entry.suites))].map((suite) => [suite, suite]);
  const sets = wantedSets().map((entry) => [entry.dataset, xmtf.sets.get(entry.dataset)]).filter(([, set]) => set);
  if (field === "outcome") return outcomes(sets[0]?.[1].labels ?? []);
  const values = sets.flatMap(([dataset, set]) => set.jobs.map((job) => jobValue(job, dataset, field)));
  return [...new Set(values)].sort().map((value) => [value, value]);
}

function setFilters(filters) {
  browser.filters = Object.fromEntries(Object.entries(filters).filter(([, value]) => value));
  byId("filter-search").value = browser.filters.search ?? "";
  const query = new URLSearchParams(browser.filters).toString();
  try { history.replaceState(null, "", query ? `#items?${query}` : "#items"); } catch { /* some viewers forbid it */ }
  return refresh();
}

// Links such as #items?suite=held-out+rows&language=fr choose filters.
function followHash(scroll) {
  const [place, query] = location.hash.slice(1).split("?");
  if (place !== "items" || query === undefined) return false;
  setFilters(Object.fromEntries(new URLSearchParams(query)));
  if (scroll) byId("items").scrollIntoView();
  return true;
}

function startItems() {
  const form = byId("item-filters");
  for (const [field, name] of FIELDS) {
    const select = element("select", { id: `filter-${field}` });
    select.addEventListener("change", () => setFilters({ ...browser.filters, [field]: select.value }));
    form.append(element("label", {}, name, select));
  }
  const search = element("input", { id: "filter-search", type: "search", placeholder: "in prompts and answers" });
  let timer = 0;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => setFilters({ ...browser.filters, search: search.value }), 200);
  });
  const reset = element("button", { type: "button", id: "filter-reset", textContent: "Clear filters" });
  reset.addEventListener("click", () => setFilters({}));
  form.append(element("label", { className: "search" }, "Search", search), element("label", {}, "\u00a0", reset));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  byId("item-back").addEventListener("click", () => turn(-1));
  byId("item-next").addEventListener("click", () => turn(1));
  window.addEventListener("hashchange", () => followHash(true));
  if (!followHash(true)) { browser.filters = { dataset: xmtf.index[0].dataset }; refresh(); }
}

function turn(by) {
  browser.page += by;
  showPage();
  byId("item-status").scrollIntoView({ block: "start" });
}

startTheme();
startTables();
document.addEventListener("DOMContentLoaded", () => { if (byId("items")) startItems(); });
