// Differences between texts, shown line by line.
import { element } from "./dom.js";

const MOST_CELLS = 4_000_000;

/** Lengths of the longest common runs of lines from each pair of places on. */
function lengths(before, after) {
  const width = after.length + 1;
  const table = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      table[i * width + j] = before[i] === after[j]
        ? table[(i + 1) * width + j + 1] + 1
        : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  return (i, j) => table[i * width + j];
}

/** Lines with their marks: " " in both, "-" before alone, "+" after alone. */
export function compare(beforeText, afterText) {
  const before = beforeText.split("\n"), after = afterText.split("\n");
  if (before.length * after.length > MOST_CELLS) return [...before.map((line) => `-${line}`), ...after.map((line) => `+${line}`)];
  const length = lengths(before, after);
  const lines = [];
  let i = 0, j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) { lines.push(` ${before[i]}`); i += 1; j += 1; }
    else if (j >= after.length || (i < before.length && length(i + 1, j) >= length(i, j + 1))) { lines.push(`-${before[i]}`); i += 1; }
    else { lines.push(`+${after[j]}`); j += 1; }
  }
  return lines;
}

const kinds = { "+": "added", "-": "gone", "@": "place" };

/** Show the lines of a difference (unified, or of `compare`). */
export function showDiff(lines) {
  const rows = (typeof lines === "string" ? lines.replace(/\n$/, "").split("\n") : lines).map((line) =>
    element("span", { class: `line ${/^(\+\+\+|---)/.test(line) ? "place" : (kinds[line[0]] ?? "")}`, text: `${line}\n` }));
  return element("pre", { class: "diff", dir: "ltr", tabindex: "0", "aria-label": "Difference" }, rows);
}
