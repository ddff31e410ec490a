// The template editor: CodeMirror 6 with Jinja, in a shadow root, so that its styles are constructable style sheets,
// which a content security policy without 'unsafe-inline' allows.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { closePercentBrace, jinjaCompletionSource, jinjaLanguage } from "@codemirror/lang-jinja";
import { bidiIsolates, bracketMatching, HighlightStyle, LanguageSupport, syntaxHighlighting } from "@codemirror/language";
import { forEachDiagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState } from "@codemirror/state";
import {
  Decoration, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap,
  lineNumbers, MatchDecorator, placeholder, ViewPlugin,
} from "@codemirror/view";
import { NodeProp } from "@lezer/common";
import { tags } from "@lezer/highlight";

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.controlKeyword, tags.definitionKeyword, tags.operatorKeyword, tags.logicOperator], color: "var(--code-keyword)" },
  { tag: [tags.variableName, tags.propertyName], color: "var(--code-name)" },
  { tag: tags.special(tags.variableName), color: "var(--code-filter)" },
  { tag: [tags.string, tags.number, tags.bool], color: "var(--code-value)" },
  { tag: tags.blockComment, color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.brace, tags.punctuation, tags.paren, tags.operator, tags.compareOperator, tags.arithmeticOperator], color: "var(--code-mark)" },
]);

const looks = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--paper)", fontSize: "0.92rem", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: 'ui-monospace, "Noto Sans Mono", monospace', lineHeight: "1.6", minHeight: "var(--editor-height, 14rem)" },
  ".cm-content": { caretColor: "var(--ink)", padding: "0.5rem 0" },
  ".cm-line": { padding: "0 0.5rem" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--select)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--soft)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine, &.cm-focused .cm-activeLineGutter": { backgroundColor: "var(--card)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--select)" },
  ".cm-parting": { color: "var(--accent)", fontWeight: "700" },
  ".cm-finding-line": { backgroundColor: "var(--bad-tint)" },
  ".cm-tooltip": { backgroundColor: "var(--paper)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "0.4rem", boxShadow: "0 4px 18px var(--shade)", overflow: "hidden" },
  ".cm-tooltip-autocomplete ul li": { padding: "0.2rem 0.6rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: "0.75" },
  ".cm-diagnostic": { padding: "0.35rem 0.7rem", fontFamily: 'system-ui, "Noto Sans", sans-serif', fontSize: "0.88rem" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--flat)" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--accent)" },
  ".cm-placeholder": { color: "var(--soft)" },
});

const partings = new MatchDecorator({ regexp: /\|\|\|/g, decoration: Decoration.mark({ class: "cm-parting" }) });
const markPartings = ViewPlugin.fromClass(
  class {
    constructor(view) { this.decorations = partings.createDeco(view); }
    update(update) { this.decorations = partings.updateDeco(update, this.decorations); }
  },
  { decorations: (plugin) => plugin.decorations },
);

// Statements read from left to right, also between the words of a right-to-left language.
const language = jinjaLanguage.configure({ props: [NodeProp.isolate.add({ "Interpolation Tag Comment": "ltr" })] });

const TAGS = "if elif else endif for endfor set endset raw endraw macro endmacro filter endfilter with endwith".split(" ");
const WORDS = "and or not in is defined none true false loop".split(" ");

/** Whether a place is inside {{ }} or {% %}, also where the end is not written yet. */
function inStatement(state, pos) {
  const before = state.doc.sliceString(Math.max(pos - 5000, 0), pos);
  return Math.max(before.lastIndexOf("{{"), before.lastIndexOf("{%")) > Math.max(before.lastIndexOf("}}"), before.lastIndexOf("%}"));
}

const severities = { error: "error", warning: "warning", note: "info" };

function diagnostics(state, findings) {
  const placed = [];
  for (const { severity, code, message, line } of findings) {
    const at = state.doc.line(Math.min(Math.max(line ?? 1, 1), state.doc.lines));
    placed.push({ from: at.from, to: at.to, severity: severities[severity] ?? "info", message: code ? `${message} (${code})` : message, markClass: "cm-finding" });
  }
  return placed.sort((a, b) => a.from - b.from);
}

/**
 * Put an editor into `parent`.
 *
 * `variables()` gives what stands in the row as [{label, detail}], `properties(path)` the names below a path of names,
 * `filters` and `functions` what a template may
 * use. `change(text)` is called after every change that a person makes.
 */
export function createEditor(parent, { text = "", label, direction = "ltr", hint = "", variables = () => [], properties = () => [], filters = [], functions = [], change = () => {} }) {
  const root = parent.attachShadow({ mode: "open" });
  const frame = document.createElement("div");
  root.append(frame);
  const sides = new Compartment(), writing = new Compartment();
  let quiet = false, locked = false;

  const named = (names, type, boost) => names.map((name) => (typeof name === "string" ? { label: name, type, boost } : { ...name, type, boost }));
  /** Offer what the sandbox lets through, not all that Jinja has: its own lists are told by a word that only one has. */
  function complete(context) {
    if (!inStatement(context.state, context.pos)) return context.explicit ? printedVariables(context.pos) : null;
    const found = jinjaCompletionSource({ properties: (path) => named(properties(path), "property", 50) })(context);
    const has = (word) => found?.options.some((option) => option.label === word);
    if (has("capitalize")) found.options = named(filters, "function", 1);
    else if (has("endraw")) found.options = named(TAGS, "keyword", 1);
    else if (has("lipsum")) found.options = [...named(variables(), "variable", 50), ...named(functions, "function", 1), ...named(WORDS, "keyword", 1)];
    return found;
  }
  const printedVariables = (pos) => ({ from: pos, options: named(variables(), "variable", 1).map((one) => ({ ...one, apply: `{{ ${one.label} }}` })) });
  let turned = direction;
  const attributes = (dir, name) => EditorView.contentAttributes.of({ dir, "aria-label": name, spellcheck: "false" });

  const extensions = [
    lineNumbers(), highlightActiveLine(), highlightActiveLineGutter(), highlightSpecialChars(), history(), drawSelection(),
    EditorView.lineWrapping, bracketMatching(), closeBrackets(), closePercentBrace,
    new LanguageSupport(language), syntaxHighlighting(colours), looks, markPartings, bidiIsolates({ alwaysIsolate: true }),
    autocompletion({ override: [complete], icons: false }), lintGutter(), placeholder(hint),
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap]),
    sides.of(attributes(direction, label)), writing.of(EditorState.readOnly.of(false)),
    EditorView.updateListener.of((update) => { if (update.docChanged && !quiet) change(update.state.doc.toString()); }),
  ];
  const start = (content) => EditorState.create({ doc: content, extensions });
  const view = new EditorView({ state: start(text), parent: frame, root });

  return {
    view,
    text: () => view.state.doc.toString(),
    /** Replace everything: another template, whose undo begins anew. */
    open(content, dir = direction, name = label) {
      quiet = true;
      view.setState(start(content));
      turned = dir;
      view.dispatch({ effects: [sides.reconfigure(attributes(dir, name)), writing.reconfigure(EditorState.readOnly.of(locked))] });
      quiet = false;
    },
    /** Replace the text as an edit, which undo takes back. */
    write(content) { view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: content } }); },
    direction: () => turned,
    turn(dir) { turned = dir; view.dispatch({ effects: sides.reconfigure(attributes(dir, label)) }); },
    lock(on) { locked = on; view.dispatch({ effects: writing.reconfigure(EditorState.readOnly.of(on)) }); },
    mark(findings) { view.dispatch(setDiagnostics(view.state, diagnostics(view.state, findings))); },
    /** Lines, counted from 1, at which something is found. */
    marked() {
      const lines = new Set();
      forEachDiagnostic(view.state, (_, from) => lines.add(view.state.doc.lineAt(from).number));
      return [...lines];
    },
    go(line) {
      const at = view.state.doc.line(Math.min(Math.max(line, 1), view.state.doc.lines));
      view.dispatch({ selection: { anchor: at.from }, effects: EditorView.scrollIntoView(at.from, { y: "center" }) });
      view.focus();
    },
    focus() { view.focus(); },
    close() { view.destroy(); },
  };
}
