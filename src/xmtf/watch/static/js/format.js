// Numbers and times as people read them. A number that is not finite comes from the server by its name.

/** A number with as many digits as count, or its name ("NaN"); an empty text where there is none. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  const size = Math.abs(value);
  if (size >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  if (size !== 0 && size < 0.001) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

export const whole = (value) => (value === null || value === undefined ? "" : value.toLocaleString("en"));

export const isWrong = (value) => typeof value === "string";

/** Seconds as "45 s", "3 min", "2 h 10 min" or "3 d 4 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago: "now", "12 s ago". */
export function ago(seconds) {
  if (seconds === null) return "";
  return seconds < 2 ? "now" : `${duration(seconds)} ago`;
}
