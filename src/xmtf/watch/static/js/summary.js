// The table of all runs: state, progress, last numbers. On a phone each run is a block of its own.
import { chip, element } from "./dom.js";
import { swatch } from "./chart.js";
import { ago, duration, isWrong, number, whole } from "./format.js";

const COLUMNS = ["Run", "State", "Progress", "Loss", "Validation", "Speed", "Memory", "Written"];

function cell(label, value, unit = "", properties = {}) {
  const content = value === "" ? [] : [element("span", { class: properties.wrong ? "bad-number" : "", text: value }), element("span", { class: "unit", text: unit ? ` ${unit}` : "" })];
  return element("td", { class: `number ${properties.class ?? ""}`, "data-label": label, "data-empty": value === "" ? true : null, title: properties.title }, element("span", {}, content));
}

function progressOf(run) {
  if (run.stage === "" || run.done === null) return run.step === null ? "" : `step ${whole(run.step)}`;
  const of = run.total === null ? "" : ` of ${whole(run.total)}`;
  return `${whole(run.done)}${of} ${run.unit === "steps" ? "steps" : run.unit}`;
}

function progressCell(run) {
  const left = run.left_s === null ? "" : `, ${duration(run.left_s)} left`;
  const text = `${progressOf(run)}${left}`;
  const bar = run.done !== null && run.total ? element("progress", { max: run.total, "aria-label": `Progress of ${run.name}, ${run.stage}` }) : null;
  if (bar) bar.value = Math.min(run.done, run.total);
  return element("td", { "data-label": "Progress", "data-empty": text === "" ? true : null }, element("span", { class: "how-far" }, element("span", { text }), bar));
}

export class Summary {
  /** The table below `root`; `choose` is called with the place of a run that is picked. */
  constructor(root, choose) {
    this.choose = choose;
    this.body = element("tbody", {});
    this.rows = new Map();
    root.append(element("table", { class: "runs" },
      element("thead", {}, element("tr", {}, COLUMNS.map((name, place) => element("th", { scope: "col", class: place > 2 ? "number" : "", text: name })))), this.body));
  }

  update(runs, chosen, now) {
    for (const run of runs) {
      let row = this.rows.get(run.place);
      if (!row) {
        row = element("tr", { data: { place: String(run.place) } });
        this.rows.set(run.place, row);
        this.body.append(row);
      }
      row.classList.toggle("chosen", runs.length > 1 && run.place === chosen);
      const said = JSON.stringify([runs.length > 1, run.state, run.says, run.done, run.total, run.step, run.loss, run.validation, run.speed, run.memory, run.left_s, run.place === chosen, run.name]);
      if (row.dataset.said !== said) this.fill(row, run, runs.length > 1, run.place === chosen);
      row.dataset.said = said;
    }
    this.tick(runs, now);
  }

  fill(row, run, several, isChosen) {
    const held = row.contains(document.activeElement);
    const pick = element("button", { type: "button", text: run.name, dir: "auto", title: run.path, "aria-pressed": several ? String(isChosen) : null, on: { click: () => this.choose(run.place, true) } });
    row.replaceChildren(
      element("td", { class: "name" }, element("span", { class: "run-name" }, several ? swatch({ run: run.place, kind: "line" }) : null, pick)),
      element("td", { "data-label": "State" }, element("span", { class: "state" }, chip(run.state, run.state.replace(" ", "-")), run.says === run.state ? null : element("span", { class: "says", text: run.says, dir: "auto" }))),
      progressCell(run),
      cell("Loss", number(run.loss), "", { wrong: isWrong(run.loss) }),
      cell("Validation", number(run.validation), "", { wrong: isWrong(run.validation) }),
      cell("Speed", number(run.speed), run.speed_unit, { wrong: isWrong(run.speed) }),
      cell("Memory", number(run.memory, 3), run.planned === null ? "GB" : `GB, planned ${number(run.planned, 3)}`, { title: "Highest that the process had" }),
      cell("Written", "", "", { class: "written" }),
    );
    if (held) pick.focus();
  }

  /** Say again how long ago each run was written to. */
  tick(runs, now) {
    for (const run of runs) {
      const place = this.rows.get(run.place)?.querySelector(".written");
      if (!place) continue;
      const text = run.updated === null ? "" : ago(Math.max(0, now - run.updated));
      if (place.textContent !== text) place.firstChild.textContent = text;
      place.toggleAttribute("data-empty", text === "");
    }
  }
}
