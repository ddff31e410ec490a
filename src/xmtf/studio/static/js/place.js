// Where one is: a page, a file of templates, a task, a row. It is in the address, so it can be kept and shared.

export function here() {
  const [page, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { page: page || "browse", ...Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a place; what is null or empty is left out. */
export function address({ page, ...rest }) {
  const given = Object.entries(rest).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `#/${page}${query ? `?${query}` : ""}`;
}

/** Go to a place that differs from this one in `changes`; with `quiet` nothing is told and Back does not stop here. */
export function go(changes, quiet = false) {
  const target = address({ ...here(), ...changes });
  if (target === location.hash) return;
  if (quiet) history.replaceState(null, "", target);
  else location.hash = target;
}
