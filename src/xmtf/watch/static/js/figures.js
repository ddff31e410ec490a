// Which figures there are, and which curves of which runs each has.
import { Chart } from "./chart.js";

const several = (runs) => runs.length > 1;
const named = (runs, run, what) => (several(runs) ? `${run.name}${what ? `, ${what}` : ""}` : what || run.name);

function training(runs) {
  return runs.flatMap((run) => [
    ...(run.curves.loss ? [{ run: run.place, label: named(runs, run, "training"), kind: "line", ...run.curves.loss }] : []),
    ...Object.entries(run.validations).map(([group, curve]) => ({
      run: several(runs) ? run.place : run.place + 1, label: named(runs, run, Object.keys(run.validations).length > 1 ? `validation (${group})` : "validation"), kind: "dots", ...curve,
    })),
  ]);
}

const plain = (name) => (runs) => runs.filter((run) => run.curves[name]).map((run) => ({ run: run.place, label: run.name, kind: "line", ...run.curves[name] }));

function memory(runs) {
  return runs.flatMap((run) => [
    ...(run.curves.memory ? [{ run: run.place, label: named(runs, run, "highest measured"), kind: "line", ...run.curves.memory }] : []),
    ...(run.curves.planned ? [{ run: run.place, label: named(runs, run, "planned"), kind: "planned", ...run.curves.planned }] : []),
  ]);
}

function measures(runs) {
  return runs.flatMap((run) => Object.entries(run.measures).map(([suite, curve], place) => ({
    run: several(runs) ? run.place : place, label: named(runs, run, suite), kind: "dots", ...curve,
  })));
}

const FIGURES = [
  ["Loss", "nats a token", training, { scale: true, wide: true }],
  ["Suites while training", "", measures, { zero: true }],
  ["Speed", "tokens/s", plain("speed"), { zero: true }],
  ["Memory", "GB", memory, { zero: true }],
  ["Learning rate", "", plain("rate"), { zero: true }],
  ["Gradient norm", "", plain("gradient"), { zero: true, scale: true }],
];

export class Figures {
  constructor(root) {
    this.root = root;
    this.charts = FIGURES.map(([title, unit, curves, options]) => ({ chart: new Chart(title, unit, options), curves }));
    for (const { chart } of this.charts) { chart.root.hidden = true; root.append(chart.root); }
  }

  update(runs) {
    for (const { chart, curves } of this.charts) chart.update(curves(runs));
    this.root.hidden = this.charts.every(({ chart }) => chart.root.hidden);
  }

  /** Switch the axis of the losses between plain and logarithmic. */
  scale() {
    const { chart } = this.charts[0];
    chart.box.checked = !chart.box.checked;
    chart.box.dispatchEvent(new Event("change"));
  }
}
