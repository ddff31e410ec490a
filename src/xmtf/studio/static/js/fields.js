// Name, language, answer choices and metadata of a template, as fields of a form.
import { element, field } from "./dom.js";

const said = [["", "not set"], ["true", "yes"], ["false", "no"]];
const METRICS = ["Accuracy", "Squad", "ROUGE", "BLEU", "COQA F1", "Edit Distance", "Other"];
const listed = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

export class Fields {
  constructor(change) {
    const input = (id, more = {}) => element("input", { type: "text", id, autocomplete: "off", ...more });
    const choice = (id) => element("select", { id }, said.map(([value, text]) => element("option", { value, text })));
    this.name = input("field-name", { dir: "auto" });
    this.language = input("field-language", { spellcheck: "false", class: "code" });
    this.choices = input("field-choices", { dir: "auto", placeholder: "Yes ||| No, or nothing" });
    this.original = choice("field-original");
    this.named = choice("field-named");
    this.metrics = input("field-metrics", { list: "metric-names" });
    this.reference = input("field-reference", { dir: "auto" });
    this.root = element("form", { class: "fields", "aria-label": "Fields", on: { submit: (event) => event.preventDefault(), input: change } },
      field("Name", this.name, { class: "wide-field" }), field("Answer choices", this.choices, { class: "wide-field" }),
      field("Language", this.language), field("Asks the original task", this.original), field("Inputs name the choices", this.named),
      field("Metrics", this.metrics), field("Reference", this.reference, { class: "wide-field" }),
      element("datalist", { id: "metric-names" }, METRICS.map((value) => element("option", { value }))));
  }

  show(template) {
    this.shown = template;
    this.name.value = template.name;
    this.language.value = template.language;
    this.choices.value = template.answer_choices ?? "";
    this.original.value = String(template.metadata.original_task ?? "");
    this.named.value = String(template.metadata.choices_in_prompt ?? "");
    this.metrics.value = template.metadata.metrics.join(", ");
    this.reference.value = template.reference ?? "";
  }

  /** All fields but the Jinja source; what was not touched stays as it came. */
  read() {
    const { metadata } = this.shown;
    const language = this.language.value.trim();
    const tri = (control) => (control.value === "" ? null : control.value === "true");
    const metrics = this.metrics.value === metadata.metrics.join(", ") ? metadata.metrics : listed(this.metrics.value);
    return {
      name: this.name.value, language,
      answer_choices: this.choices.value === "" ? null : this.choices.value,
      reference: this.reference.value,
      metadata: {
        original_task: tri(this.original), choices_in_prompt: tri(this.named), metrics,
        languages: language === this.shown.language ? metadata.languages : [language],
      },
    };
  }

  focus() { this.name.focus(); }
}
