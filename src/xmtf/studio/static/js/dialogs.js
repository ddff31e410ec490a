// Questions in the middle of the page; each is a native dialog, which keeps the focus and closes with Escape.
import { button, element } from "./dom.js";

/**
 * Ask, and resolve with the value of the answer chosen, or null.
 *
 * `answers` are [value, label, kind] in order; the first that is `primary` has the focus.
 */
export function ask(title, body, answers, className = "") {
  return new Promise((resolve) => {
    let chosen = null;
    const foot = answers.map(([value, label, kind = ""]) =>
      button(label, () => { chosen = value; dialog.close(); }, { class: kind, autofocus: kind.includes("primary") }));
    const dialog = element(
      "dialog", { class: className, "aria-labelledby": "dialog-title" },
      element("h2", { id: "dialog-title", text: title }),
      element("div", { class: "dialog-body" }, body),
      element("div", { class: "dialog-foot" }, foot),
    );
    dialog.addEventListener("close", () => { dialog.remove(); resolve(chosen); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export const words = (text) => element("p", { text });
