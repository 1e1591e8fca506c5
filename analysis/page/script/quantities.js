/* What the curve may show: steps, examples, time, money. */

/*
 * What the y axis may show: its label, the factor of a step at a batch size, how a value is written,
 * and for what `batchscale cost` computed, the names in its rows.
 */
const QUANTITIES = {
  steps: {
    label: "Steps",
    axis: (study) => study.steps_axis,
    factor: () => 1,
    write: (value, study) => `${count(value)} ${study.summary.unit}`,
  },
  examples: {
    label: "Examples",
    axis: () => "Examples to target",
    factor: (study, size) => size * study.local_steps,
    write: (value) => `${count(value)} examples`,
  },
  time: {
    label: "Time",
    known: (study) => study.cost !== null,
    axis: () => "Time to target on one device (s)",
    factor: stepSeconds,
    write: duration,
    of: "seconds",
  },
  money: {
    label: "Money",
    known: (study) => study.cost !== null && study.cost.terms.price !== null,
    axis: (study) => `Money to target, at ${study.cost.terms.price} an hour`,
    factor: (study, size) => stepSeconds(study, size) * hourly(study),
    write: (value) => rounded(value),
    of: "money",
  },
};

function hourly(study) {
  return study.cost.terms.price / 3600;
}

/** Return the time of a step, between two timed batch sizes by a power law; NaN outside. */
function stepSeconds(study, size) {
  const timed = study.cost.rows.filter((row) => row.step_seconds !== null);
  const above = timed.find((row) => row.batch_size >= size);
  const below = timed.findLast((row) => row.batch_size <= size);
  if (!above || !below) return NaN;
  if (above === below) return above.step_seconds.value;
  const share = Math.log(size / below.batch_size) / Math.log(above.batch_size / below.batch_size);
  return below.step_seconds.value ** (1 - share) * above.step_seconds.value ** share;
}
