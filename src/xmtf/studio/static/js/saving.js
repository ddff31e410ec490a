// Saving a template, and what happens when the file changed on disk meanwhile.
import { post, put, remove } from "./api.js";
import { ask, words } from "./dialogs.js";
import { showDiff } from "./diff.js";
import { element } from "./dom.js";

const conflictText = "The file changed on disk since it was opened. Nothing was written. The difference between the file on disk (−) and your version (+):";

async function settle(key, conflict, again) {
  const chosen = await ask("The file changed on disk", element("div", {}, words(conflictText), showDiff(conflict.diff)), [
    ["keep", "Keep both: save mine next to it", "primary"],
    ["mine", "Save mine into the changed file"],
    ["theirs", "Load theirs, keep mine as a draft"],
    [null, "Cancel", "quiet"],
  ], "wide-dialog");
  if (chosen === "keep") {
    const { file } = await post("keep", { key, text: conflict.mine.text });
    return { kept: `Your version is kept in ${file ?? "a file next to it"}; the file on disk is unchanged.` };
  }
  if (chosen === "mine") return again(conflict.theirs.version, true);
  return chosen === "theirs" ? { reread: true } : null;
}

/**
 * Call `send(version)`, which writes; on a conflict ask.
 *
 * Resolves with the server's answer, {kept: what to say of it}, {reread}, or null when it was called off.
 */
export async function write(key, version, send, force = false) {
  try {
    return await send(version, force);
  } catch (error) {
    if (error.code !== "conflict") throw error;
    return settle(key, error.body, (newer, forced) => write(key, newer, send, forced));
  }
}

export const save = (key, version, id, template) =>
  write(key, version, (now, force) => put("templates", { key, version: now, id, template, force }));

export async function erase(key, version, template) {
  const sure = await ask(`Delete “${template.name}”?`, words("It is removed from the file. Everything else in the file keeps its bytes."), [
    ["yes", "Delete", "danger"], [null, "Cancel", "primary"],
  ]);
  return sure ? remove("templates", { key, version, id: template.id }) : null;
}
