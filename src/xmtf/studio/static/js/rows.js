// The rows of a split: 10,000 or more are in the page as the few that are visible, fetched by page.
import { debounce, element } from "./dom.js";

const PAGE = 50; // rows fetched at once
const BEYOND = 8; // rows drawn above and below what is seen
const MOST = 120; // rows drawn at all
const TALLEST = 8_000_000; // px; browsers draw nothing beyond some 17 million

/** How wide a column would be, in rem: as its name and most of the texts of the first page need. */
function wanted({ name }, column, rows) {
  const lengths = rows.map(({ cells }) => cells[column].text.length).sort((a, b) => a - b);
  const most = Math.max(lengths[Math.floor(lengths.length * 0.8)] ?? 0, name.length);
  return Math.min(Math.max(most * 0.55 + 1.4, 3.5), 30);
}

export class RowTable {
  /**
   * `load(offset, limit)` gives a page of the answer of /api/rows; `choose(index)` is called with the index of the row
   * that was moved to, `open(index)` when its whole text is wanted.
   */
  constructor({ load, choose, open }) {
    Object.assign(this, { load, choose: debounce(choose, 120), open });
    this.head = element("div", { class: "grid-head", role: "row" });
    this.layer = element("div", { class: "grid-rows", role: "rowgroup" });
    this.space = element("div", { class: "grid-space", role: "presentation" }, this.layer);
    this.root = element("div", { class: "grid", role: "grid", tabindex: "0", "aria-label": "Rows", id: "rows" }, this.head, this.space);
    this.root.addEventListener("scroll", () => this.draw());
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.layer.addEventListener("click", (event) => this.click(event));
    this.layer.addEventListener("dblclick", (event) => this.click(event, true));
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.root);
    this.clear();
  }

  clear() {
    this.pages = new Map();
    this.matched = 0;
    this.at = 0; // place among the rows that match
    this.columns = [];
  }

  /** Show another split or search: its first page is loaded, and the row with this index chosen if it is there. */
  async reset(index = null) {
    this.clear();
    this.era = (this.era ?? 0) + 1;
    const era = this.era;
    const first = await this.fetch(0);
    if (!first || era !== this.era) return null;
    this.matched = first.matched;
    this.columns = first.columns;
    this.at = index !== null && first.matched === first.total ? Math.min(index, Math.max(first.total - 1, 0)) : 0;
    this.drawHead(first.rows);
    this.draw(true);
    this.reveal();
    this.draw(true);
    return first;
  }

  async fetch(page) {
    if (!this.pages.has(page)) this.pages.set(page, { asked: this.load(page * PAGE, PAGE), ready: null });
    const slot = this.pages.get(page);
    try {
      slot.ready = (await slot.asked) ?? null;
    } finally {
      if (!slot.ready) this.pages.delete(page);
    }
    return slot.ready;
  }

  async row(place) {
    const page = await this.fetch(Math.floor(place / PAGE));
    return page?.rows[place % PAGE] ?? null;
  }

  drawHead(rows) {
    const widths = this.columns.map((column, place) => wanted(column, place, rows));
    const least = widths.map((width) => Math.min(width, 11));
    this.root.style.setProperty("--columns", ["4.5rem", ...widths.map((width, place) => `minmax(${least[place]}rem, ${width}fr)`)].join(" "));
    this.root.style.setProperty("--least", `${4.5 + least.reduce((sum, width) => sum + width, 0)}rem`);
    this.root.setAttribute("aria-rowcount", this.matched + 1);
    this.root.setAttribute("aria-colcount", this.columns.length + 1);
    this.head.replaceChildren(
      element("span", { class: "cell number", role: "columnheader", text: "row" }),
      ...this.columns.map(({ name, type }) => element("span", { class: "cell", role: "columnheader", text: name, title: type })),
    );
    const probe = element("div", { class: "grid-row" }, element("span", { class: "cell", text: "x" }));
    this.layer.replaceChildren(probe);
    this.height = Math.max(probe.getBoundingClientRect().height, 16);
  }

  measure() {
    const view = Math.max(this.root.clientHeight - this.head.offsetHeight, this.height);
    const whole = this.matched * this.height;
    const tall = Math.min(whole, TALLEST);
    this.space.style.height = `${tall}px`;
    // Where all rows do not fit into the tallest page, places go by share instead of by pixel.
    const ratio = tall > view ? (whole - view) / (tall - view) : 1;
    return { view, ratio };
  }

  draw(again = false) {
    if (!this.matched || !this.height) { this.layer.replaceChildren(); this.drawn = ""; return; }
    const { view, ratio } = this.measure();
    const offset = this.root.scrollTop * ratio;
    const first = Math.max(Math.floor(offset / this.height) - BEYOND, 0);
    const last = Math.min(first + Math.min(Math.ceil(view / this.height) + 2 * BEYOND, MOST), this.matched);
    this.layer.style.transform = `translateY(${this.root.scrollTop - offset + first * this.height}px)`;
    const drawn = `${this.era} ${first} ${last}`;
    if (drawn === this.drawn && !again) return;
    this.drawn = drawn;
    const made = [];
    for (let place = first; place < last; place += 1) made.push(this.drawRow(place));
    this.layer.replaceChildren(...made);
    this.mark();
  }

  drawRow(place) {
    const made = element("div", {
      class: "grid-row", role: "row", id: `row-${place}`, "aria-rowindex": place + 2, data: { place: String(place) },
    });
    const page = this.pages.get(Math.floor(place / PAGE));
    if (page?.ready) this.fill(made, page.ready.rows[place % PAGE]);
    else {
      made.append(element("span", { class: "cell number soft", role: "gridcell", text: "…" }));
      this.wanted();
    }
    return made;
  }

  fill(made, row) {
    if (!row) return;
    made.append(
      element("span", { class: "cell number", role: "gridcell", text: String(row.index) }),
      ...row.cells.map(({ text, long }) => element("span", { class: `cell${long ? " long" : ""}`, role: "gridcell", dir: "auto", text })),
    );
  }

  /** Fetch what is seen and not there yet, once scrolling rests. */
  wanted() {
    this.later ??= debounce(async () => {
      const era = this.era;
      const waiting = [...this.layer.children].filter((child) => child.childElementCount === 1).map((child) => Math.floor(Number(child.dataset.place) / PAGE));
      for (const page of new Set(waiting)) await this.fetch(page);
      if (era === this.era) this.draw(true);
    }, 60);
    this.later();
  }

  reveal() {
    if (!this.matched || !this.height) return;
    const { view, ratio } = this.measure();
    const top = this.at * this.height, offset = this.root.scrollTop * ratio;
    if (top < offset) this.root.scrollTop = top / ratio;
    else if (top + this.height > offset + view) this.root.scrollTop = (top + this.height - view) / ratio;
  }

  mark() {
    for (const child of this.layer.children) {
      const chosen = Number(child.dataset.place) === this.at;
      child.classList.toggle("chosen", chosen);
      child.setAttribute("aria-selected", String(chosen));
    }
    this.root.setAttribute("aria-activedescendant", `row-${this.at}`);
  }

  async move(place) {
    this.at = Math.min(Math.max(place, 0), this.matched - 1);
    this.reveal();
    this.draw();
    this.mark();
    const row = await this.row(this.at);
    if (row) this.choose(row.index);
  }

  click(event, whole = false) {
    const row = event.target.closest(".grid-row");
    if (!row) return;
    this.move(Number(row.dataset.place));
    if (whole) this.openCurrent();
  }

  async openCurrent() {
    const row = await this.row(this.at);
    if (row) this.open(row.index);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.matched) return;
    const jump = Math.max(Math.floor(this.root.clientHeight / this.height) - 2, 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: jump, PageUp: -jump, Home: -this.matched, End: this.matched };
    if (event.key in steps) this.move(this.at + steps[event.key]);
    else if (event.key === "Enter") this.openCurrent();
    else return;
    event.preventDefault();
  }

  close() {
    this.watch.disconnect();
    this.choose.cancel();
    this.later?.cancel();
  }
}
