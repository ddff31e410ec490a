// Try: a model is asked with a prompt; the scores of its choices and what it writes come as they are made.
import { post, stream } from "./api.js";
import { button, chip, element, field, kept, plural, say, select } from "./dom.js";
import { asked, draftOf } from "./drafts.js";
import { go } from "./place.js";
import { body, fault } from "./rendering.js";
import { RowBar } from "./rowbar.js";
import { app, entryOf, templatePairs, templatesOf } from "./settings.js";

/** The choices as bars of their share, best first in length, in the order of the prompt. */
function scoreList({ scores, picked }, target) {
  const best = Math.max(...scores.map((one) => one.normalised ?? one.logprob));
  return element("ol", { class: "scores", id: "scores" }, scores.map((one, index) => {
    const value = one.normalised ?? one.logprob;
    const bar = element("span", { class: "score-bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", String(Math.exp(Math.max(value - best, -20))));
    const chosen = picked === index || picked === one.choice;
    return element("li", { class: chosen ? "picked" : "" },
      element("span", { class: "choice", dir: "auto", text: one.choice }), bar,
      element("span", { class: "number", text: one.logprob.toFixed(2), title: "sum of log-probabilities" }),
      element("span", { class: "number soft", text: one.normalised === null || one.normalised === undefined ? "" : one.normalised.toFixed(2), title: "per token" }),
      element("span", { class: "chips" }, chosen ? chip("picked", "good") : null, index === target ? chip("target") : null));
  }));
}

class Trial {
  constructor(start) {
    this.key = start.key;
    this.rows = new RowBar({ ...start, task: start.task ?? entryOf(start).task }, () => { go({ row: this.rows.row }, true); this.render(); });
  }

  async open(root, start) {
    this.file = await templatesOf(this.key);
    this.id = this.file.templates.some((one) => one.id === start.template) ? start.template : this.file.templates[0]?.id;
    this.prompt = element("div", { class: "renderings", id: "prompt" });
    this.results = element("div", { class: "results", id: "results", "aria-live": "polite" });
    const models = app.collection.models;
    this.model = select(models.length ? models.map((name) => [name, name]) : [["", "none: start with --model"]], kept.get("model"), (value) => kept.set("model", value), { id: "model" });
    this.generate = element("input", { type: "checkbox", id: "generate", checked: true });
    this.most = element("input", { type: "number", id: "most", min: "1", max: "2048", value: "64" });
    this.runButton = button("Ask", () => this.run(), { class: "primary", id: "ask", "aria-keyshortcuts": "Control+Enter", disabled: !models.length });
    this.stopButton = button("Stop", () => this.control?.abort(), { id: "stop", disabled: true });
    const chosen = select(templatePairs(this.file.templates), this.id, (id) => { this.id = id; go({ template: id }, true); this.render(); }, { id: "template" });
    root.replaceChildren(element("div", { class: "split-page try" },
      element("section", { class: "pane", "aria-label": "Prompt" },
        element("div", { class: "toolbar" }, field("Template", chosen, { class: "grow" }), this.rows.root), this.prompt),
      element("section", { class: "pane", "aria-label": "Answer of the model" },
        element("div", { class: "toolbar" }, field("Model", this.model, { class: "grow" }), element("label", { class: "check" }, this.generate, "write an answer"),
          field("most tokens", this.most, { class: "short" }), this.runButton, this.stopButton),
        this.results)));
    if (!models.length) this.results.append(element("p", { class: "notice", text: "No model yet: start the studio with --model and a folder, a GGUF file, or openai:URL#NAME of a server." }));
    await this.rows.start().catch((error) => { this.rows.said.textContent = error.message; });
    await this.render();
    return this;
  }

  question() {
    return asked(this.key, { id: this.id });
  }

  async render() {
    if (!this.id) { this.prompt.replaceChildren(element("p", { class: "soft", text: "No template here yet." })); return; }
    try {
      const found = await post("render", { ...this.rows.scope(), rows: [this.rows.row], ...this.question(), tokenizer: kept.get("tokenizer") || null });
      this.target = found.renderings[0]?.target_index ?? null;
      this.prompt.replaceChildren(...(draftOf(this.key, this.id) ? [chip("as drafted, not saved", "edited")] : []),
        ...(found.error ? [fault(found.error)] : []), ...found.renderings.map((one) => element("article", { class: "card rendering" }, body(one))));
    } catch (error) {
      this.prompt.replaceChildren(fault(error));
    }
  }

  async run() {
    this.control?.abort();
    const control = new AbortController();
    this.control = control;
    this.stopButton.disabled = false;
    const written = element("pre", { class: "prose answer", id: "answer", dir: "auto" });
    const status = element("p", { class: "soft", id: "try-status", text: `${this.model.value} reads the prompt …` });
    this.results.replaceChildren(status);
    const body = { ...this.rows.scope(), row: this.rows.row, ...this.question(), model: this.model.value, generate: this.generate.checked, max_new_tokens: Number(this.most.value) };
    let ended = false;
    try {
      for await (const { name, data } of stream("try", body, control.signal)) {
        ended ||= name === "done" || name === "error";
        this.event(name, data, written, status);
      }
      if (!ended) this.results.append(fault({ message: "The answer was cut off." }));
    } catch (error) {
      if (error.name === "AbortError") status.textContent = "Stopped.";
      else { status.textContent = ""; this.results.append(fault(error)); }
    } finally {
      if (this.control === control) this.stopButton.disabled = true;
    }
  }

  event(name, data, written, status) {
    if (name === "choices") {
      status.before(element("h3", { text: "Choices" }), scoreList(data, this.target));
      status.textContent = this.generate.checked ? "It writes …" : "";
    } else if (name === "note") {
      status.before(element("p", { class: "notice", text: data.message }));
    } else if (name === "text") {
      if (!written.isConnected) status.before(element("h3", { text: "Answer" }), written);
      written.append(data.piece);
      status.textContent = "It writes …";
    } else if (name === "done") {
      const seconds = typeof data.seconds === "number" ? ` in ${data.seconds.toFixed(1)} s` : "";
      status.textContent = data.tokens ? `${plural(data.tokens, "token")}${seconds}.` : `Done${seconds}.`;
    } else if (name === "error") {
      status.textContent = "";
      this.results.append(fault(data));
    }
  }

  close() { this.control?.abort(); }
}

export async function open(root, start) {
  const trial = await new Trial(start).open(root, start);
  return {
    update: () => {}, step: (by) => trial.rows.move(trial.rows.row + by), run: () => (trial.runButton.disabled ? say("No model; start the studio with --model.", "error") : trial.run()),
    stop: () => trial.control?.abort(), focus: () => trial.runButton.focus(), close: () => trial.close(),
  };
}
