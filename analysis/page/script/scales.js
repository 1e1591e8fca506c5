/* Numbers as text, and scales of axes. */

/** Return a number as the sentences write it: three digits from 100 on, else two. */
function rounded(value) {
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < 1) return value.toFixed(1 - size);
  const unit = 10 ** Math.max(size - 2, 0);
  return String(Math.round(value / unit) * unit);
}

function digits(value) {
  return String(Number(value.toPrecision(3)));
}

/** Return an integer with all its digits, and any other number rounded. */
function count(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : rounded(value);
}

const TIMES = [[172800, 86400, "days"], [7200, 3600, "h"], [120, 60, "min"], [1, 1, "s"], [1e-3, 1e-3, "ms"], [0, 1e-6, "µs"]];

/** Return seconds in the unit that suits them. */
function duration(seconds) {
  const [, size, unit] = TIMES.find(([least]) => seconds >= least);
  return `${rounded(seconds / size)} ${unit}`;
}

/** Return an estimate as text, or its bound. */
function estimate(record) {
  const { value, low, high, interval } = record;
  if (value !== null) return `= ${rounded(value)} (${rounded(low)}–${rounded(high)})`;
  if (low !== null) return `> ${rounded(low)} (${interval})`;
  return high === null ? interval : `< ${rounded(high)} (${interval})`;
}

/** Return a logarithmic scale: `at(value)` in pixels, `of(pixels)`, and its `ticks`. */
function logScale(low, high, from, to) {
  const start = Math.log(low);
  const slope = (to - from) / (Math.log(high) - start || 1);
  return {
    low,
    high,
    at: (value) => from + (Math.log(value) - start) * slope,
    ticks: (most) => logTicks(low, high, most),
  };
}

function linearScale(low, high, from, to) {
  const slope = (to - from) / (high - low || 1);
  return { low, high, at: (value) => from + (value - low) * slope, ticks: (most) => evenTicks(low, high, most) };
}

/** Return decades with 1, 2, 5 between them where there is room, at most `most` of them. */
function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const made = (digits, every) => {
    const found = [];
    for (let power = first; power <= last; power += every) {
      for (const digit of digits) found.push(Number(`${digit}e${power}`));
    }
    return found.filter((value) => value >= low && value <= high);
  };
  const tried = [[[1, 2, 3, 4, 5, 6, 7, 8, 9], 1], [[1, 2, 5], 1], [[1, 3], 1], [[1], 1], [[1], 2], [[1], 3], [[1], 6]];
  const decades = tried.map((one) => made(...one)).find((ticks) => ticks.length <= most) || [];
  return decades.length >= 2 ? decades : evenTicks(low, high, Math.min(most, 4)).filter((value) => value > 0);
}

function evenTicks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1);
  const unit = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((one) => one * unit).find((one) => one >= rough) || unit;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) {
    found.push(Number(value.toPrecision(10)));
  }
  return found;
}

/** Return the extent of the positive numbers among some values, with a margin. */
function logExtent(values, margin) {
  const known = values.filter((value) => value !== null && value > 0 && Number.isFinite(value));
  if (!known.length) return [1, 10];
  let low = Infinity;
  let high = 0;
  for (const value of known) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low / margin, high * margin];
}
