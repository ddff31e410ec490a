// What all pages share: the collection as the server described it, files of templates, drafts not saved yet.
import { get } from "./api.js";

export const app = { collection: null, files: new Map(), drafts: new Map() };

/** An entry for each task that reads a file of templates, or one for the file where none does. */
function places(file) {
  if (!file.tasks.length) return [file];
  return file.tasks.map(({ id, subset, cluster, language, dataset, here }) => ({ ...file, task: id, subset, cluster, language, dataset, here }));
}

export async function loadCollection() {
  const found = await get("collection");
  app.collection = { ...found, files: found.entries, entries: found.entries.flatMap(places) };
  return app.collection;
}

/** The file of templates of a key, as last read; `again` reads it from the server. */
export async function templatesOf(key, again = false) {
  if (again || !app.files.has(key)) app.files.set(key, await get("templates", { key }));
  return app.files.get(key);
}

export const entryOf = ({ key, task }) =>
  app.collection.entries.find((entry) => entry.key === key && (entry.task ?? "") === (task ?? "")) ??
  app.collection.entries.find((entry) => entry.key === key) ??
  app.collection.entries.find((entry) => entry.here) ?? app.collection.entries[0] ?? null;

const code = (tag) => tag.replace("_", "-");
const names = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
const rightToLeft = new Set(["ar", "arc", "ckb", "dv", "fa", "glk", "he", "ks", "ku-Arab", "mzn", "nqo", "pnb", "ps", "sd", "syr", "ug", "ur", "yi"]);

function known(language) {
  for (const entry of app.collection?.entries ?? []) {
    const found = entry.languages.find((one) => one.code === language);
    if (found) return found;
  }
  return null;
}

export function languageName(language) {
  const named = known(language)?.name;
  if (named) return named;
  try { return names.of(code(language)); } catch { return language; }
}

/** "rtl" or "ltr": from the server where it knows the language, else from its script. */
export function direction(language) {
  const found = known(language);
  if (found) return found.rtl ? "rtl" : "ltr";
  return rightToLeft.has(language) || /-(Arab|Hebr|Thaa|Syrc|Nkoo)$/.test(language) ? "rtl" : "ltr";
}

export const stateWords = {
  original: "original", machine: "machine", unreviewed: "unreviewed", reviewed: "reviewed", for_person: "for a person",
  fuzzy: "original changed", rejected: "rejected", missing: "missing", human: "by a person", none: "no state",
};
export const stateWord = (state) => stateWords[state] ?? state ?? "";

/** [value, label] pairs of templates, grouped by language where there are several. */
export function templatePairs(templates) {
  const groups = new Map();
  for (const one of templates) {
    if (!groups.has(one.language)) groups.set(one.language, []);
    groups.get(one.language).push([one.id, one.name]);
  }
  if (groups.size < 2) return [...groups.values()].flat();
  return [...groups].map(([language, pairs]) => [`${languageName(language)} (${language})`, pairs]);
}
