// A figure of curves over steps: drawn as SVG, told in words, read point by point by keys, listed as a table.
import { element } from "./dom.js";
import { number, whole } from "./format.js";
import { axis, range } from "./scale.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const ROOM = { left: 52, right: 14, top: 10, bottom: 26 };
const LISTED = 12;
export const COLOURS = 6;

function drawn(tag, properties, ...children) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(properties)) if (value !== null) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

const look = ({ run, kind }) => `curve run-${run % COLOURS} ${kind === "planned" ? "planned" : `dash-${run % COLOURS}`}`;

/** The sign of a curve in legends: its line, with a dot where single points are measured. */
export function swatch(curve) {
  const sign = drawn("svg", { class: "swatch", viewBox: "0 0 26 10", "aria-hidden": "true" },
    drawn("path", { class: look(curve), d: "M1 5H25" }));
  if (curve.kind === "dots") sign.append(drawn("circle", { class: `dot run-${curve.run % COLOURS}`, cx: 13, cy: 5, r: 3.2 }));
  return sign;
}

/** Split a curve where a value is missing. */
function* pieces({ x, y }, fits) {
  let piece = [];
  for (let place = 0; place < x.length; place += 1) {
    if (y[place] !== null && fits(y[place])) piece.push(place);
    else if (piece.length) { yield piece; piece = []; }
  }
  if (piece.length) yield piece;
}

const path = (points) => points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function nearest(steps, wanted) {
  let low = 0;
  let high = steps.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= wanted) low = middle; else high = middle;
  }
  return wanted - steps[low] <= steps[high] - wanted ? low : high;
}

/** A curve in words. */
function told({ label, x, y, bad }) {
  const places = x.map((_, place) => place).filter((place) => y[place] !== null);
  const wrong = bad?.length ? `, not a finite number at ${bad.length === 1 ? "step" : "steps up to"} ${whole(bad.at(-1))}` : "";
  if (!places.length) return `${label}: no finite value${wrong}`;
  const [first, last] = [places[0], places.at(-1)];
  const least = places.reduce((best, place) => (y[place] < y[best] ? place : best), first);
  const from = first === last ? "" : `${number(y[first])} at step ${whole(x[first])}, least ${number(y[least])} at step ${whole(x[least])}, `;
  return `${label}: ${from}last ${number(y[last])} at step ${whole(x[last])}${wrong}`;
}

export class Chart {
  /** A figure; `zero` begins its axis at zero where that is near, `scale` offers a logarithmic one. */
  constructor(title, unit, { zero = false, scale = false, wide = false } = {}) {
    Object.assign(this, { title, unit, zero, wide, curves: [], cursor: null, logarithmic: false });
    this.svg = drawn("svg", { role: "img", tabindex: "0" });
    this.legend = element("ul", { class: "legend" });
    this.read = element("output", { class: "read", "aria-live": "off" });
    this.values = element("div", { class: "values" });
    this.details = element("details", {}, element("summary", { text: "Values as a table" }), this.values);
    this.details.addEventListener("toggle", () => this.list());
    const head = [element("h3", { text: `${title}` }, element("span", { class: "unit", text: unit ? ` ${unit}` : "" }))];
    if (scale) {
      this.box = element("input", { type: "checkbox" });
      this.box.addEventListener("change", () => { this.logarithmic = this.box.checked; this.draw(); });
      head.push(element("label", { class: "check" }, this.box, "Logarithmic"));
    }
    this.root = element("figure", { class: `chart${wide ? " wide" : ""}`, "aria-label": title },
      element("div", { class: "chart-head" }, head), this.svg, this.read, this.legend, this.details);
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("blur", () => this.leave());
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  /** Draw these curves: {run, label, kind: "line" | "dots" | "planned", x, y, low, high, bad}. */
  update(curves) {
    const said = JSON.stringify(curves);
    if (said === this.said) return;
    Object.assign(this, { said, curves });
    this.steps = [...new Set(curves.flatMap((curve) => curve.x))].sort((one, other) => one - other);
    this.root.hidden = !this.steps.length;
    this.svg.setAttribute("aria-label", `${this.title}${this.unit ? `, ${this.unit}` : ""}, by step. ${curves.map(told).join(". ")}. Arrow keys read single points.`);
    this.legend.replaceChildren(...curves.map((curve) => element("li", {}, swatch(curve), element("span", { text: curve.label, dir: "auto" }))));
    this.draw();
    this.list();
  }

  draw() {
    const width = Math.floor(this.svg.clientWidth || this.root.clientWidth);
    if (!width || !this.curves.length || this.root.hidden) return;
    const height = width < 400 ? 180 : width > 800 ? 280 : 230;
    const logarithmic = this.logarithmic;
    const fits = (value) => !logarithmic || value > 0;
    const values = this.curves.flatMap((curve) => [...curve.y, ...(curve.low ?? []), ...(curve.high ?? [])]);
    const [low, high] = range(values, { zero: this.zero, logarithmic }) ?? [logarithmic ? 1 : 0, logarithmic ? 10 : 1];
    const [first, last] = [this.steps[0], this.steps.at(-1)];
    const bottom = height - ROOM.bottom;
    const across = axis(Math.min(first, 0), Math.max(last, first + 1), ROOM.left, width - ROOM.right, { wanted: width / 110 });
    const up = axis(low, high, bottom, ROOM.top, { logarithmic, wanted: 5 });
    this.axes = { across, up, bottom };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", String(height));
    this.mark = drawn("g", {});
    this.svg.replaceChildren(this.frame(across, up, width, bottom), ...this.curves.map((curve) => this.line(curve, across, up, bottom, fits)), this.mark);
    this.showCursor();
  }

  frame(across, up, width, bottom) {
    const frame = drawn("g", { "aria-hidden": "true" });
    for (const value of up.ticks) {
      const y = up.at(value);
      frame.append(drawn("line", { class: "grid-line", x1: ROOM.left, x2: width - ROOM.right, y1: y, y2: y }));
      const text = drawn("text", { class: "tick", x: ROOM.left - 6, y: y + 4, "text-anchor": "end" });
      text.textContent = number(value);
      frame.append(text);
    }
    frame.append(drawn("line", { class: "axis", x1: ROOM.left, x2: width - ROOM.right, y1: bottom, y2: bottom }));
    for (const value of across.ticks.filter(Number.isInteger)) {
      const x = across.at(value);
      frame.append(drawn("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }));
      const text = drawn("text", { class: "tick", x, y: bottom + 17, "text-anchor": "middle" });
      text.textContent = whole(value);
      frame.append(text);
    }
    return frame;
  }

  line(curve, across, up, bottom, fits) {
    const group = drawn("g", { "aria-hidden": "true", class: "one", "data-label": curve.label, "data-points": curve.x.length });
    for (const piece of pieces(curve, fits)) {
      const at = (place, value) => [across.at(curve.x[place]), up.at(value)];
      if (curve.low?.length) {
        const seen = piece.filter((place) => fits(curve.low[place]));
        const around = [...seen.map((place) => at(place, curve.high[place])), ...seen.reverse().map((place) => at(place, curve.low[place]))];
        group.append(drawn("path", { class: `band run-${curve.run % COLOURS}`, d: `${path(around)}Z` }));
      }
      const points = piece.map((place) => at(place, curve.y[place]));
      group.append(drawn("path", { class: `${look(curve)}${curve.kind === "dots" ? " thin" : ""}`, d: points.length > 1 ? path(points) : `${path(points)}h0.01` }));
      if (curve.kind === "dots" && points.length <= 60) {
        for (const [cx, cy] of points) group.append(drawn("circle", { class: `dot run-${curve.run % COLOURS}`, cx, cy, r: 3.2 }));
      } else if (points.length === 1) {
        group.append(drawn("circle", { class: `dot run-${curve.run % COLOURS}`, cx: points[0][0], cy: points[0][1], r: 2.5 }));
      }
    }
    for (const step of curve.bad ?? []) {
      const x = across.at(step);
      group.append(drawn("path", { class: "wrong", d: `M${x - 4} ${bottom - 10}l8 8m0 -8l-8 8` }));
    }
    return group;
  }

  key(event) {
    const last = this.steps.length - 1;
    const now = this.cursor === null ? null : nearest(this.steps, this.cursor);
    const far = Math.max(1, Math.round(last / 10));
    const to = { ArrowLeft: (now ?? last + 1) - 1, ArrowRight: (now ?? -1) + 1, PageUp: (now ?? last) - far, PageDown: (now ?? 0) + far, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.read.setAttribute("aria-live", "polite");
    this.cursor = this.steps[Math.max(0, Math.min(last, to))];
    this.showCursor();
  }

  point(event) {
    if (!this.axes || !this.steps.length) return;
    const box = this.svg.getBoundingClientRect();
    const { low, high, at } = this.axes.across;
    const share = (event.clientX - box.left - at(low)) / (at(high) - at(low));
    this.read.setAttribute("aria-live", "off");
    this.cursor = this.steps[nearest(this.steps, low + share * (high - low))];
    this.showCursor();
  }

  leave() {
    this.cursor = null;
    this.showCursor();
  }

  showCursor() {
    if (this.cursor === null || !this.axes) {
      this.mark?.replaceChildren();
      this.read.textContent = "";
      return;
    }
    const { across, bottom } = this.axes;
    const x = across.at(this.cursor);
    this.mark.replaceChildren(drawn("line", { class: "cursor", x1: x, x2: x, y1: ROOM.top, y2: bottom }));
    this.read.textContent = `Step ${whole(this.cursor)}: ${this.curves.map((curve) => this.value(curve)).filter(Boolean).join(" · ")}`;
  }

  /** The value of a curve at the cursor, with its step where it was measured at another one. */
  value(curve) {
    if (!curve.x.length || this.cursor > curve.x.at(-1) || this.cursor < curve.x[0]) return "";
    const place = nearest(curve.x, this.cursor);
    const at = curve.x[place] === this.cursor ? "" : ` (step ${whole(curve.x[place])})`;
    return `${curve.label} ${curve.y[place] === null ? "NaN" : number(curve.y[place])}${at}`;
  }

  list() {
    if (!this.details.open || !this.curves.length) return;
    const number_of = Math.min(LISTED, this.steps.length);
    const chosen = [...new Set(Array.from({ length: number_of }, (_, place) => this.steps[Math.round((place * (this.steps.length - 1)) / Math.max(1, number_of - 1))]))];
    const cell = (curve, step) => {
      const place = curve.x.indexOf(step);
      if (place < 0) return element("td", {});
      return element("td", { text: curve.y[place] === null ? "NaN" : number(curve.y[place], 5) });
    };
    this.values.replaceChildren(element("table", {},
      element("caption", { class: "visually-hidden", text: `${this.title} at ${chosen.length} of ${this.steps.length} steps` }),
      element("thead", {}, element("tr", {}, element("th", { scope: "col", text: "Step" }), this.curves.map((curve) => element("th", { scope: "col", text: curve.label })))),
      element("tbody", {}, chosen.map((step) => element("tr", {}, element("th", { scope: "row", text: whole(step) }), this.curves.map((curve) => cell(curve, step)))))));
  }
}
