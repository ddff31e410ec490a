// What the editor offers: the row's columns, their content, and the sandbox's own words.

/** Filters that templates may use: Jinja's that the sandbox lets through, and ours. */
export const FILTERS = (
  "abs batch capitalize center choice count d default dictsort escape first float format groupby indent int items join last " +
  "length list lower map max min most_frequent plural random reject rejectattr replace reverse round select selectattr slice " +
  "sort string sum title trim truncate unique upper wordcount wordwrap"
).split(" ");
export const FUNCTIONS = ["range", "zip", "namespace"];

/** Columns as completions; a hyphen in a name is an underscore to Jinja. */
export function variables(columns) {
  return [...columns.map(({ name, type }) => ({ label: name.replaceAll("-", "_"), detail: type })), { label: "answer_choices", detail: "list of choices" }];
}

/** Names of fields below a path of names, in the row at hand. */
export function properties(row, path) {
  let value = row ?? {};
  for (const name of path) {
    if (Array.isArray(value)) value = value[0];
    if (value === null || typeof value !== "object") return [];
    value = value[name] ?? value[Object.keys(value).find((key) => key.replaceAll("-", "_") === name)];
  }
  return value && typeof value === "object" && !Array.isArray(value) ? Object.keys(value) : [];
}
