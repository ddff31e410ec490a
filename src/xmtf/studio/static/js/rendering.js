// A rendered prompt as it will be trained: inputs, then the target; its choices, and what it weighs in tokens.
import { button, chip, element } from "./dom.js";
import { address } from "./place.js";
import { app, languageName, stateWord } from "./settings.js";

const SHOWN = 8000; // characters drawn before one asks for more

/** A text in its own direction, line by line; a very long one is cut until one asks for the rest. */
export function prose(text, kind = "") {
  const made = element("pre", { class: `prose ${kind}`, dir: "auto" });
  made.textContent = text.length > SHOWN ? text.slice(0, SHOWN) : text;
  if (text.length <= SHOWN) return made;
  const more = button(`Show all ${text.length.toLocaleString("en")} characters`, () => {
    made.textContent = text;
    more.remove();
  }, { class: "quiet more" });
  return element("div", {}, made, more);
}

function choices(rendering) {
  if (!rendering.choices?.length) return null;
  return element("ul", { class: "choices", "aria-label": "Answer choices" }, rendering.choices.map((choice, index) =>
    element("li", { class: index === rendering.target_index ? "picked" : "" },
      element("span", { class: "choice", dir: "auto", text: choice }),
      index === rendering.target_index ? element("span", { class: "visually-hidden", text: " (the target)" }) : null)));
}

function dropped(rendering) {
  return element("div", { class: "notice" },
    element("strong", { text: "Dropped by the build. " }), rendering.dropped,
    rendering.remedy ? element("p", { class: "soft", text: rendering.remedy }) : null);
}

const weight = ({ tokens }) => (tokens ? chip(`${tokens.inputs} + ${tokens.targets} tokens`, "tokens", "tokens of the inputs and of the target") : null);

/** What is rendered, without a frame. */
export function body(rendering) {
  const parts = [];
  if (rendering.dropped) parts.push(dropped(rendering));
  if (rendering.inputs) parts.push(element("div", { class: "side" }, element("span", { class: "label", text: "inputs" }), prose(rendering.inputs)));
  for (const target of rendering.targets ?? []) {
    parts.push(element("div", { class: "side target" }, element("span", { class: "label", text: "target" }), prose(target)));
  }
  if (rendering.cut) parts.push(element("p", { class: "soft", text: "A text is too long for the page; only its beginning is shown." }));
  const given = choices(rendering);
  if (given) parts.push(element("div", { class: "side" }, element("span", { class: "label", text: "choices" }), given));
  return parts;
}

/** A card for one rendering; `template` is its entry in the file where that is known. */
export function card(rendering, template, place) {
  const links = template && place ? element("span", { class: "links" },
    element("a", { href: address({ ...place, page: "write", template: template.id, query: null }), text: "Write" }),
    element("a", { href: address({ ...place, page: "try", template: template.id, query: null }), text: "Try" })) : null;
  return element("article", { class: "card rendering" },
    element("header", {},
      element("h3", { text: rendering.name || "draft" }),
      template?.language ? chip(languageName(template.language), "", template.language) : null,
      template?.state && template.state !== "original" ? chip(stateWord(template.state), `state-${template.state}`) : null,
      weight(rendering), links),
    ...body(rendering));
}

/** A select of the tokenizers that count, or null where there is none. */
export function tokenizerPairs() {
  return [["", "none"], ...app.collection.tokenizers.map((name) => [name, name])];
}

/** One line about what kept a template from being rendered. */
export const fault = (error) => element("div", { class: "notice bad", role: "alert" },
  error.line ? element("strong", { text: `Line ${error.line}: ` }) : null, error.message);
