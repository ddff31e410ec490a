// Starts the page: events of the server, which replace what is known of a run as a whole, and keys.
import { Detail } from "./detail.js";
import { byId } from "./dom.js";
import { Figures } from "./figures.js";
import * as keys from "./keys.js";
import { Summary } from "./summary.js";

const QUIET_MS = 45_000;
const runs = new Map();
let chosen = null;
let ahead = 0; // seconds by which the server's clock is ahead of ours
let heard = Date.now();
let waiting = 0;

const figures = new Figures(byId("figures"));
const detail = new Detail(byId("detail"));
const summary = new Summary(byId("summary"), choose);

const sorted = () => [...runs.values()].sort((one, other) => one.place - other.place);
const serverNow = () => Date.now() / 1000 + ahead;

function choose(place, byHand = false) {
  chosen = place;
  if (byHand) history.replaceState(null, "", `#run=${place}`);
  draw();
}

function named() {
  const wanted = Number(new URLSearchParams(location.hash.slice(1)).get("run") ?? NaN);
  return runs.has(wanted) ? wanted : (sorted().find((run) => run.state === "running") ?? sorted()[0])?.place;
}

function draw() {
  waiting = 0;
  const all = sorted();
  if (!all.length) return;
  if (chosen === null || !runs.has(chosen)) chosen = named();
  summary.update(all, chosen, serverNow());
  figures.update(all);
  detail.update(runs.get(chosen));
  const first = all.find((run) => run.state === "running");
  const share = first?.total ? `${Math.floor((100 * first.done) / first.total)} % ` : "";
  document.title = `${share}${(first ?? all[0]).name} · xmtf watch`;
}

/** Several runs come together: drawn once. */
function soon() {
  if (!waiting) waiting = requestAnimationFrame(draw);
}

/** Say changes of state, and of stage, aloud; not each step. */
function announce(before, now) {
  if (!before || (before.state === now.state && before.stage === now.stage)) return;
  byId("news").textContent = `${now.name}: ${now.state}${now.state === now.says ? "" : `, ${now.says}`}`;
}

function connected(isLive, text, trouble = "") {
  const place = byId("connection");
  if (place.textContent !== text) place.textContent = text;
  place.className = `soft connection ${isLive ? "live" : "lost"}`;
  byId("trouble").hidden = !trouble;
  byId("trouble").textContent = trouble;
}

function listen() {
  const source = new EventSource("api/events");
  const take = (event) => {
    const data = JSON.parse(event.data);
    heard = Date.now();
    ahead = data.now - heard / 1000;
    connected(true, "live");
    return data;
  };
  source.addEventListener("hello", (event) => {
    const { runs: number } = take(event);
    for (const place of [...runs.keys()]) if (place >= number) runs.delete(place);
  });
  source.addEventListener("beat", take);
  source.addEventListener("run", (event) => {
    const { run } = take(event);
    announce(runs.get(run.place), run);
    runs.set(run.place, run);
    soon();
  });
  source.addEventListener("error", () => {
    const isOver = source.readyState === EventSource.CLOSED;
    connected(false, "not connected", isOver
      ? "The server has ended, or this page's token is not valid any more: open the address that `xmtf watch` prints."
      : "The server does not answer; is `xmtf watch` still running? What is shown may be old. Trying again.");
  });
}

function bindKeys() {
  const go = (by) => () => {
    const all = sorted();
    const place = all.findIndex((run) => run.place === chosen);
    if (all.length) choose(all[(place + by + all.length) % all.length].place, true);
  };
  keys.bind("n", "Next run", go(1));
  keys.bind("p", "The run before", go(-1));
  keys.bind("l", "Losses on a logarithmic axis, and back", () => figures.scale());
  keys.bind("m", "To the page itself", () => byId("main").focus());
  keys.bind("ArrowLeft", "In a figure: the point before; also Page Up, Home", () => {}, { group: "Figures", when: () => false });
  keys.bind("ArrowRight", "In a figure: the next point; also Page Down, End", () => {}, { group: "Figures", when: () => false });
  keys.start();
}

byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
addEventListener("hashchange", () => { chosen = named(); draw(); });
setInterval(() => {
  summary.tick(sorted(), serverNow());
  if (Date.now() - heard > QUIET_MS) connected(false, "not connected", "Nothing was heard of the server for a while; what is shown may be old.");
}, 1000);
bindKeys();
listen();
