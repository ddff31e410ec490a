// Translate and review: a prompt and its translation side by side, each with the same row; decided by keys.
import { createEditor } from "../editor.js";
import { get, latest, post, put } from "./api.js";
import { FILTERS, FUNCTIONS, properties, variables } from "./completion.js";
import { button, chip, debounce, element, field, kept, plural, refill, say, select } from "./dom.js";
import { go } from "./place.js";
import { card, fault } from "./rendering.js";
import { RowBar, taskFor } from "./rowbar.js";
import { write } from "./saving.js";
import { app, direction, entryOf, languageName, stateWord } from "./settings.js";

const settled = new Set(["reviewed", "rejected"]);

class Translator {
  constructor(start) {
    this.key = start.key;
    this.entry = entryOf(start);
    this.language = start.language ?? this.entry.languages.find((one) => one.code !== "en")?.code ?? "";
    this.source = start.source ?? (this.entry.languages.some((one) => one.code === "en") ? "en" : this.entry.languages[0]?.code ?? "en");
    const task = taskFor(this.key, start.task, this.language);
    this.rows = new RowBar({ ...start, task }, () => { go({ row: this.rows.row }, true); this.render(); });
    this.askSource = latest((body, signal) => post("render", body, signal));
    this.askTranslation = latest((body, signal) => post("render", body, signal));
    this.askSuggestion = latest((body, signal) => post("translations/suggest", body, signal));
    this.renderSoon = debounce(() => this.renderTranslation(), 250);
  }

  async open(root, start) {
    this.build(root);
    await this.rows.start().catch((error) => { this.rows.said.textContent = error.message; });
    if (this.language) await this.load(start.entry);
    else this.saidNothing("Choose a language to translate into.");
    return this;
  }

  build(root) {
    this.languages = element("div", { class: "languages", id: "languages" });
    this.list = element("ul", { class: "entries", id: "entries", "aria-label": "Prompts" });
    this.progress = element("div", { class: "progress-said", id: "progress", role: "status" });
    this.state = element("div", { class: "chips", id: "entry-state" });
    this.sourceTitle = element("h3");
    this.targetTitle = element("h3");
    this.sourceChoices = element("input", { type: "text", id: "source-choices", dir: "auto", readonly: true });
    this.sourceChoicesField = field("Answer choices", this.sourceChoices);
    this.choices = element("input", { type: "text", id: "translation-choices", dir: "auto", autocomplete: "off", on: { input: () => this.changed() } });
    this.choicesField = field("Answer choices", this.choices);
    this.sourcePlace = element("div", { class: "editor small" });
    this.targetPlace = element("div", { class: "editor small", id: "translation-editor" });
    this.sourceRendering = element("div", { class: "renderings", id: "source-rendering" });
    this.targetRendering = element("div", { class: "renderings", id: "translation-rendering" });
    this.notes = element("div", { class: "notes", id: "suggestion", "aria-live": "polite" });
    this.engine = select(app.collection.engines.length ? app.collection.engines.map((name) => [name, name]) : [["", "none: start with --engine"]], kept.get("engine"), (value) => kept.set("engine", value), { id: "engine" });
    this.reviewer = element("input", { type: "text", id: "reviewer", value: kept.get("reviewer") ?? app.collection.reviewer ?? "", autocomplete: "name", placeholder: "your name", on: { change: () => kept.set("reviewer", this.reviewer.value.trim()) } });
    this.buttons = {
      accept: button("Accept", () => this.decide("accept"), { class: "primary", id: "accept", "aria-keyshortcuts": "a" }),
      edit: button("Save edit", () => this.decide("edit"), { id: "save-edit", "aria-keyshortcuts": "Control+S" }),
      reject: button("Reject", () => this.decide("reject"), { id: "reject", "aria-keyshortcuts": "x" }),
      copy: button("Copy original", () => this.copy(), { id: "copy-original", "aria-keyshortcuts": "o" }),
      suggest: button("Suggest", () => this.suggest(), { id: "suggest", "aria-keyshortcuts": "s" }),
    };
    root.replaceChildren(element("div", { class: "translate" },
      element("div", { class: "toolbar" }, this.languages, field("Engine", this.engine), field("Reviewer", this.reviewer)),
      element("div", { class: "progress-line" }, this.progress, this.rows.root),
      element("div", { class: "translate-body" },
        element("nav", { class: "entry-list", "aria-label": "Prompts to translate" }, this.list),
        element("div", { class: "pane-scroll" },
          element("div", { class: "toolbar actions" }, Object.values(this.buttons), button("Next", () => this.step(1), { id: "next", class: "quiet", "aria-keyshortcuts": "n" }), this.state),
          this.notes,
          element("div", { class: "sides" },
            element("section", { class: "side-column", "aria-label": "Original" }, this.sourceTitle, this.sourcePlace, this.sourceChoicesField, this.sourceRendering),
            element("section", { class: "side-column", "aria-label": "Translation" }, this.targetTitle, this.targetPlace, this.choicesField, this.targetRendering))))));
    const offers = { filters: FILTERS, functions: FUNCTIONS, variables: () => variables(this.rows.columns), properties: (path) => properties(this.rows.known?.row, path) };
    this.original = createEditor(this.sourcePlace, { label: "Original, to read", direction: direction(this.source) });
    this.original.lock(true);
    this.editor = createEditor(this.targetPlace, { label: "Translation in Jinja", hint: "Write the translation, copy the original, or ask for a suggestion", direction: direction(this.language), change: () => this.changed(), ...offers });
    this.drawLanguages();
  }

  drawLanguages() {
    const codes = this.entry.languages.filter((one) => one.code !== this.source);
    if (this.language && !codes.some((one) => one.code === this.language)) codes.push({ code: this.language, name: languageName(this.language), templates: 0, states: {} });
    const pairs = [["", "choose"], ...codes.map((one) => [one.code, `${languageName(one.code)} (${one.code}): ${one.templates}`])];
    if (this.chosen) { refill(this.chosen, pairs, this.language); return; }
    this.chosen = select(pairs, this.language, (value) => value && this.turn(value), { id: "language" });
    const other = element("input", { type: "text", id: "other-language", class: "code", placeholder: "code", autocomplete: "off", spellcheck: "false" });
    other.addEventListener("change", () => { if (/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/.test(other.value.trim())) this.turn(other.value.trim()); else say(`“${other.value}” is not a language code`, "error"); });
    this.languages.replaceChildren(field("Into", this.chosen), field("Another", other, { class: "short" }));
  }

  turn(language) {
    this.language = language;
    go({ language, entry: null }, true);
    this.drawLanguages();
    this.load(null);
  }

  saidNothing(message) {
    this.progress.textContent = message;
    for (const one of Object.values(this.buttons)) one.disabled = true;
  }

  /** Read all entries and show one; where it is another than `sent` by now, what is in the editor stays. */
  async load(id, sent = null) {
    try {
      this.found = await get("translations", { key: this.key, language: this.language, source: this.source });
    } catch (error) {
      this.saidNothing(error.message);
      return;
    }
    this.drawProgress();
    this.drawList();
    const { entries } = this.found;
    const first = entries.find((one) => one.id === id) ?? entries.find((one) => !settled.has(one.state)) ?? entries[0];
    const typed = sent && JSON.stringify(this.draft()) !== JSON.stringify(sent) ? this.draft() : null;
    if (first) this.show(first);
    if (typed && first?.id === id) this.fill(typed);
    if (!first) this.saidNothing(`No prompt here is written in ${languageName(this.source)}.`);
  }

  drawProgress() {
    const { done, total, by_state: states } = this.found.progress;
    const bar = element("progress", { max: String(total || 1), value: String(done), "aria-label": `${languageName(this.language)}: ${done} of ${total} reviewed` });
    const parts = Object.entries(states).filter(([, count]) => count).map(([state, count]) => `${count} ${stateWord(state)}`);
    this.progress.replaceChildren(bar, element("strong", { text: `${done} of ${total} reviewed` }), element("span", { class: "soft", text: parts.join(", ") }));
  }

  drawList() {
    this.list.replaceChildren(...this.found.entries.map((one) =>
      element("li", {}, element("button", { type: "button", "aria-current": one === this.shown ? "true" : null, on: { click: () => this.show(one) } },
        element("span", { class: `dot state-${one.state ?? "missing"}`, "aria-hidden": "true" }),
        element("span", { class: "name", text: one.original.name, dir: "auto" }), element("span", { class: "soft", text: stateWord(one.state ?? "missing") })))));
  }

  show(one) {
    this.shown = one;
    go({ language: this.language, entry: one.id }, true);
    this.original.open(one.original.jinja, direction(this.source));
    this.editor.open(one.translation?.jinja ?? "", direction(this.language));
    this.choices.value = one.translation?.answer_choices ?? "";
    this.choicesField.hidden = !one.original.answer_choices && !this.choices.value;
    this.sourceChoices.value = one.original.answer_choices ?? "";
    this.sourceChoicesField.hidden = this.choicesField.hidden;
    this.sourceTitle.textContent = `${languageName(this.source)}: ${one.original.name}`;
    this.targetTitle.textContent = languageName(this.language);
    this.notes.replaceChildren();
    this.state.replaceChildren(...[chip(stateWord(one.state ?? "missing"), `state-${one.state ?? "missing"}`), one.reviewer ? chip(`by ${one.reviewer}`) : null,
      one.problem ? element("span", { class: "soft", text: one.problem }) : null].filter(Boolean));
    this.drawList();
    this.enable();
    this.render();
  }

  /** Whether the editor's content differs from the file. */
  edited() {
    const { translation } = this.shown;
    return this.editor.text() !== (translation?.jinja ?? "") || this.choices.value !== (translation?.answer_choices ?? "");
  }

  enable() {
    const some = this.editor.text().trim() !== "", { writable } = this.entry;
    this.buttons.accept.disabled = !some || !writable;
    this.buttons.edit.disabled = !some || !writable || !this.edited();
    this.buttons.reject.disabled = !this.shown.translation || !writable;
    this.buttons.copy.disabled = some;
    this.buttons.suggest.disabled = !app.collection.engines.length;
  }

  changed() {
    if (!this.shown) return;
    this.enable();
    this.renderSoon();
  }

  draft() {
    return { jinja: this.editor.text(), answer_choices: this.choices.value || null };
  }

  render() {
    this.rows.whole().catch(() => {});
    const { original } = this.shown;
    this.renderInto(this.askSource, this.sourceRendering, { template: original.id, draft: null });
    this.renderTranslation();
  }

  renderTranslation() {
    const draft = this.draft();
    if (!draft.jinja.trim()) { this.askTranslation.stop(); this.targetRendering.replaceChildren(element("p", { class: "soft", text: "Nothing written yet." })); return; }
    this.renderInto(this.askTranslation, this.targetRendering, { template: this.shown.translation?.id ?? null, draft: { ...draft, name: this.shown.original.name, language: this.language, metadata: { languages: [this.language] } } });
  }

  async renderInto(asking, place, what) {
    try {
      const found = await asking({ ...this.rows.scope(), rows: [this.rows.row], ...what, tokenizer: kept.get("tokenizer") || null });
      if (found) place.replaceChildren(...(found.error ? [fault(found.error)] : []), ...found.renderings.map((one) => card(one, null, null)));
    } catch (error) {
      place.replaceChildren(fault(error));
    }
  }

  /** Begin a translation with the words of the original. */
  copy() {
    if (this.buttons.copy.disabled) return;
    this.fill(this.shown.original);
    this.editor.focus();
  }

  /** Put a text into the editor, as an edit that can be undone. */
  fill({ jinja, answer_choices: choices }) {
    this.editor.write(jinja);
    this.choices.value = choices ?? "";
    this.choicesField.hidden = !this.shown.original.answer_choices && !this.choices.value;
    this.changed();
  }

  async suggest() {
    if (!app.collection.engines.length) { say("No engine; start the studio with --engine.", "error"); return; }
    this.notes.replaceChildren(element("p", { class: "soft", text: `${this.engine.value} translates …` }));
    const asked = this.shown;
    try {
      const found = await this.askSuggestion({ key: this.key, language: this.language, id: asked.id, engine: this.engine.value });
      if (!found || this.shown !== asked) return;
      this.fill(found);
      this.drawNotes(found);
    } catch (error) {
      this.notes.replaceChildren(fault(error));
    }
  }

  drawNotes({ problems, terms }) {
    const parts = [];
    if (problems.length) parts.push(element("div", { class: "notice" }, element("strong", { text: "For a person: " }), element("ul", {}, problems.map((text) => element("li", { text })))));
    if (terms.length) parts.push(element("div", { class: "terms" }, element("strong", { text: plural(terms.length, "term") + " of the glossary" }), element("ul", {}, terms.map((one) =>
      element("li", {}, element("span", { text: one.term, dir: "auto" }), " → ", element("span", { text: one.translation, dir: "auto" }), " ", chip(one.kept ? "used" : "not used", one.kept ? "good" : "finding-warning"))))));
    this.notes.replaceChildren(...(parts.length ? parts : [element("p", { class: "soft", text: "A suggestion: read it before accepting." })]));
  }

  /** Decide on what is shown; a second click before the answer would decide on an entry that nobody has seen. */
  async decide(decision) {
    if (this.deciding || this.buttons[decision].disabled) return;
    const reviewer = this.reviewer.value.trim();
    if (!reviewer && decision !== "edit") { say("Enter the reviewer's name in the field Reviewer.", "error"); this.reviewer.focus(); return; }
    kept.set("reviewer", reviewer);
    this.deciding = true;
    try {
      await this.write(decision, reviewer);
    } catch (error) {
      say(error.message, "error");
    } finally {
      this.deciding = false;
    }
  }

  async write(decision, reviewer) {
    const { id } = this.shown, { name } = this.shown.original, draft = this.draft();
    const asked = { key: this.key, language: this.language, original: id, ...draft, decision, reviewer };
    const answer = await write(this.key, this.found.version, (version, force) => put("translations", { ...asked, version, force }));
    if (!answer) return;
    app.files.delete(this.key);
    if (answer.reread) await this.load(id, {});
    else if (answer.kept) await this.load(id);
    else await this.load(this.after(id, decision), decision === "edit" ? draft : null);
    if (!answer.reread) say(answer.kept ?? `${name}: ${stateWord(answer.state)}`, "good");
  }

  /** The entry that comes after a decision: an edit stays, otherwise the next that is open. */
  after(id, decision) {
    if (decision === "edit") return id;
    const { entries } = this.found, at = entries.findIndex((one) => one.id === id);
    const around = [...entries.slice(at + 1), ...entries.slice(0, at)];
    return (around.find((one) => !settled.has(one.state)) ?? entries[at]).id;
  }

  step(by) {
    const entries = this.found?.entries ?? [];
    if (!entries.length) return;
    this.show(entries[(entries.indexOf(this.shown) + by + entries.length) % entries.length]);
  }

  close() {
    this.renderSoon.cancel();
    for (const asking of [this.askSource, this.askTranslation, this.askSuggestion]) asking.stop();
    this.original.close();
    this.editor.close();
  }
}

export async function open(root, start) {
  const translator = await new Translator(start).open(root, start);
  return {
    update: (place) => { if (place.language && place.language !== translator.language) translator.turn(place.language); },
    step: (by) => translator.step(by), accept: () => translator.decide("accept"), reject: () => translator.decide("reject"),
    save: () => translator.decide("edit"), edit: () => translator.editor.focus(), copy: () => translator.copy(), focus: () => translator.editor.focus(), suggest: () => translator.suggest(),
    close: () => translator.close(),
  };
}
