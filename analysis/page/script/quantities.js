/*
 * The quantities that the y axis can show: label, amount for steps at a batch size, text of a value,
 * and `of`, the name in the rows of `batchscale cost`.
 */
const QUANTITIES = {
  steps: {
    label: "Steps",
    axis: (study) => study.steps_axis,
    amount: (study, size, steps) => steps,
    write: (value, study) => `${count(value)} ${study.summary.unit}`,
  },
  examples: {
    label: "Examples",
    axis: () => "Examples to target",
    amount: examplesOf,
    write: (value) => `${count(value)} examples`,
  },
  time: {
    label: "Time",
    known: (study) => study.cost !== null,
    axis: () => "Time to target on one device (s)",
    amount: (study, size, steps) => steps * stepSeconds(study, size),
    write: duration,
    of: "seconds",
  },
  money: {
    label: "Money",
    known: (study) => study.cost !== null && study.cost.terms.price !== null,
    axis: (study) => `Money to target, at ${study.cost.terms.price} an hour`,
    amount: (study, size, steps) => steps * stepSeconds(study, size) * hourly(study),
    write: rounded,
    of: "money",
  },
};

/** Return the examples of some steps, whose batches change if the study has plans. */
function examplesOf(study, size, steps) {
  const stages = study.batch_plans[size] || [[0, size * study.local_steps]];
  return stages.reduce((sum, [first, each], index) => {
    const end = index + 1 < stages.length ? stages[index + 1][0] : steps;
    return sum + each * Math.max(0, Math.min(steps, end) - first);
  }, 0);
}

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
