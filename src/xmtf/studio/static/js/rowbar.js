// Which row a draft is rendered over: task, split and number, with buttons to step.
import { get } from "./api.js";
import { button, element, field } from "./dom.js";
import { app } from "./settings.js";

export class RowBar {
  /** `change()` is called when another row is chosen; `place` names key, task, split and row to begin with. */
  constructor(place, change) {
    this.key = place.key;
    this.task = place.task ?? null;
    this.split = place.split ?? null;
    this.row = Number(place.row ?? 0);
    this.change = change;
    this.columns = [];
    this.total = 0;
    this.number = element("input", { type: "number", min: "0", inputmode: "numeric", value: String(this.row), class: "row-number", "aria-label": "Row" });
    this.number.addEventListener("change", () => this.move(Number(this.number.value)));
    this.said = element("span", { class: "soft" });
    this.root = element("div", { class: "row-bar" },
      button("‹", () => this.move(this.row - 1), { class: "quiet", "aria-label": "Row before" }),
      field("Row", this.number, { class: "inline" }),
      button("›", () => this.move(this.row + 1), { class: "quiet", "aria-label": "Next row" }), this.said);
  }

  /** Learn columns and number of rows of the split. */
  async start() {
    const found = await get("rows", { key: this.key, task: this.task, split: this.split, offset: 0, limit: 1 });
    this.split = found.split;
    this.columns = found.columns;
    this.total = found.total;
    this.message = found.message;
    this.said.textContent = found.message ?? `of ${found.total.toLocaleString("en")} · ${found.split}`;
    return this;
  }

  move(row) {
    this.row = Math.min(Math.max(Number.isFinite(row) ? row : 0, 0), Math.max(this.total - 1, 0));
    this.number.value = String(this.row);
    this.change();
  }

  /** What a request about this row names. */
  scope() {
    return { key: this.key, task: this.task, split: this.split };
  }

  /** The row whole, once for each that is asked about. */
  async whole() {
    const name = `${this.split} ${this.row}`;
    if (this.known?.name !== name) {
      this.known = { name, row: this.total ? (await get("row", { ...this.scope(), index: this.row })).row : {} };
    }
    return this.known.row;
  }
}

/** The task whose rows go with a language: the chosen one, else one of the same file in that language. */
export function taskFor(key, task, language) {
  const entries = app.collection.entries.filter((entry) => entry.key === key && entry.task);
  return (entries.find((entry) => entry.task === task) ?? entries.find((entry) => entry.language === language) ?? entries[0])?.task ?? null;
}
