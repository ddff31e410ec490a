// One run: its stages, what is wrong with its folder, its log, answers as they come, losses by language and cluster.
import { chip, element, plural } from "./dom.js";
import { duration, isWrong, number, whole } from "./format.js";

const STAGE_WORDS = { done: "done", running: "running", begun: "not finished", waiting: "to do" };

function stage({ name, state, done, total, unit, seconds, note }) {
  const far = state === "done" || done === null ? "" : `${whole(done)}${total === null ? "" : ` of ${whole(total)}`} ${unit}`;
  const took = state === "done" && seconds !== null ? duration(seconds) : "";
  const words = [STAGE_WORDS[state], note, far, took].filter(Boolean).join(", ");
  return element("li", { class: state }, element("span", { class: "stage-name", text: name, dir: "auto" }), element("span", { class: "soft", text: words, dir: "auto" }));
}

const prose = (text, kind = "") => element("p", { class: `prose ${kind}`, text, dir: "auto" });

function answer(one) {
  const kind = one.is_right === null ? "" : one.is_right ? "right" : "wrong";
  const rows = [
    one.prompt ? ["Prompt", prose(one.prompt, "prompt")] : null,
    ["Answer", one.error ? prose(`(${one.error})`) : prose(one.text || "(nothing)", "given")],
    one.right.length && one.is_right !== true ? ["Right", prose(one.right.join("\n"))] : null,
  ].filter(Boolean);
  return element("li", { class: `answer ${kind}` },
    element("header", {}, element("span", { text: [one.label, one.task, one.language].filter(Boolean).join(" · "), dir: "auto" }),
      kind ? chip(kind, kind === "right" ? "good" : "finding-error") : null),
    element("dl", {}, rows.flatMap(([term, value]) => [element("dt", { text: term }), element("dd", {}, value)])));
}

function losses(values) {
  return element("ul", { class: "losses" }, Object.entries(values).map(([name, value]) =>
    element("li", {}, element("span", { text: name, dir: "auto" }), element("span", { class: isWrong(value) ? "bad-number" : "", text: number(value) }))));
}

/** How many of the first lines have gone, where the new lines go on from the old ones; -1 where they do not. */
function gone(before, after) {
  for (let shift = 0; shift <= before.length; shift += 1) {
    const rest = before.length - shift;
    if (rest <= after.length && before.slice(shift).every((line, place) => line === after[place])) return shift;
  }
  return -1;
}

class Part {
  /** A part of the page with a heading, hidden while it has nothing to show. */
  constructor(id, title, content) {
    this.content = content;
    this.note = element("span", { class: "soft" });
    this.root = element("section", { "aria-labelledby": id, hidden: true }, element("h3", { id, text: title }), this.note, content);
    this.said = "";
  }

  update(value, isEmpty, fill) {
    const said = JSON.stringify(value);
    if (said === this.said) return;
    this.said = said;
    this.root.hidden = isEmpty;
    fill(this.content);
  }
}

export class Detail {
  constructor(root) {
    this.title = element("h2", { id: "detail-title", dir: "auto" });
    this.state = element("span", { class: "chips" });
    this.path = element("p", { class: "path", dir: "auto" });
    this.notes = element("ul", { class: "notes" });
    this.stages = element("ol", { class: "stages", "aria-label": "Stages" });
    this.log = new Part("log-title", "Log", element("div", { class: "log", tabindex: "0", role: "group", "aria-label": "The last lines of the log" }));
    this.answers = new Part("answers-title", "Answers as they come", element("ul", { class: "answers", tabindex: "0", "aria-labelledby": "answers-title" }));
    this.languages = new Part("languages-title", "Validation loss by language", element("div", {}));
    this.clusters = new Part("clusters-title", "Validation loss by task cluster", element("div", {}));
    this.lines = [];
    this.place = null;
    root.append(element("header", {}, this.title, this.state), this.path, this.notes, this.stages,
      element("div", { class: "parts" }, this.log.root, this.answers.root, this.languages.root, this.clusters.root));
  }

  update(run) {
    this.title.textContent = run.name;
    this.path.textContent = run.path;
    this.state.replaceChildren(...[
      chip(run.state, run.state.replace(" ", "-")),
      run.checkpoint === null ? null : chip(`checkpoint at step ${whole(run.checkpoint)}`),
      run.skipped ? chip(`${plural(run.skipped, "step")} skipped`, "finding-error") : null,
      run.mfu === null ? null : chip(`MFU ${isWrong(run.mfu) ? run.mfu : `${(100 * run.mfu).toFixed(1)} %`}`),
    ].filter(Boolean));
    const notes = run.state === "gone" || run.state === "not begun" ? [run.says, ...run.notes] : run.notes;
    this.notes.replaceChildren(...notes.map((text) => element("li", { class: "notice bad", text, dir: "auto" })));
    this.stages.replaceChildren(...run.stages.map(stage));
    this.drawLog(run);
    this.answers.update(run.answers, !run.answers.length, (list) => list.replaceChildren(...run.answers.map(answer)));
    for (const [part, values] of [[this.languages, run.by_language], [this.clusters, run.by_cluster]]) {
      part.update(values, !Object.keys(values).length, (box) => box.replaceChildren(losses(values)));
    }
    this.place = run.place;
  }

  /** Add new lines at the end; whoever reads further up, or has marked a line, is left alone. */
  drawLog(run) {
    const said = run.lines.map(({ kind, text }) => `${kind}\n${text}`);
    const box = this.log.content;
    this.log.root.hidden = !said.length;
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
    const shift = this.place === run.place ? gone(this.lines, said) : -1;
    const made = ({ kind, text }) => element("p", { class: kind.replace(/[^a-z]/g, "-"), text });
    if (shift < 0) box.replaceChildren(...run.lines.map(made));
    else {
      for (let place = 0; place < shift; place += 1) box.firstChild?.remove();
      box.append(...run.lines.slice(this.lines.length - shift).map(made));
    }
    this.lines = said;
    if (atEnd || shift < 0) box.scrollTop = box.scrollHeight;
  }
}
