// Overview: templates, languages, states of translation and findings of lint, by dataset.
import { get } from "./api.js";
import { chip, element, plural, say } from "./dom.js";
import { address } from "./place.js";
import { app, languageName, stateWord } from "./settings.js";

const order = ["original", "reviewed", "unreviewed", "machine", "fuzzy", "for_person", "rejected"];
const ranked = (states) => Object.entries(states).filter(([, count]) => count).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));

/** A bar of parts; their widths are set on the element, as the content security policy has no inline styles. */
export function stateBar(states) {
  const parts = ranked(states);
  const bar = element("span", { class: "state-bar", "aria-hidden": "true" });
  for (const [state, count] of parts) {
    const part = element("span", { class: `part state-${state}`, title: `${count} ${stateWord(state)}` });
    part.style.flexGrow = String(count);
    bar.append(part);
  }
  return element("span", { class: "states" }, bar,
    element("span", { class: "soft", text: parts.map(([state, count]) => `${count} ${stateWord(state)}`).join(", ") }));
}

function findings(found) {
  if (!found) return element("span", { class: "soft", text: "…" });
  const kinds = [["error", "error", "errors"], ["warning", "warning", "warnings"], ["note", "note", "notes"]];
  const parts = kinds.filter(([kind]) => found[kind]).map(([kind, one, many]) => chip(plural(found[kind], one, many), `finding-${kind}`));
  return parts.length ? element("span", { class: "chips" }, parts) : element("span", { class: "soft", text: "none" });
}

function row(file) {
  const task = file.tasks[0]?.id ?? null;
  const languages = file.languages.filter((one) => one.templates);
  return element("tr", {},
    element("td", { class: "name", data: { label: "dataset" } },
      element("a", { href: address({ page: "browse", key: file.key, task }), text: file.dataset || file.key }),
      element("span", { class: "soft block", text: [file.key !== file.dataset ? file.key : null, file.cluster, file.tasks.length > 1 ? plural(file.tasks.length, "task") : null, file.problem].filter(Boolean).join(" · ") })),
    element("td", { class: "number", data: { label: "templates" } }, element("a", { href: address({ page: "write", key: file.key, task }), text: String(file.templates) })),
    element("td", { data: { label: "languages" } }, element("span", { class: "chips" }, languages.map((one) =>
      element("a", { class: "chip", href: address({ page: "translate", key: file.key, task, language: one.code }), title: `${languageName(one.code)}: ${plural(one.templates, "template")}`, text: `${one.code} ${one.templates}` })))),
    element("td", { data: { label: "states" } }, stateBar(file.states)),
    element("td", { data: { label: "findings" } }, findings(file.findings)));
}

export async function open(root) {
  const body = element("tbody", { id: "overview-rows" });
  const search = element("input", { type: "search", id: "overview-search", "aria-label": "Filter datasets", placeholder: "Filter", autocomplete: "off" });
  let all = app.collection.files;
  const known = new Map();
  /** The row of a file; the existing one while nothing about it changed, so that it keeps the focus. */
  const drawn = (file) => {
    const said = JSON.stringify(file);
    if (known.get(file.key)?.said !== said) known.set(file.key, { said, row: row(file) });
    return known.get(file.key).row;
  };
  const draw = () => {
    const words = search.value.toLowerCase();
    const shown = all.filter((file) => [file.key, file.dataset, file.cluster].join(" ").toLowerCase().includes(words));
    const wanted = shown.map(drawn);
    if (wanted.length !== body.rows.length || wanted.some((one, place) => one !== body.rows[place])) body.replaceChildren(...wanted);
  };
  search.addEventListener("input", draw);
  const languages = new Set(all.flatMap((file) => file.languages.map((one) => one.code)));
  const fact = (value, name) => element("div", {}, element("dt", { text: name }), element("dd", { text: value.toLocaleString("en") }));
  root.replaceChildren(element("div", { class: "page overview" },
    element("h2", { text: "Overview" }),
    element("dl", { class: "facts" }, fact(all.length, "files"), fact(all.reduce((sum, file) => sum + file.templates, 0), "templates"),
      fact(languages.size, "languages"), fact(all.reduce((sum, file) => sum + file.tasks.length, 0), "tasks")),
    element("div", { class: "toolbar" }, search),
    element("div", { class: "wide" }, element("table", { class: "stacked" },
      element("thead", {}, element("tr", {}, ["dataset", "templates", "languages", "states of translation", "findings of lint"].map((text, place) =>
        element("th", { scope: "col", class: place === 1 ? "number" : "", text })))), body))));
  draw();
  const pending = element("span", { class: "soft", id: "overview-pending", role: "status" });
  search.after(pending);
  let open = true;
  /** Ask until lint has looked at every file; the server answers each time with what it has. */
  const look = async () => {
    for (let left = 1; open && left > 0;) {
      const found = await get("overview");
      all = found.entries;
      left = found.pending ?? 0;
      pending.textContent = left ? `lint is still checking ${plural(left, "file")} …` : "";
      if (open) draw();
    }
  };
  look().catch((error) => { if (open) say(error.message, "error"); });
  return { update: () => {}, search: () => search.focus(), focus: () => body.querySelector("a")?.focus(), close: () => { open = false; } };
}
