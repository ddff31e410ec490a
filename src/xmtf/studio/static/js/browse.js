// Browse: the rows of a task, and every prompt over the row one stands on.
import { ApiError, get, latest, post } from "./api.js";
import { button, byId, debounce, element, field, kept, plural, refill, say, select } from "./dom.js";
import { go, here } from "./place.js";
import { card, fault, prose, tokenizerPairs } from "./rendering.js";
import { RowTable } from "./rows.js";
import { entryOf, languageName, templatesOf } from "./settings.js";

const ALL = "", IN = "language:";

function templateChoices(templates) {
  const languages = [...new Set(templates.map((one) => one.language))];
  const pairs = [[ALL, `all ${templates.length} templates`]];
  if (languages.length > 1) pairs.push(["All in a language", languages.map((language) => [IN + language, `all in ${languageName(language)}`])]);
  for (const language of languages) {
    pairs.push([`${languageName(language)} (${language})`, templates.filter((one) => one.language === language).map((one) => [one.id, one.name])]);
  }
  return pairs;
}

/** The whole row in a dialog, column by column. */
async function showRow(place, index) {
  const { row } = await get("row", { ...place, index });
  const parts = Object.entries(row).flatMap(([name, value]) => [
    element("dt", { text: name }),
    element("dd", {}, prose(typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "")),
  ]);
  const dialog = element("dialog", { class: "wide-dialog", "aria-labelledby": "dialog-title" },
    element("h2", { id: "dialog-title", text: `Row ${index} of ${place.split}` }),
    element("dl", { class: "whole-row dialog-body" }, parts),
    element("div", { class: "dialog-foot" }, button("Close", () => dialog.close(), { class: "primary", autofocus: true })));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export async function open(root, start) {
  const entry = entryOf(start);
  const file = await templatesOf(start.key);
  const byTemplate = new Map(file.templates.map((one) => [one.id, one]));
  const results = element("div", { class: "renderings", id: "renderings", "aria-live": "off" });
  const resultsTitle = element("h2", { text: "Prompts" });
  const count = element("span", { class: "soft", id: "row-count", role: "status" });
  const splits = select([], null, (value) => {
    split = value;
    go({ split, row: 0 }, true);
    load(0);
  }, { id: "split" });
  const search = element("input", { type: "search", id: "row-search", value: start.query ?? "", placeholder: "Search in rows", autocomplete: "off" });
  const jump = element("input", { type: "number", id: "row-jump", min: "0", inputmode: "numeric", placeholder: "row" });
  let split = start.split ?? null;

  const scope = () => ({ key: start.key, task: start.task ?? entry.task, split });
  const askRender = latest((body, signal) => post("render", body, signal));

  async function render() {
    const place = here(), row = Number(place.row ?? 0), wanted = place.template ?? ALL;
    resultsTitle.textContent = `Row ${row.toLocaleString("en")}`;
    results.setAttribute("aria-busy", "true");
    if (!results.childElementCount) results.append(element("p", { class: "soft", text: "Rendering …" }));
    try {
      const one = wanted && !wanted.startsWith(IN) ? wanted : null;
      const found = await askRender({ ...scope(), rows: [row], template: one, draft: null, tokenizer: kept.get("tokenizer") || null });
      if (!found) return;
      const language = wanted.startsWith(IN) ? wanted.slice(IN.length) : null;
      const kept_ = found.renderings.filter((rendering) => !language || byTemplate.get(rendering.template)?.language === language);
      results.replaceChildren(...(found.error ? [fault(found.error)] : []),
        ...kept_.map((rendering) => card(rendering, byTemplate.get(rendering.template), { ...here(), ...scope(), row })));
      if (!kept_.length && !found.error) results.append(element("p", { class: "soft", text: "No template renders this row." }));
    } catch (error) {
      results.replaceChildren(fault(error));
      if (!(error instanceof ApiError)) throw error;
    } finally {
      results.removeAttribute("aria-busy");
    }
  }

  const table = new RowTable({
    load: (offset, limit) => get("rows", { ...scope(), offset, limit, query: search.value }),
    choose: (row) => { go({ row }, true); render(); },
    open: (row) => showRow(scope(), row).catch((error) => say(error.message, "error")),
  });

  async function load(row) {
    let first;
    try {
      first = await table.reset(row);
    } catch (error) {
      table.clear();
      table.draw(true);
      count.textContent = "";
      rowsNotice.replaceChildren(fault(error));
      return;
    }
    if (!first) return;
    split = first.split;
    rowsNotice.replaceChildren(...(first.message ? [element("p", { class: "notice", text: first.message })] : []));
    table.root.hidden = Boolean(first.message) && !first.total;
    count.textContent = first.matched === first.total ? plural(first.total, "row") : `${first.matched.toLocaleString("en")} of ${plural(first.total, "row")}`;
    refill(splits, first.splits.map((name) => [name, name]), split);
    if (first.total && first.matched) {
      const current = first.matched === first.total ? table.at : first.rows[0].index;
      go({ split, row: current }, true);
      await render();
    } else if (first.total) results.replaceChildren(element("p", { class: "soft", text: "No row contains these words." }));
  }

  search.addEventListener("input", debounce(() => { go({ query: search.value || null }, true); load(0); }, 300));
  jump.addEventListener("change", () => {
    if (search.value) { search.value = ""; go({ query: null }, true); load(Number(jump.value)); }
    else table.move(Number(jump.value));
  });
  const rowsNotice = element("div");
  const which = select(templateChoices(file.templates), start.template ?? ALL, (value) => { go({ template: value || null }, true); render(); }, { id: "template" });
  const counted = select(tokenizerPairs(), kept.get("tokenizer") ?? "", (value) => { kept.set("tokenizer", value); render(); }, { id: "tokenizer" });

  root.replaceChildren(
    element("div", { class: "split-page browse" },
      element("section", { class: "pane", "aria-label": "Rows" },
        element("div", { class: "pane-head" },
          element("h2", { text: entry.task ?? entry.key }),
          element("p", { class: "soft", text: [entry.dataset, entry.subset, entry.cluster, entry.language && languageName(entry.language)].filter(Boolean).join(" · ") })),
        element("div", { class: "toolbar" }, field("Split", splits), field("Search", search, { class: "grow" }), field("Go to row", jump, { class: "short" }), count),
        rowsNotice, table.root),
      element("section", { class: "pane", "aria-label": "Prompts of this row" },
        element("div", { class: "toolbar" }, resultsTitle, field("Templates", which, { class: "grow" }), field("Tokenizer", counted)),
        results)));
  await load(Number(start.row ?? 0));
  return {
    update: () => {},
    step: (by) => table.move(table.at + by),
    focus: () => byId("rows").focus(),
    search: () => search.focus(),
    close: () => { table.close(); askRender.stop(); },
  };
}
