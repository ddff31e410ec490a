// Makes src/xmtf/studio/static/editor.js and its licences from what package-lock.json names.
// `node build.mjs FOLDER` writes both into FOLDER instead.
import { build } from "esbuild";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const folder = process.argv[2] ?? "../src/xmtf/studio/static";

const result = await build({
  entryPoints: ["src/editor.mjs"],
  outfile: join(folder, "editor.js"),
  // Prompts are plain text between their statements: the parsers of HTML, CSS and JavaScript stay out.
  alias: { "@codemirror/lang-html": "./src/plain.mjs" },
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  banner: { js: "// CodeMirror and Lezer, bundled by frontend/build.mjs. Licences: editor-licences.txt beside this file." },
  metafile: true,
});

const packages = new Set();
for (const path of Object.keys(result.metafile.inputs)) {
  const named = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
  if (named) packages.add(named[1]);
}
const parts = [];
for (const name of [...packages].sort()) {
  const home = join("node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
  const file = (await readdir(home)).find((candidate) => /^licen[cs]e/i.test(candidate));
  if (!file) throw new Error(`${name} has no licence file`);
  const text = (await readFile(join(home, file), "utf8")).replaceAll("\r\n", "\n").trim();
  parts.push(`${name} ${version} (${license})\n\n${text}\n`);
}
const rule = `\n${"-".repeat(80)}\n\n`;
await writeFile(join(folder, "editor-licences.txt"), `editor.js is made of these packages.\n${rule}${parts.join(rule)}`);
