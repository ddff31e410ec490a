// Write: the editor, its fields, what it renders to and what is found in it, as one types.
import { createEditor } from "../editor.js";
import { get, latest, post } from "./api.js";
import { FILTERS, FUNCTIONS, properties, variables } from "./completion.js";
import { ask } from "./dialogs.js";
import { compare, showDiff } from "./diff.js";
import { button, chip, debounce, element, field, kept, plural, refill, say, select } from "./dom.js";
import { asked, draftOf, dropDraft, editable, keepDraft, newDrafts, settleDraft, source } from "./drafts.js";
import { Fields } from "./fields.js";
import { go, here } from "./place.js";
import { card, fault, tokenizerPairs } from "./rendering.js";
import { RowBar } from "./rowbar.js";
import { erase, save } from "./saving.js";
import { app, direction, entryOf, stateWord, templatePairs, templatesOf } from "./settings.js";

const HINT = "Write the prompt; {{ names a column }}, and the target follows |||";
const isNew = (id) => id.startsWith("new-");

class Writer {
  constructor(start) {
    this.key = start.key;
    this.saving = Promise.resolve();
    this.rows = new RowBar({ ...start, task: start.task ?? entryOf(start).task }, () => { go({ row: this.rows.row }, true); this.render(); });
    this.askRender = latest((body, signal) => post("render", body, signal));
    this.askLint = latest((body, signal) => post("lint", body, signal));
    this.renderSoon = debounce(() => this.render(), 250);
    this.lintSoon = debounce(() => this.lint(), 350);
  }

  async open(root, start) {
    this.file = await templatesOf(this.key, true);
    this.build(root);
    await this.rows.start().catch((error) => { this.rows.said.textContent = error.message; });
    const first = this.all().find((one) => one.id === start.template) ?? this.all()[0];
    if (first) this.show(first.id);
    else this.create();
    return this;
  }

  all() { return [...this.file.templates, ...newDrafts(this.key)]; }
  saved() { return this.file.templates.find((one) => one.id === this.id) ?? null; }

  build(root) {
    this.listed = select([], null, (id) => this.show(id), { id: "template" });
    this.marks = element("span", { class: "chips", id: "draft-state" });
    this.place = element("div", { class: "editor", id: "editor" });
    this.fields = new Fields(() => this.changed());
    this.findings = element("ul", { class: "findings", id: "findings", "aria-label": "Findings of lint" });
    this.findingsTitle = element("h3", { class: "findings-title", id: "findings-title", text: "Findings", role: "status" });
    this.preview = element("div", { class: "renderings", id: "preview" });
    this.saveButton = button("Save", () => this.save(), { class: "primary", id: "save", "aria-keyshortcuts": "Control+S" });
    this.discardButton = button("Discard", () => this.discard(), { id: "discard" });
    const counted = select(tokenizerPairs(), kept.get("tokenizer") ?? "", (value) => { kept.set("tokenizer", value); this.render(); }, { id: "tokenizer" });
    root.replaceChildren(element("div", { class: "split-page write" },
      element("section", { class: "pane", "aria-label": "Template" },
        element("div", { class: "toolbar" }, field("Template", this.listed, { class: "grow" }), button("New", () => this.create(), { id: "new" }), button("Copy", () => this.create(this.current()), { id: "copy" })),
        element("div", { class: "toolbar actions" }, this.saveButton, this.discardButton, button("Changes", () => this.changes(), { id: "changes" }),
          button("Delete", () => this.erase(), { id: "delete", class: "quiet" }), this.marks),
        element("div", { class: "pane-scroll" }, this.place, this.findingsTitle, this.findings, this.fields.root)),
      element("section", { class: "pane", "aria-label": "Rendered" },
        element("div", { class: "toolbar" }, this.rows.root, field("Tokenizer", counted)), this.preview)));
    this.editor = createEditor(this.place, {
      label: "Template in Jinja", hint: HINT, filters: FILTERS, functions: FUNCTIONS,
      variables: () => variables(this.rows.columns), properties: (path) => properties(this.rows.known?.row, path),
      change: () => this.changed(),
    });
    if (!this.file.writable) {
      this.saveButton.title = app.collection.read_only_because ?? "This file cannot be written";
      root.querySelector(".pane").prepend(element("p", { class: "notice", text: `Read and try only: ${this.saveButton.title}.` }));
    }
  }

  drawChoice() {
    const mark = (one) => ({ ...one, name: `${draftOf(this.key, one.id) ? "● " : ""}${one.name || "new template"}` });
    refill(this.listed, templatePairs(this.all().map(mark)), this.id);
  }

  /** Open one template, as drafted where a draft is kept. */
  show(id) {
    this.id = id;
    const saved = this.saved(), draft = draftOf(this.key, id) ?? editable(saved);
    go({ template: isNew(id) ? null : id }, true);
    this.editor.open(draft.jinja, direction(draft.language));
    this.fields.show(draft);
    this.drawChoice();
    this.drawState();
    this.render();
    this.lint();
  }

  current() {
    return { ...this.fields.read(), jinja: this.editor.text() };
  }

  changed() {
    const draft = this.current();
    if (direction(draft.language) !== this.editor.direction()) this.editor.turn(direction(draft.language));
    const before = Boolean(draftOf(this.key, this.id));
    const after = keepDraft(this.key, this.id, ordered(draft), this.saved());
    if (before !== after) this.drawChoice();
    this.drawState();
    this.renderSoon();
    this.lintSoon();
  }

  drawState() {
    const drafted = Boolean(draftOf(this.key, this.id)), saved = this.saved();
    this.saveButton.disabled = !drafted || !this.file.writable;
    this.discardButton.disabled = !drafted;
    this.marks.replaceChildren(...[
      drafted ? chip(isNew(this.id) ? "new" : "edited", "edited") : null,
      saved?.state && saved.state !== "original" ? chip(stateWord(saved.state), `state-${saved.state}`) : null,
      saved?.translated_from ? chip(`of ${saved.translated_from}`) : null,
    ].filter(Boolean));
  }

  question() {
    return asked(this.key, { id: this.id });
  }

  async render() {
    if (!this.id) return;
    this.preview.setAttribute("aria-busy", "true");
    try {
      this.rows.whole().catch(() => {});
      const found = await this.askRender({ ...this.rows.scope(), rows: [this.rows.row], ...this.question(), tokenizer: kept.get("tokenizer") || null });
      if (!found) return;
      const template = this.saved();
      this.preview.replaceChildren(...(found.error ? [fault(found.error)] : []), ...found.renderings.map((one) => card(one, template, null)));
    } catch (error) {
      this.preview.replaceChildren(fault(error));
    } finally {
      this.preview.removeAttribute("aria-busy");
    }
  }

  async lint() {
    if (!this.id) return;
    try {
      const found = await this.askLint({ key: this.key, task: this.rows.task, split: this.rows.split, template: isNew(this.id) ? null : this.id, draft: source(this.current()) });
      if (found) this.drawFindings(found.findings);
    } catch (error) {
      this.findingsTitle.textContent = `Findings: ${error.message}`;
    }
  }

  drawFindings(found) {
    this.findingsTitle.textContent = found.length ? plural(found.length, "finding") : "No findings";
    this.editor.mark(found.filter((one) => one.line !== null));
    this.findings.replaceChildren(...found.map((one) => element("li", { class: `finding ${one.severity}` },
      chip(one.severity, `finding-${one.severity}`),
      one.line === null ? null : button(`line ${one.line}`, () => this.editor.go(one.line), { class: "quiet" }),
      element("span", { text: one.message }), element("code", { text: one.code }))));
  }

  /** Begin a template, empty or as a copy of another. */
  create(like = null) {
    const id = `new-${Date.now().toString(36)}`;
    const languages = [...entryOf({ key: this.key, task: this.rows.task }).languages].sort((a, b) => b.templates - a.templates);
    const empty = { name: "", language: languages[0]?.code ?? "en", jinja: "", answer_choices: null, reference: "", metadata: { original_task: true, choices_in_prompt: null, metrics: [], languages: [] } };
    keepDraft(this.key, id, ordered(like ? { ...like, name: `${like.name} (copy)` } : empty), null);
    this.show(id);
    this.fields.focus();
  }

  /** Save when the save before is through: one that overtook it would find the file changed by it. */
  save() {
    this.saving = this.saving.then(() => this.saveNow());
    return this.saving;
  }

  async saveNow() {
    const { id } = this, draft = draftOf(this.key, id);
    if (!draft || !this.file.writable) return;
    if (!draft.name.trim()) { say("Give it a name first.", "error"); this.fields.focus(); return; }
    try {
      const answer = await save(this.key, this.file.version, isNew(id) ? null : id, draft);
      if (!answer) return;
      this.file = await templatesOf(this.key, true);
      if (!answer.reread && !answer.kept) settleDraft(this.key, id, draft, answer.id);
      this.showOne(this.id === id ? answer.id ?? id : this.id);
      if (!answer.reread) say(answer.kept ?? `Saved into ${this.file.file}`, "good"); // not before the file is read again
    } catch (error) {
      say(error.message, "error");
    }
  }

  /** Show a template, or the first where it is gone. */
  showOne(id) {
    const there = this.all();
    this.show((there.find((one) => one.id === id) ?? there[0]).id);
  }

  async discard() {
    if (!draftOf(this.key, this.id)) return;
    const sure = await ask("Discard this draft?", showDiff(compare(this.saved()?.jinja ?? "", this.editor.text())), [["yes", "Discard", "danger"], [null, "Keep it", "primary"]]);
    if (!sure) return;
    dropDraft(this.key, this.id);
    if (this.all().length) this.showOne(this.id);
    else this.create();
  }

  async erase() {
    if (isNew(this.id)) { this.discard(); return; }
    this.rest(); // nothing may ask about a template that is gone
    try {
      const gone = await erase(this.key, this.file.version, this.saved());
      if (!gone) return;
      dropDraft(this.key, this.id);
      this.file = await templatesOf(this.key, true);
      this.showOne(null);
      say("Deleted", "good");
    } catch (error) {
      say(error.message, "error");
    }
  }

  /** The draft against the file, and the file against what it was when the studio opened it. */
  async changes() {
    const saved = this.saved(), parts = [];
    if (draftOf(this.key, this.id)) parts.push(element("h3", { text: "Unsaved draft" }), showDiff(compare(written(saved && editable(saved)), written(this.current()))));
    const { diff } = await get("diff", { key: this.key });
    parts.push(element("h3", { text: "Changes to the file since the studio opened it" }), diff ? showDiff(diff) : element("p", { class: "soft", text: "Nothing changed." }));
    await ask("Changes", element("div", {}, parts), [[null, "Close", "primary"]], "wide-dialog");
  }

  /** Give up what was asked or is about to be. */
  rest() {
    this.renderSoon.cancel();
    this.lintSoon.cancel();
    this.askRender.stop();
    this.askLint.stop();
  }

  close() {
    this.rest();
    this.editor.close();
  }
}

/** A draft with its fields in the order of `editable`, so that equal ones read the same. */
const ordered = (draft) => editable(draft);

/** A template as lines, for a comparison. */
function written(template) {
  if (!template) return "";
  const { jinja, ...rest } = template;
  const fields = [["name", rest.name], ["language", rest.language], ["answer choices", rest.answer_choices], ["reference", rest.reference],
    ...Object.entries(rest.metadata).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value])];
  return [...fields.filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name}: ${value}`), "", jinja].join("\n");
}

export async function open(root, start) {
  const writer = await new Writer(start).open(root, start);
  return {
    update: (place) => { if (place.template && place.template !== writer.id && writer.all().some((one) => one.id === place.template)) writer.show(place.template); },
    step: (by) => {
      const there = writer.all(), next = there[there.findIndex((one) => one.id === writer.id) + by];
      if (next) writer.show(next.id);
    },
    edit: () => writer.editor.focus(), focus: () => writer.editor.focus(), save: () => writer.save(), create: () => writer.create(),
    changes: () => writer.changes(), close: () => writer.close(), here,
  };
}
