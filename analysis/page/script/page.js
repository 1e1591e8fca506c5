"use strict";
/* The page's data, its elements, and what it remembers over a reload. */

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

/** Return an element with attributes and children; text is only ever set as text. */
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Append an SVG element to `parent` and return it. */
function drawn(parent, name, attributes = {}, ...children) {
  const made = filled(document.createElementNS(SVG, name), attributes, children);
  parent.append(made);
  return made;
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, visible(value));
  }
  made.append(...children.map((child) => (child instanceof Node ? child : visible(child))));
  return made;
}

/** Return text with invisible characters escaped, so that no name can reverse its direction. */
function visible(text) {
  return String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => {
    return `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`;
  });
}

/* The choices of the reader by name; the browser keeps them while the page is open. */
const place = { chosen: {}, ...(history.state || {}) };

function remembered(name, otherwise) {
  return name in place.chosen ? place.chosen[name] : otherwise;
}

function remember(name, value) {
  place.chosen[name] = value;
  history.replaceState(place, "");
}

/** Return the lines of a tip as one text for screen readers. */
function spoken(lines) {
  return lines.map((line) => [line].flat().join(" ")).join("; ");
}

function announce(text) {
  document.getElementById("said").textContent = visible(text);
}

/** Append a group of radio buttons; `options` are [value, label]. Calls `change` with the choice. */
function radios(parent, name, label, options, change) {
  let value = remembered(name, options[0][0]);
  if (!options.some(([one]) => one === value)) value = options[0][0];
  const group = element("fieldset", { class: "radios" }, element("legend", {}, label));
  for (const [one, text] of options) {
    const input = element("input", { type: "radio", name });
    input.checked = one === value;
    input.addEventListener("change", () => {
      remember(name, one);
      change(one);
    });
    group.append(element("label", {}, input, element("span", {}, text)));
  }
  if (options.length > 1) parent.append(group);
  return value;
}

/** Append a drop-down list; like `radios`, for many options. */
function list(parent, name, label, options, change) {
  const select = element("select", { name });
  for (const [one, text] of options) select.append(element("option", { value: one }, text));
  const wanted = String(remembered(name, options[0][0]));
  const known = options.find(([one]) => String(one) === wanted) || options[0];
  select.value = String(known[0]);
  select.addEventListener("change", () => {
    const [chosen] = options[select.selectedIndex];
    remember(name, chosen);
    change(chosen);
  });
  if (options.length > 1) parent.append(element("label", { class: "list" }, `${label} `, select));
  return { value: known[0], select };
}

/** Append switches that double as the legend; `options` are {name, label, mark, on}. */
function switches(parent, name, label, options, change) {
  const on = new Set(remembered(name, options.filter((one) => one.on).map((one) => one.name)));
  const group = element("fieldset", { class: "switches" }, element("legend", {}, label));
  for (const one of options) {
    const input = element("input", { type: "checkbox", name: `${name} ${one.name}` });
    input.checked = on.has(one.name);
    input.addEventListener("change", () => {
      if (input.checked) on.add(one.name);
      else on.delete(one.name);
      remember(name, [...on]);
      change();
    });
    const key = element("i", { class: `key ${one.mark}`, "aria-hidden": "true" });
    group.append(element("label", {}, input, key, element("span", {}, one.label)));
  }
  if (options.length) parent.append(group);
  return on;
}
