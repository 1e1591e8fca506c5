/* Charts: drawings that follow the width of the page, their axes and tips. */

const NARROW = 600;
const tip = element("div", { class: "tip", role: "tooltip", hidden: "" });
document.body.append(tip);

/** Show lines beside a point of an element; each is text, or [name, text]. */
function showTip(host, x, y, lines) {
  tip.replaceChildren(
    ...lines.map((line) => {
      if (!Array.isArray(line)) return element("p", {}, line);
      return element("p", {}, element("b", {}, line[0]), ` ${line[1]}`);
    }),
  );
  tip.hidden = false;
  const box = host.getBoundingClientRect();
  const wide = document.documentElement.clientWidth;
  const right = box.left + x + 14;
  const left = right + tip.offsetWidth > wide - 8 ? box.left + x - 14 - tip.offsetWidth : right;
  const beside = Math.min(Math.max(box.top + y - tip.offsetHeight / 2, 8), innerHeight - tip.offsetHeight - 8);
  // a tip that would cover half of the drawing goes below it
  const top = 2 * tip.offsetWidth > box.width && box.width < NARROW ? box.bottom : beside;
  tip.style.left = `${Math.max(8, Math.min(left, wide - tip.offsetWidth - 8)) + scrollX}px`;
  tip.style.top = `${top + scrollY}px`;
}

function hideTip() {
  tip.hidden = true;
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});

/**
 * Return a chart in `host`; `draw(frame)` is called for each width. A frame has the drawing, its
 * size and the edges of the plot.
 */
function chart(host, height, label, draw) {
  const canvas = element("div", { class: "canvas" });
  host.append(canvas);
  let width = 0;
  const redraw = () => {
    width = canvas.clientWidth;
    if (!width) return;
    const high = typeof height === "function" ? height(width) : height;
    const svg = document.createElementNS(SVG, "svg");
    filled(svg, { width, height: high, viewBox: `0 0 ${width} ${high}`, role: "img", "aria-label": label() }, []);
    canvas.replaceChildren(svg);
    draw({ canvas, svg, width, height: high, left: 64, right: width - 14, top: 12, bottom: high - 46 });
  };
  new ResizeObserver(() => {
    if (canvas.clientWidth !== width) redraw();
  }).observe(canvas);
  redraw();
  return redraw;
}

/** Draw both axes with grid lines; `sizes` are the ticks of x where it shows batch sizes. */
function axes(frame, x, y, labels, sizes) {
  const { svg, left, right, top, bottom } = frame;
  const grid = drawn(svg, "g", { class: "grid" });
  const texts = drawn(svg, "g", { class: "ticks" });
  for (const value of y.ticks(Math.max(2, Math.floor((bottom - top) / 30)))) {
    const at = y.at(value);
    drawn(grid, "line", { x1: left, x2: right, y1: at, y2: at });
    drawn(texts, "text", { x: left - 8, y: at, dy: "0.32em", "text-anchor": "end" }, tickText(value));
  }
  let begin = Infinity; // from the right, so that the largest one has a label
  for (const value of [...(sizes || x.ticks(Math.max(2, Math.floor((right - left) / 64))))].reverse()) {
    const at = x.at(value);
    const half = tickText(value).length * 3.6 + 5;
    drawn(grid, "line", { x1: at, x2: at, y1: bottom, y2: bottom + 4, class: "tick" });
    if (at + half > begin) continue;
    begin = at - half;
    drawn(texts, "text", { x: at, y: bottom + 18, "text-anchor": "middle" }, tickText(value));
  }
  drawn(grid, "line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" });
  drawn(svg, "text", { x: (left + right) / 2, y: bottom + 38, class: "name", "text-anchor": "middle" }, labels[0]);
  const middle = (top + bottom) / 2;
  const turned = `rotate(-90 12 ${middle})`;
  drawn(svg, "text", { x: 12, y: middle, class: "name", "text-anchor": "middle", transform: turned }, labels[1]);
}

function tickText(value) {
  if (value >= 1e6) return `${digits(value / 1e6)}M`;
  if (value >= 1e4) return `${digits(value / 1e3)}k`;
  return String(value >= 1e-4 || value <= 0 ? Number(value.toPrecision(6)) : value.toExponential(0));
}

/** Return the path through points of [x, y] in pixels; it breaks where y is null. */
function path(points) {
  let text = "";
  let pen = "M";
  for (const [x, y] of points) {
    if (y === null || !Number.isFinite(y)) {
      pen = "M";
    } else {
      text += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
    }
  }
  return text;
}

/** Return a group that is clipped to the plot. */
function clipped(frame) {
  const id = `clip-${(clipped.count = (clipped.count || 0) + 1)}`;
  const { svg, left, right, top, bottom } = frame;
  drawn(drawn(svg, "clipPath", { id }), "rect", { x: left, y: top, width: right - left, height: bottom - top });
  return drawn(svg, "g", { "clip-path": `url(#${id})` });
}

/**
 * Let the pointer and the arrow keys find points, {x, y, lines, ...}; `found` is called with the
 * point, or with null.
 */
function findable(frame, label, points, found) {
  const { canvas } = frame;
  let current = -1;
  const show = (index, aloud) => {
    current = index;
    const point = points[index] || null;
    found(point);
    if (!point) return hideTip();
    showTip(canvas, point.x, point.y, point.lines);
    if (aloud) announce(spoken(point.lines));
  };
  const cover = element("div", { class: "cover", tabindex: "0", role: "group", "aria-label": label });
  canvas.append(cover);
  cover.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const near = nearest(points, event.clientX - box.left, event.clientY - box.top);
    if (near !== current) show(near);
  });
  cover.addEventListener("pointerleave", () => show(-1));
  cover.addEventListener("blur", () => show(-1));
  cover.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !points.length) return;
    event.preventDefault();
    show((current + step + points.length + (current < 0 && step < 0 ? 1 : 0)) % points.length, true);
  });
}

/** Return a function that puts a ring around a point, or hides it for null. */
function ring(svg, radius) {
  const made = drawn(svg, "circle", { class: "ring", r: radius, visibility: "hidden" });
  return (point) => {
    made.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    made.setAttribute("cx", point.x);
    made.setAttribute("cy", point.y);
  };
}

function nearest(points, x, y) {
  let best = -1;
  let least = 30 ** 2;
  points.forEach((point, index) => {
    const away = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (away < least) [best, least] = [index, away];
  });
  return best;
}
