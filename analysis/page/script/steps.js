/* Steps to target against batch size: points, curves, regimes, critical batch sizes. */

/** Show the curve of a study; `choose(size)` is called when the reader picks a batch size. */
function stepsChart(section, study, key, now, choose) {
  const controls = section.querySelector("[data-controls=steps]");
  const legend = section.querySelector("[data-legend=steps]");
  const host = section.querySelector("[data-chart=steps]");
  let on = {};
  let redraw = () => {};

  const quantities = Object.entries(QUANTITIES)
    .filter(([, one]) => !one.known || one.known(study))
    .map(([name, one]) => [name, one.label]);
  now.quantity = radios(controls, `${key} quantity`, "Show", quantities, (name) => {
    now.quantity = name;
    retitle();
    redraw();
  });
  retitle();
  const quantity = study.summary.quantity;
  const targets = study.views.map((view, index) => [index, `${quantity} < ${view.target} (${view.of})`]);
  now.view = list(controls, `${key} target`, "Target", targets, (index) => {
    now.view = index;
    relist();
    redraw();
    choose(now.size);
  }).value;

  function retitle() {
    const own = now.quantity === "steps" ? study.summary.unit : QUANTITIES[now.quantity].label;
    section.querySelector("[data-quantity]").textContent = own[0].toUpperCase() + own.slice(1);
  }

  /** List the curves and critical batch sizes at the chosen target. */
  function relist() {
    legend.replaceChildren();
    const view = study.views[now.view];
    const curves = Object.keys(view.fits).map((name) => ({
      name,
      label: `${name} fit${view.note}${name === view.chosen ? `, ${100 * view.level}% band` : ""}`,
      mark: `line ${name}`,
      on: name === view.chosen,
    }));
    const others = [];
    const planned = Object.keys(study.batch_plans).length > 0;
    if (!planned && view.rows.some((row) => row.steps !== null)) others.push({ name: "perfect", label: "perfect scaling", mark: "line perfect", on: true });
    if (view.regimes.length) others.push({ name: "regimes", label: "regimes", mark: "shade", on: true });
    on = {
      curves: switches(legend, `${key} curves`, "Curves", [...curves, ...others], () => redraw()),
      critical: switches(
        legend,
        `${key} critical`,
        "Critical batch sizes",
        Object.entries(view.critical).map(([name, size]) => ({
          name,
          label: `${name} ${estimate(size)}`,
          mark: name === "b_crit" ? "square headline" : "square",
          on: name === "b_crit",
        })),
        () => redraw(),
      ),
    };
  }

  relist();
  const label = () => {
    const view = study.views[now.view];
    return `${QUANTITIES[now.quantity].label} to target against batch size, ${view.rows.length} batch sizes; the tables below have the same numbers`;
  };
  redraw = chart(host, (width) => Math.max(320, Math.min(520, width * 0.52)), label, (frame) => {
    drawSteps(frame, study, now, on, choose);
  });
  return redraw;
}

function drawSteps(frame, study, now, on, choose) {
  const view = study.views[now.view];
  const quantity = QUANTITIES[now.quantity];
  const times = (size, steps) => {
    const value = steps === null ? NaN : quantity.amount(study, size, steps);
    return Number.isFinite(value) ? value : null;
  };
  const sizes = view.rows.map((row) => row.batch_size);
  const marks = Object.entries(view.critical).filter(([name]) => on.critical.has(name));
  frame.top += 22 * marks.length;
  const [least, most] = logExtent(sizes, 1.3);
  const x = logScale(least, most, frame.left, frame.right);
  const points = view.rows.map((row) => pointOf(row, view, times));
  if (quantity.of && now.view === 0) points.forEach((point) => takeCost(point, study, quantity));
  const y = logScale(...stepsExtent(points, view, times), frame.bottom, frame.top);
  const names = on.curves.has("regimes") ? drawRegimes(frame, view, x, sizes) : [];
  axes(frame, x, y, [study.batch_axis, quantity.axis(study)], sizes);
  const inside = clipped(frame);
  drawCurves(inside, view, on.curves, x, y, times);
  nameRegimes(frame, names);
  marks.forEach(([name, size], index) => drawCritical(frame, x, name, size, frame.top - 22 * index - 11));
  const chosen = drawn(inside, "rect", { class: "chosen", y: frame.top, height: frame.bottom - frame.top, width: 0 });
  points.forEach((point) => drawPoint(inside, point, x, y));
  columns(frame, study, now, points, { x, y, choose, chosen, times });
}

/** Return the values to draw at a batch size: the median, the fewest steps, or only a bound. */
function pointOf(row, view, times) {
  const bound = view.bounds.find(([size]) => size === row.batch_size);
  const value = (steps) => times(row.batch_size, steps ?? null);
  return {
    row,
    fewest: value(row.steps),
    median: value(row.steps_median),
    low: value(row.low),
    high: value(row.high),
    bound: bound ? value(bound[1]) : null,
    leftOut: bound ? bound[2] : false,
    fitted: view.medians ? "median" : "fewest",
  };
}

/** Take the costs that `batchscale cost` computed for the target of the study. */
function takeCost(point, study, quantity) {
  const row = study.cost.rows.find((one) => one.batch_size === point.row.batch_size);
  const found = row && row.seconds_found;
  const { value = null, low = null, high = null } = (row && row[quantity.of]) || {};
  Object.assign(point, { median: value, low, high, fitted: "median", cost: row });
  point.fewest = found && (quantity.of === "money" ? found * hourly(study) : found);
}

/** Return the range of y; a wide interval is cut, because it would squeeze everything else. */
function stepsExtent(points, view, times) {
  const main = points.flatMap((point) => [point.fewest, point.median, point.bound]).filter((one) => one > 0);
  const [least, most] = logExtent(main, 1);
  const ends = points.flatMap((point) => [point.low, point.high]).filter((one) => one > least / 4 && one < most * 4);
  const curve = view.chosen ? view.fits[view.chosen].steps.map((steps, index) => times(view.at[index], steps)) : [];
  const [low, high] = logExtent([...main, ...ends, ...curve], 1.35);
  return points.some((point) => point.bound !== null) ? [low, high * (high / low) ** 0.1] : [low, high];
}

/** Shade the regimes; return their names, empty where there is no room, and their middles. */
function drawRegimes(frame, view, x, sizes) {
  const group = drawn(frame.svg, "g", { class: "regimes" });
  const names = [];
  view.regimes.forEach(([regime, low, high]) => {
    const left = low <= sizes[0] ? frame.left : x.at(low);
    const right = high >= sizes.at(-1) ? frame.right : x.at(high);
    const shade = { x: left, y: frame.top, width: right - left, height: frame.bottom - frame.top };
    drawn(group, "rect", { ...shade, class: regime.replace(" ", "-") });
    const words = right - left > regime.length * 6.5 ? regime : "";
    names.push([words, (left + right) / 2]);
  });
  return names;
}

/** Write the names of the regimes at the top, over everything drawn so far. */
function nameRegimes(frame, names) {
  const group = drawn(frame.svg, "g", { class: "regimes" });
  for (const [words, x] of names) drawn(group, "text", { x, y: frame.top + 16, "text-anchor": "middle" }, words);
}

function drawCurves(inside, view, on, x, y, times) {
  const place = (value) => (value === null ? null : y.at(value));
  const at = (steps) => view.at.map((size, index) => [x.at(size), place(times(size, steps[index]))]);
  for (const [name, fit] of Object.entries(view.fits)) {
    if (!on.has(name)) continue;
    if (name === view.chosen) {
      const band = [...at(fit.low), ...at(fit.high).reverse()].filter(([, one]) => one !== null);
      drawn(inside, "path", { class: `band ${name}`, d: `${path(band)}Z` });
    }
    drawn(inside, "path", { class: `line ${name}${name === view.chosen ? " best" : ""}`, d: path(at(fit.steps)) });
  }
  const fitted = view.medians ? "steps_median" : "steps";
  const first = view.rows.find((row) => row[fitted]);
  if (on.has("perfect") && first) {
    const curve = view.fits[view.chosen];
    const examples = curve ? view.at[0] * curve.steps[0] : first.batch_size * first[fitted];
    drawn(inside, "path", { class: "line perfect", d: path(at(view.at.map((size) => examples / size))) });
  }
}

/** Draw a critical batch size with its interval in a row of its own above the plot. */
function drawCritical(frame, x, name, size, height) {
  const group = drawn(frame.svg, "g", { class: `critical${name === "b_crit" ? " headline" : ""}` });
  const within = (value) => Math.max(frame.left, Math.min(frame.right, x.at(value)));
  const low = size.low === null ? frame.left : within(size.low);
  const high = size.high === null ? frame.right : within(size.high);
  if (size.low !== null || size.high !== null) {
    drawn(group, "line", { class: "interval", x1: low, x2: high, y1: height, y2: height });
  }
  if (size.value !== null) {
    const at = within(size.value);
    drawn(group, "line", { class: "drop", x1: at, x2: at, y1: height, y2: frame.bottom });
    drawn(group, "rect", { x: at - 4, y: height - 4, width: 8, height: 8 });
  }
  const text = `${name} ${estimate(size)}`;
  const beside = high + 8 + text.length * 7 < frame.right;
  const place = beside ? { x: high + 8 } : { x: Math.max(low - 8, frame.left + text.length * 7), "text-anchor": "end" };
  drawn(group, "text", { ...place, y: height, dy: "0.34em" }, text);
}

function drawPoint(inside, point, x, y) {
  const at = x.at(point.row.batch_size);
  const group = drawn(inside, "g", { class: "point" });
  if (point.bound !== null) {
    const from = y.at(point.bound);
    const arrow = `M${at} ${from}V${from - 22}M${at - 5} ${from - 15}L${at} ${from - 23}L${at + 5} ${from - 15}`;
    drawn(group, "path", { class: `bound${point.leftOut ? " left-out" : ""}`, d: arrow });
  }
  if (point.median !== null && point.fitted === "median") {
    const low = point.low === null ? point.median : point.low;
    const high = point.high === null ? y.high : point.high;
    drawn(group, "line", { class: "bar", x1: at, x2: at, y1: y.at(low), y2: y.at(high) });
  }
  for (const name of ["fewest", "median"]) {
    if (point[name] === null) continue;
    const main = name === point.fitted;
    drawn(group, "circle", { class: main ? "main" : "other", cx: at, cy: y.at(point[name]), r: main ? 5 : 3.5 });
  }
}
