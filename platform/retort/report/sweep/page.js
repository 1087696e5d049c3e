"use strict";

// Draws charts: name of an element -> data, layout and config of plotly.
function draw(charts) {
  for (const [name, chart] of Object.entries(charts)) {
    Plotly.newPlot(name, chart.data, chart.layout, chart.config);
  }
}

// A legend's button shows and hides every series of its name in all charts of its figure.
document.addEventListener("click", (event) => {
  const button = event.target.closest(".legend button");
  if (!button) return;
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  for (const plot of button.closest(".figure").querySelectorAll(".js-plotly-plot")) {
    const traces = plot.data.flatMap((trace, number) => (trace.name === button.dataset.series ? [number] : []));
    if (traces.length) Plotly.restyle(plot, { visible: shown }, traces);
  }
});

// A column's button sorts its table by the column, upward and then downward; what has no value stays last.
document.addEventListener("click", (event) => {
  const button = event.target.closest("table.sortable th button");
  if (!button) return;
  const header = button.closest("th");
  const column = header.cellIndex;
  const upward = header.getAttribute("aria-sort") !== "ascending";
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", upward ? "ascending" : "descending");
  const body = header.closest("table").tBodies[0];
  const value = (row) => {
    const text = row.cells[column].dataset.value ?? row.cells[column].textContent;
    return text === "" || text === "-" ? null : isNaN(text) ? text : Number(text);
  };
  const compare = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
  const rows = Array.from(body.rows, (row) => [value(row), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a !== null && (upward ? 1 : -1) * compare(a, b)) || 0);
  body.append(...rows.map(([, row]) => row));
});
