// The server's interface: JSON, and one stream of events.

export class ApiError extends Error {
  /** An answer that is no success: its HTTP status and its body. */
  constructor(status, body) {
    super(body?.error?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body?.error?.code ?? "";
    this.line = body?.error?.line ?? null;
    this.body = body;
  }
}

async function answer(method, path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: { message: "The studio does not answer; is `xmtf template serve` still running?" } });
  }
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
  return response;
}

export async function get(path, query = {}, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  return (await answer("GET", `api/${path}${search ? `?${search}` : ""}`, undefined, signal)).json();
}

const sender = (method) => async (path, body, signal) => (await answer(method, `api/${path}`, body, signal)).json();
export const post = sender("POST");
export const put = sender("PUT");
export const remove = sender("DELETE");

function parsed(block) {
  let name = "message";
  const lines = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) lines.push(line.slice(5).replace(/^ /, ""));
  }
  return lines.length ? { name, data: JSON.parse(lines.join("\n")) } : null;
}

/** Yield the server-sent events ({name, data}) of an answer as they come. */
export async function* stream(path, body, signal) {
  const response = await answer("POST", `api/${path}`, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    waiting += value ?? "";
    const blocks = waiting.split(/\r?\n\r?\n/);
    waiting = done ? "" : blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event) yield event;
    }
    if (done) return;
  }
}

/** Asks of which only the latest counts: an earlier one is given up, and then yields undefined. */
export function latest(ask) {
  let control = null;
  const run = async (...values) => {
    control?.abort();
    const mine = new AbortController();
    control = mine;
    try {
      const found = await ask(...values, mine.signal);
      return control === mine ? found : undefined;
    } catch (error) {
      if (error.name === "AbortError" || control !== mine) return undefined;
      throw error;
    }
  };
  run.stop = () => control?.abort();
  return run;
}
