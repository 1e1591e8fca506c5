/* Tables: sorted by clicking a heading, copied as CSV or LaTeX. */

function enableTable(figure) {
  const table = figure.querySelector("table");
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = element("button", { type: "button" }, ...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const rising = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((one) => one.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
      sortRows(table.tBodies[0], column, rising);
    });
  });
  const bar = element("div", { class: "copy" });
  for (const [name, write] of [["CSV", asCsv], ["LaTeX", asLatex]]) {
    const button = element("button", { type: "button" }, `Copy ${name}`);
    button.addEventListener("click", async () => {
      const copied = await copy(write(table));
      announce(copied ? `${name} copied` : "The browser does not allow copying");
      button.textContent = copied ? "Copied" : "Not allowed";
      setTimeout(() => (button.textContent = `Copy ${name}`), 1500);
    });
    bar.append(button);
  }
  figure.querySelector("figcaption").append(bar);
}

/** Sort rows by a column: numbers by value, unknown cells last. */
function sortRows(body, column, rising) {
  const keyed = [...body.rows].map((row) => [sortKey(row.cells[column].textContent), row]);
  keyed.sort(([one], [other]) => {
    if (one === null || other === null) return (one === null) - (other === null);
    const order = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
    return rising ? order : -order;
  });
  body.append(...keyed.map(([, row]) => row));
}

/** Return the number that a cell begins with, else its text; null where there is none. */
function sortKey(text) {
  const plain = text.trim();
  if (plain === "-" || plain === "") return null;
  const found = /^[<>]?\s*(-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?)/i.exec(plain);
  return found ? Number(found[1].replaceAll(",", "")) : plain;
}

function cellsOf(table) {
  return [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
}

function asCsv(table) {
  const quoted = (text) => {
    // a spreadsheet would take such text for a formula
    const safe = /^[=+@\t]/.test(text) || /^-[^\d.]/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return cellsOf(table).map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

const LATEX = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "<": "\\textless{}",
  ">": "\\textgreater{}",
  "–": "--",
};

function asLatex(table) {
  const safe = (text) => text.replace(/[\\&%$#_{}~^<>–]/g, (char) => LATEX[char] || `\\${char}`);
  const [head, ...rows] = cellsOf(table).map((row) => `${row.map(safe).join(" & ")} \\\\`);
  const lines = [`\\begin{tabular}{${"r".repeat(table.rows[0].cells.length)}}`, "\\toprule", head, "\\midrule", ...rows, "\\bottomrule", "\\end{tabular}"];
  return `% needs \\usepackage{booktabs}\n${lines.join("\n")}\n`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
