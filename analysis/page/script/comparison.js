/* Several studies in one drawing. */

const SHAPES = [MARKS.reached, MARKS.capped, MARKS.exhausted, MARKS.pruned, "M0-5L5 0L0 5L-5 0Z"];

function comparisonChart(section, compared) {
  const { record } = compared;
  const studies = record.studies.map((study, index) => ({
    ...study,
    place: index % SHAPES.length,
    rows: record.table.filter((row) => row.study === study.name),
    divisor: record.normalisation.steps[study.name],
  }));
  let relative = "steps";
  let redraw = () => {};
  const options = [["steps", "Steps"]];
  if (record.normalisation.batch_size !== null) options.push(["relative", `Relative to B = ${record.normalisation.batch_size}`]);
  relative = radios(section.querySelector("[data-controls=comparison]"), "comparison steps", "Show", options, (value) => {
    relative = value;
    redraw();
  });
  const legend = section.querySelector("[data-legend=comparison]");
  const on = switches(legend, "comparison studies", "Studies", studies.map((study) => ({ name: study.name, label: study.label, mark: `study-${study.place}`, on: true })), () => redraw());
  const label = () => `Steps to target against batch size of ${studies.length} studies; the tables below have the same numbers`;
  redraw = chart(section.querySelector("[data-chart=comparison]"), (width) => Math.max(320, Math.min(480, width * 0.5)), label, (frame) => {
    const shown = studies.filter((study) => on.has(study.name));
    const steps = (study, value) => (value === null ? null : relative === "steps" ? value : value / study.divisor);
    drawComparison(frame, shown, compared, { steps, relative });
  });
}

function drawComparison(frame, studies, compared, { steps, relative }) {
  const { record, at, curves } = compared;
  const sizes = [...new Set(studies.flatMap((study) => study.rows.map((row) => row.batch_size)))].sort((one, other) => one - other);
  if (!sizes.length) return note(frame, "No study is shown.");
  const values = studies.flatMap((study) => study.rows.map((row) => steps(study, row.compared ?? row.bound)));
  const x = logScale(...logExtent(sizes, 1.3), frame.left, frame.right);
  const y = logScale(...logExtent(values, 1.4), frame.bottom, frame.top);
  axes(frame, x, y, [compared.batch_axis, relative === "steps" ? compared.steps_axis : "Steps, relative"], sizes);
  const inside = clipped(frame);
  const points = [];
  for (const study of studies) {
    const group = drawn(inside, "g", { class: `study-${study.place}` });
    const own = curves[study.name];
    const [first, last] = [study.rows[0].batch_size, study.rows.at(-1).batch_size];
    const curve = own ? at.map((size, index) => [x.at(size), y.at(steps(study, own[index])), size]) : [];
    drawn(group, "path", { class: "line", d: path(curve.filter((point) => point[2] >= first && point[2] <= last)) });
    for (const row of study.rows) {
      const value = steps(study, row.compared ?? row.bound);
      if (value === null) continue;
      const [left, top] = [x.at(row.batch_size), y.at(value)];
      if (record.compared !== "fewest steps" && row.low && row.high && !row.missed) {
        drawn(group, "line", { class: "bar", x1: left, x2: left, y1: y.at(steps(study, row.low)), y2: y.at(steps(study, row.high)) });
      }
      const shape = row.missed ? "M0 0V-16M-4-11L0-17L4-11" : SHAPES[study.place];
      drawn(group, "path", { class: row.missed ? "bound" : "mark", d: shape, transform: `translate(${left} ${top})` });
      points.push({ x: left, y: top, lines: [[study.label], [`B = ${row.batch_size}:`, `${row.missed ? "> " : ""}${rounded(value)}${relative === "steps" ? ` ${compared.units[study.name]}` : ""}`]] });
    }
  }
  points.sort((one, other) => one.x - other.x);
  findable(frame, "Steps of all studies: arrow keys go through the points", points, ring(frame.svg, 8));
}
