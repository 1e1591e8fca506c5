/* The search behind one point: its trials, their training curves, and best of n. */

/* How a status is drawn: the path of its mark, about a center, within 4 pixels. */
const MARKS = {
  reached: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
  exhausted: "M0-4.5L4.5 3.5H-4.5Z",
  capped: "M-3.4-3.4H3.4V3.4H-3.4Z",
  pruned: "M0 4.5L4.5-3.5H-4.5Z",
  diverged: "M-3.6-3.6L3.6 3.6M-3.6 3.6L3.6-3.6",
  failed: "M-4.4 0H4.4M0-4.4V4.4",
};
const STAR = "M0-8L2.2-2.6L8-2.2L3.5 1.4L5 7L0 4L-5 7L-3.5 1.4L-8-2.2L-2.2-2.6Z";
const MAX_BEST = 5;

/** Show the search at the chosen batch size; return a function that redraws it. */
function searchCharts(section, study, key, now, choose) {
  const part = section.querySelector("[data-part=search]");
  const controls = part.querySelector("[data-controls=search]");
  const sizes = study.searches.map((search) => [search.batch_size, String(search.batch_size)]);
  const picked = list(controls, `${key} size`, "Batch size", sizes, (size) => choose(size));
  const choices = axisChoices(study);
  const axis = {};
  if (choices.length > 2) {
    axis.x = list(controls, `${key} x`, "x axis", choices, (name) => ((axis.x = name), redraw())).value;
    const others = [choices[1], ...choices.filter((one) => one !== choices[1])];
    axis.y = list(controls, `${key} y`, "y axis", others, (name) => ((axis.y = name), redraw())).value;
  } else {
    [axis.x, axis.y] = [choices[0][0], choices.at(-1)[0]];
  }
  const search = () => study.searches.find((one) => one.batch_size === now.size);
  let light = () => {};
  const heading = part.querySelector("[data-size]");
  const draw = (name, what, drawing) =>
    chart(part.querySelector(`[data-chart=${name}]`), 300, () => `${what} at batch size ${now.size}`, drawing);
  const curves = draw("curves", "Training curves", (frame) => {
    light = drawTraining(frame, study, search(), now);
  });
  const scatter = draw("scatter", "Trials of the search", (frame) => {
    drawScatter(frame, study, search(), now, axis, (trial) => light(trial));
  });
  const bestOf = draw("best-of-n", "Fewest steps of n trials", (frame) => drawBestOfN(frame, study, search(), now));
  marksLegend(part.querySelector("[data-legend=search]"), study);
  const redraw = () => {
    heading.textContent = `B = ${now.size}`;
    picked.select.value = String(now.size);
    curves();
    scatter();
    bestOf();
  };
  redraw();
  return redraw;
}

/** List the marks of the statuses that trials of the study have. */
function marksLegend(host, study) {
  const shown = data.statuses.filter((_, place) => study.searches.some((search) => search.status.join("").includes(place)));
  for (const [name, shape] of [...shown.map((status) => [status, MARKS[status]]), ["the fastest", STAR]]) {
    const svg = filled(document.createElementNS(SVG, "svg"), { class: "trials", width: 18, height: 18, viewBox: "-9 -9 18 18", "aria-hidden": "true" }, []);
    drawn(svg, "path", { class: name in MARKS ? name : "star", d: shape });
    host.append(element("span", {}, svg, name));
  }
}

/** Return whether a hyperparameter is drawn as 1 - value, because that was searched by logarithm. */
function isReversed(study, name) {
  return study.space.some((one) => one.name === name && one.scale === "reverse-log");
}

function labelOf(study, name) {
  if (name === "effective_lr") return "lr / (1 − momentum)";
  return isReversed(study, name) ? `1 − ${name}` : name;
}

/** Return what an axis can show: searched hyperparameters, and the lowest error of each trial. */
function axisChoices(study) {
  const named = study.space.map(({ name }) => [name, labelOf(study, name)]);
  return [...named, ["", `lowest ${study.summary.quantity}`]];
}

/** Return the values of an axis for every trial, its scale and its name. */
function axisOf(study, search, name, from, to) {
  const entry = study.space.find((one) => one.name === name);
  const label = axisChoices(study).find(([one]) => one === name)[1];
  if (!entry) {
    const scale = logScale(...logExtent(search.best_error, 1.1), from, to);
    return { values: search.best_error, scale, label };
  }
  const values = search.point[name];
  if (entry.scale === "linear") {
    const pad = 0.04 * (entry.high - entry.low);
    return { values, scale: linearScale(entry.low - pad, entry.high + pad, from, to), label };
  }
  const reversed = isReversed(study, name);
  const shown = reversed ? values.map((value) => 1 - value) : values;
  const ends = reversed ? [1 - entry.high, 1 - entry.low] : [entry.low, entry.high];
  const [low, high] = logExtent([...ends, ...shown], 1);
  const pad = (high / low) ** 0.04;
  return { values: shown, scale: logScale(low / pad, high * pad, from, to), label };
}

function statusOf(search, now, index) {
  return data.statuses[Number(search.status[now.view][index])];
}

/** Return the places of the trials that reached the target, the fastest first. */
function ranked(search, now) {
  const steps = search.steps[now.view];
  const reached = steps.map((_, index) => index).filter((index) => steps[index] !== null);
  return reached.sort((one, other) => steps[one] - steps[other] || one - other);
}

function drawScatter(frame, study, search, now, axis, light) {
  const { svg } = frame;
  const x = axisOf(study, search, axis.x, frame.left, frame.right);
  const y = axisOf(study, search, axis.y, frame.bottom, frame.top);
  axes(frame, x.scale, y.scale, [x.label, y.label]);
  const best = ranked(search, now)[0];
  const group = drawn(svg, "g", { class: "trials" });
  const points = [];
  const place = (index) => [x.scale.at(x.values[index]), y.scale.at(y.values[index])];
  search.trial.forEach((_, index) => {
    const [left, top] = place(index);
    if (!Number.isFinite(left) || !Number.isFinite(top) || x.values[index] === null || y.values[index] === null) return;
    points.push({ x: left, y: top, index, lines: trialLines(study, search, now, index) });
    if (index === best) return;
    const status = statusOf(search, now, index);
    drawn(group, "path", { class: status, d: MARKS[status], transform: `translate(${left} ${top})` });
  });
  const star = points.find((point) => point.index === best);
  if (star) drawn(svg, "path", { class: "star", d: STAR, transform: `translate(${star.x} ${star.y})` });
  const mark = ring(svg, 9);
  const steps = search.steps[now.view];
  points.sort((one, other) => (steps[one.index] ?? Infinity) - (steps[other.index] ?? Infinity) || one.index - other.index);
  const label = `Trials of the search at batch size ${search.batch_size}: arrow keys go through them, the fastest first`;
  findable(frame, label, points, (point) => {
    mark(point);
    light(point ? point.index : null);
  });
}

function trialLines(study, search, now, index) {
  const steps = search.steps[now.view][index];
  const status = statusOf(search, now, index);
  const unit = study.summary.unit;
  const how = steps === null ? `${status} at step ${search.stopped_at[index] ?? "–"}` : `reached the target in ${steps} ${unit}`;
  const error = search.best_error[index];
  return [
    [nameOf(search, index), how],
    pointText(search, index),
    error === null ? "" : `lowest ${study.summary.quantity} ${digits(error)}`,
  ].filter((line) => line);
}

function drawBestOfN(frame, study, search, now) {
  const rows = search.best_of_n[now.view] || [];
  if (!rows.length) return note(frame, "Not known: too few trials reached the target, or the sampler is adaptive.");
  const x = logScale(1, rows.at(-1)[0] * 1.06, frame.left, frame.right);
  const y = logScale(...logExtent(rows.map((row) => row[1]), 1.12), frame.bottom, frame.top);
  const half = rows.at(-1)[0] / 2;
  drawn(frame.svg, "rect", { class: "half", x: x.at(half), y: frame.top, width: x.at(rows.at(-1)[0]) - x.at(half), height: frame.bottom - frame.top });
  axes(frame, x, y, ["Trials n", `Fewest ${study.summary.unit} of n trials`]);
  const sure = (row) => row[2] >= 0.95;
  const firstSure = rows.findIndex(sure);
  const at = (some) => path(some.map(([n, steps]) => [x.at(n), y.at(steps)]));
  drawn(frame.svg, "path", { class: "line bound", d: at(firstSure < 0 ? rows : rows.slice(0, firstSure + 1)) });
  if (firstSure >= 0) drawn(frame.svg, "path", { class: "line main", d: at(rows.slice(firstSure)) });
  const points = rows.map(([n, steps, reach]) => ({
    x: x.at(n),
    y: y.at(steps),
    lines: [[`${n} trials`, `${rounded(steps)} ${study.summary.unit}`], `${Math.floor(100 * reach)}% of such searches reach the target`],
  }));
  findable(frame, `Best of n at batch size ${search.batch_size}: arrow keys go along the curve`, points, ring(frame.svg, 6));
}

/** Draw the training curves; return a function that highlights that of a trial, or none. */
function drawTraining(frame, study, search, now) {
  const { trial, step, error } = search.curves;
  if (!trial.length) {
    note(frame, "No curves were recorded.");
    return () => {};
  }
  const curves = trial.map((index, one) => {
    let at = 0;
    return { index, points: step[one].map((more, place) => [(at += more), error[one][place]]) };
  });
  const all = curves.flatMap((curve) => curve.points);
  const x = logScale(...logExtent(all.map((point) => point[0]), 1.05), frame.left, frame.right);
  const { target } = study.views[now.view];
  const y = logScale(...logExtent([target, ...all.map((point) => point[1])], 1.1), frame.bottom, frame.top);
  const quantity = `Validation ${study.summary.quantity}`;
  axes(frame, x, y, [study.summary.unit === "rounds" ? "Round" : "Step", quantity]);
  const inside = clipped(frame);
  const fastest = ranked(search, now).slice(0, MAX_BEST);
  const line = (curve) => path(curve.points.map(([at, value]) => [at > 0 ? x.at(at) : NaN, value > 0 ? y.at(value) : null]).filter(([at]) => Number.isFinite(at)));
  const others = curves.filter((curve) => !fastest.includes(curve.index));
  drawn(inside, "path", { class: "line rest", d: others.map(line).join("") });
  const best = curves.filter((curve) => fastest.includes(curve.index));
  for (const curve of best) drawn(inside, "path", { class: "line main", d: line(curve) });
  drawn(inside, "line", { class: "target", x1: frame.left, x2: frame.right, y1: y.at(target), y2: y.at(target) });
  drawn(frame.svg, "text", { class: "note", x: frame.left + 4, y: y.at(target) - 5 }, `target ${target}`);
  const lit = drawn(inside, "path", { class: "line lit" });
  const points = curves.flatMap((curve) => {
    const lines = trialLines(study, search, now, curve.index);
    const [at, value] = curve.points.at(-1);
    const shown = curve.points.filter(([one]) => one > 0);
    return at > 0 && value > 0 ? shown.map(([one, other]) => ({ x: x.at(one), y: y.at(other), curve, lines: [...lines, `${digits(other)} at step ${one}`] })) : [];
  });
  const light = (curve) => lit.setAttribute("d", curve ? line(curve) : "");
  findable(frame, `Training curves at batch size ${search.batch_size}: arrow keys go along them`, points, (point) => light(point && point.curve));
  return (index) => light(curves.find((curve) => curve.index === index));
}

/** Replace a drawing by the reason why there is none. */
function note(frame, text) {
  frame.canvas.replaceChildren(element("p", { class: "note" }, text));
}
