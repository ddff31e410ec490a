// Axes: round numbers between the least and the greatest value, and where they stand.

/** Round numbers of an axis from `low` to `high`, about `wanted` of them. */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) found.push(place * step || 0);
  return found;
}

/** Powers of ten and their doubles and fives between two positive numbers; plain round numbers where those are few. */
function logarithmicTicks(low, high, wanted) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const one of [1, 2, 5]) {
      const value = one * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found.length >= 2 ? found : ticks(low, high, wanted);
}

/** An axis over values: `at(value)` is its place in pixels between `from` and `to`. */
export function axis(low, high, from, to, { logarithmic = false, wanted = 5 } = {}) {
  const turn = logarithmic ? Math.log10 : (value) => value;
  const first = turn(low);
  const span = turn(high) - first || 1;
  return {
    at: (value) => from + ((turn(value) - first) / span) * (to - from),
    ticks: logarithmic ? logarithmicTicks(low, high, wanted) : ticks(low, high, wanted),
    low,
    high,
  };
}

/** The range of an axis for values: some room around them, from zero where they all lie near it. */
export function range(values, { zero = false, logarithmic = false } = {}) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || (logarithmic && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return null;
  if (logarithmic) return low === high ? [low / 2, high * 2] : [low / 1.04, high * 1.04];
  if (zero && low >= 0) low = 0;
  if (low === high) { low -= Math.abs(low) * 0.1 || 1; high += Math.abs(high) * 0.1 || 1; }
  const room = (high - low) * 0.05;
  return [zero && low === 0 ? 0 : low - room, high + room];
}
