/* Hyperparameters against batch size: the best, the range of those near it, and scaling rules. */

const RULES = { "linear rule": "linear", "square root rule": "square-root" };

function hyperparameterCharts(section, study) {
  const host = section.querySelector("[data-part=hyperparameters]");
  const names = [...new Set(study.near_best.map((row) => row.hyperparameter))];
  for (const name of names) {
    const figure = element("figure", { class: "chart small" });
    host.append(figure);
    const rows = study.near_best.filter((row) => row.hyperparameter === name).map((row) => turned(study, row));
    const label = labelOf(study, name);
    figure.append(element("figcaption", {}, label));
    chart(figure, 250, () => `${label} against batch size`, (frame) => drawHyperparameter(frame, study, name, rows, label));
  }
}

/** Return a row with the values to draw: 1 - value on a reversed scale. */
function turned(study, row) {
  if (!isReversed(study, row.hyperparameter)) return row;
  return { ...row, best: 1 - row.best, low: 1 - row.high, high: 1 - row.low };
}

function drawHyperparameter(frame, study, name, rows, label) {
  const sizes = rows.map((row) => row.batch_size);
  const x = logScale(...logExtent(sizes, 1.3), frame.left, frame.right);
  const entry = study.space.find((one) => one.name === name);
  const values = rows.flatMap((row) => [row.low, row.high]);
  const linear = (entry && entry.scale === "linear") || values.some((value) => value <= 0);
  const pad = 0.08 * (Math.max(...values) - Math.min(...values)) || 0.1;
  const y = linear
    ? linearScale(Math.min(...values) - pad, Math.max(...values) + pad, frame.bottom, frame.top)
    : logScale(...logExtent(values, 1.6), frame.bottom, frame.top);
  axes(frame, x, y, [study.batch_axis, label], sizes);
  const inside = clipped(frame);
  for (const [rule, mark] of Object.entries(RULES)) {
    const column = `${name}, ${rule}`;
    const known = study.rules.filter((row) => row[column] > 0);
    drawn(inside, "path", { class: `line ${mark}`, d: path(known.map((row) => [x.at(row.batch_size), y.at(row[column])])) });
  }
  for (const row of rows) {
    const at = x.at(row.batch_size);
    drawn(inside, "line", { class: "near", x1: at, x2: at, y1: y.at(row.low), y2: y.at(row.high) });
    drawn(inside, "circle", { class: "main", cx: at, cy: y.at(row.best), r: 4.5 });
  }
  const points = rows.map((row) => ({
    x: x.at(row.batch_size),
    y: y.at(row.best),
    lines: [["B =", String(row.batch_size)], [digits(row.best), "in the best trial"], `${digits(row.low)}–${digits(row.high)} in the ${row.trials} within 10%`],
  }));
  findable(frame, `${label} at each batch size: arrow keys go through them`, points, ring(frame.svg, 8));
}
