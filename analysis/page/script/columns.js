/* The columns of the curve, each with the trials, seeds and hyperparameters of a batch size. */

/** Lay a button over the column of each batch size, for pointer and keyboard. */
function columns(frame, study, now, points, { x, y, choose, chosen, times }) {
  const centers = points.map((point) => x.at(point.row.batch_size));
  const buttons = points.map((point, index) => {
    const left = index ? (centers[index - 1] + centers[index]) / 2 : frame.left;
    const right = index < points.length - 1 ? (centers[index] + centers[index + 1]) / 2 : frame.right;
    const lines = stepsLines(study, now, point, times);
    const button = element("button", { type: "button", class: "column", "aria-label": spoken(lines) });
    Object.assign(button.style, { left: `${left}px`, width: `${right - left}px`, top: `${frame.top}px`, height: `${frame.bottom - frame.top}px` });
    const height = y.at(point[point.fitted] ?? point.fewest ?? point.bound ?? y.low);
    const show = () => showTip(frame.canvas, centers[index], height, lines);
    button.addEventListener("pointerenter", show);
    button.addEventListener("focus", show);
    button.addEventListener("pointerleave", hideTip);
    button.addEventListener("blur", hideTip);
    button.addEventListener("click", () => {
      mark(index);
      choose(point.row.batch_size);
    });
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && buttons[index + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    frame.canvas.append(button);
    return button;
  });
  const mark = (index) => {
    buttons.forEach((button, one) => {
      button.setAttribute("aria-pressed", String(one === index));
      button.tabIndex = one === index ? 0 : -1;
    });
    chosen.setAttribute("x", centers[index] - 11);
    chosen.setAttribute("width", 22);
  };
  mark(Math.max(0, points.findIndex((point) => point.row.batch_size === now.size)));
}

/** Return what is known of a batch size, line by line. */
function stepsLines(study, now, point, times) {
  const view = study.views[now.view];
  const search = study.searches.find((one) => one.batch_size === point.row.batch_size);
  const write = (value) => QUANTITIES[now.quantity].write(value, study);
  const known = point.cost ? costLines(study, point, write) : measuredLines(point, search, times, write);
  const lines = [["B =", String(point.row.batch_size)], ...known];
  const counts = data.statuses.filter((status) => point.row[status]).map((status) => `${point.row[status]} ${status}`);
  if (counts.length) lines.push(counts.join(", "));
  if (view.chosen && !point.cost) {
    const [fit, place] = [view.fits[view.chosen], view.at.indexOf(point.row.batch_size)];
    const of = (name) => times(point.row.batch_size, fit[name][place]);
    const [value, low, high] = ["steps", "low", "high"].map(of);
    if (value !== null) lines.push(`${view.chosen} fit: ${rounded(value)}${ends({ low, high }, rounded)}`);
  }
  return lines.filter((line) => line);
}

function measuredLines(point, search, times, write) {
  const { row } = point;
  const lines = [];
  if (point.median !== null) {
    lines.push([`${write(point.median)}${ends(point, rounded)}`, `median over ${row.seeds} fresh seeds of ${row.replicate_of}`]);
    const seeds = search ? [...search.fresh].sort((one, other) => (one ?? Infinity) - (other ?? Infinity)) : [];
    if (seeds.length) lines.push(`seeds: ${seeds.map((steps) => (steps === null ? "missed" : count(times(row.batch_size, steps)))).join(", ")}`);
    lines.push(valuesText(search, row.replicate_of));
  }
  if (point.fewest !== null) {
    const winner = `${row.role} ${row.trial}`;
    lines.push([write(point.fewest), `fewest over ${row.trials} trials, ${winner}`]);
    lines.push(valuesText(search, winner));
  }
  if (point.bound !== null) {
    const why = point.fewest === null ? `no trial of ${row.trials} reached the target` : `half or more of ${row.seeds} fresh seeds missed the target`;
    lines.push([`> ${write(point.bound)}`, why]);
  }
  return lines;
}

function costLines(study, point, write) {
  const { steps, step_seconds: step } = point.cost;
  const lines = [];
  if (point.median !== null) {
    const how = `${rounded(steps.value)} ${study.summary.unit} of ${duration(step.value)}`;
    lines.push([`${write(point.median)}${ends(point, write)}`, `the estimated optimum: ${how}`]);
  }
  if (point.fewest !== null) lines.push([write(point.fewest), "the best point found"]);
  return lines;
}

function ends(point, write) {
  return point.low === null || point.high === null ? "" : ` (${write(point.low)}–${write(point.high)})`;
}

/** Return role and number of a trial that is shown. */
function nameOf(search, index) {
  return `${data.roles[Number(search.role[index])]} ${search.trial[index]}`;
}

/** Return the hyperparameters of the trial of that name, if it is shown. */
function valuesText(search, name) {
  const index = search ? search.trial.findIndex((_, one) => nameOf(search, one) === name) : -1;
  return index < 0 ? "" : pointText(search, index);
}

function pointText(search, index) {
  return Object.entries(search.point)
    .map(([name, values]) => `${name} ${values[index] === null ? "–" : digits(values[index])}`)
    .join(", ");
}
