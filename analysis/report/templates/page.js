"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;

// Light or dark: the system setting, until the reader chooses.
const asked = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
const theme = () => chosen ?? (asked.matches ? "dark" : "light");
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

const look = (searcher) => DATA.looks[searcher] ?? { colour: "#3b8bc4", marker: "o", dash: "" };
const faded = (hex, alpha) => `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${alpha})`;
const narrow = () => root.clientWidth < 640;

function layout(extra, rows = 1) {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--soft"), automargin: true };
  const { xaxis, yaxis, ...rest } = extra;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), size: narrow() ? 11 : 12.5, family: "system-ui, sans-serif" },
    margin: { l: 50, r: 12, t: 8, b: 40 }, hovermode: "closest",
    hoverlabel: { bgcolor: colour("--paper"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    legend: { orientation: "h", y: -0.2 * rows, yanchor: "top", x: 0, font: { size: narrow() ? 10.5 : 12 } },
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
  };
}

// A band, then its line; a band is closed forwards along its top and backwards along its bottom.
function banded(name, x, centre, low, high, shape, format) {
  const shown = look(name);
  const traces = [];
  const known = x.map((_, i) => i).filter((i) => low && low[i] !== null && high[i] !== null);
  if (known.length) {
    const line = { width: 0, shape, color: shown.colour };
    const common = { x: known.map((i) => x[i]), mode: "lines", line, hoverinfo: "skip", showlegend: false, legendgroup: name };
    traces.push({ ...common, y: known.map((i) => low[i]) });
    traces.push({ ...common, y: known.map((i) => high[i]), fill: "tonexty", fillcolor: faded(shown.colour, 0.2) });
  }
  traces.push({
    x, y: centre, name, legendgroup: name, mode: "lines", connectgaps: false,
    line: { color: shown.colour, width: 2, shape, dash: shown.dash ? shown.dash.split(",").map((n) => n + "px").join(",") : "solid" },
    hovertemplate: `${name}: ${format}<extra></extra>`,
  });
  return traces;
}

function level(value, text, y) {
  return {
    shape: { type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color: colour("--soft"), width: 1, dash: "dot" } },
    note: { xref: "paper", x: 0.01, xanchor: "left", y: y ?? value, yanchor: "bottom", text, showarrow: false, font: { size: 11, color: colour("--soft") } },
  };
}

// A log axis with ticks at 1, 2 and 5 times powers of ten, all of one size.
function logAxis(low, high, rest) {
  const values = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const digit of high / low > 3e3 ? [1] : high / low > 300 ? [1, 3] : [1, 2, 5]) values.push(digit * 10 ** power);
  const shown = values.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  const text = shown.map((v) => (v >= 1e4 ? v.toLocaleString("en") : String(Number(v.toPrecision(3)))));
  return { type: "log", range: [Math.log10(low), Math.log10(high)], tickmode: "array", tickvals: shown, ticktext: text, ...rest };
}

const state = { clock: "queries", measure: "accuracy" };

const DRAW = {
  efficiency(chart) {
    const clock = chart.clocks[state.clock] ?? null;
    if (!clock) return { empty: `${state.clock}: ${chart.unknown[state.clock] ?? "not known here"}` };
    const regret = state.measure === "regret";
    const turn = (list) => (regret && list ? list.map((v) => (v === null ? null : Math.max(chart.optimum - v, 1e-4))) : list);
    const order = Object.keys(clock.bands).sort((a, b) => clock.bands[b].centre.at(-1) - clock.bands[a].centre.at(-1));
    const format = `%{y:.2f}${regret ? " points" : " %"} at %{x:,.4~g}`;
    const traces = order.flatMap((name) => {
      const band = clock.bands[name];
      const [low, high] = regret ? [turn(band.high), turn(band.low)] : [band.low, band.high];
      return banded(name, clock.grid, turn(band.centre), low, high, "hv", format);
    });
    if (clock.random) traces.push({
      x: clock.grid, y: turn(clock.random), name: "random search, exact", mode: "lines",
      line: { color: colour("--ink"), width: 1.2, dash: "dash" }, hovertemplate: `exact random search: ${format}<extra></extra>`,
    });
    const shapes = [], annotations = [];
    const first = Math.max(clock.grid[0], clock.grid.at(-1) / 100);
    const early = clock.grid.findIndex((x) => x >= clock.grid.at(-1) / 20);
    const lines = [...order.map((name) => clock.bands[name].centre), clock.random ?? []];
    let yaxis;
    if (regret) {
      const seen = lines.flat().filter((v) => v !== null).map((v) => chart.optimum - v).filter((v) => v > 0);
      yaxis = logAxis(Math.min(...seen) / 1.4, Math.max(...seen) * 1.1, { title: { text: "regret, percentage points" } });
    } else {
      const floor = Math.min(...lines.flatMap((line) => line.slice(early)).filter((v) => v !== null), chart.optimum - 1e-3);
      const room = chart.optimum - floor;
      yaxis = { title: { text: "test accuracy of the incumbent, %" }, range: [floor - 0.02 * room, chart.optimum + 0.13 * room] };
      for (const [name, value] of Object.entries(chart.references)) {
        const crowded = Object.values(chart.references).some((other) => other > value && other - value < 0.09 * room);
        const made = level(value, `${name} ${value.toFixed(2)}`);
        made.note.yanchor = crowded ? "top" : "bottom";
        shapes.push(made.shape);
        annotations.push(made.note);
      }
    }
    const xaxis = logAxis(first, clock.grid.at(-1), { title: { text: clock.axis, standoff: 6 } });
    return { traces, layout: layout({ xaxis, yaxis, shapes, annotations }) };
  },
  top(chart) {
    const traces = Object.entries(chart.curves).flatMap(([name, lines]) =>
      Object.entries(lines).map(([count, y], place) => ({
        x: chart.grid, y, name, legendgroup: name, showlegend: place === 0, mode: "lines",
        line: { color: look(name).colour, width: 2.4 / (1 + 0.8 * place), shape: "hv", dash: ["solid", "dash", "dot"][place] },
        hovertemplate: `${name}, top ${count}: %{y:.2f} % at %{x}<extra></extra>`,
      })));
    const known = traces.flatMap((trace) => trace.y).filter((v) => v !== null).sort((a, b) => a - b);
    const floor = known[Math.floor(known.length / 10)] ?? 0, top = known.at(-1) ?? 100;
    const last = chart.grid.at(-1);
    const xaxis = logAxis(Math.max(1, last / 100), last, { title: { text: "queries", standoff: 6 } });
    return { traces, layout: layout({ xaxis, yaxis: { title: { text: "mean test accuracy, %" }, range: [floor, top + 0.06 * (top - floor)] } }) };
  },
  profile(chart) {
    const traces = Object.entries(chart.bands).flatMap(([name, band]) =>
      banded(name, chart.levels, band.centre, band.low, band.high, "linear", "%{y:.0%} of runs above %{x:.3f}"));
    return { traces, layout: layout({ xaxis: { title: { text: "normalised score", standoff: 6 } }, yaxis: { title: { text: "share of runs above" }, tickformat: ".0%", range: [0, 1.02] } }) };
  },
  intervals(chart) {
    const traces = chart.rows.map(([name, centre, low, high]) => ({
      x: [centre], y: [name], name, mode: "markers", marker: { color: look(name).colour, size: 9 }, showlegend: false,
      error_x: low === null ? undefined : { type: "data", symmetric: false, array: [high - centre], arrayminus: [centre - low], color: look(name).colour, thickness: 2 },
      hovertemplate: `${name}: %{x:.3f}<extra></extra>`,
    }));
    const height = 90 + (chart.rows.length > 8 ? 24 : 44) * chart.rows.length;
    const shapes = [], annotations = [];
    if (chart.line !== undefined && chart.line !== null) {
      shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: chart.line, x1: chart.line, line: { color: colour("--soft"), dash: "dot", width: 1.2 } });
      annotations.push({ x: chart.line, yref: "paper", y: 0, xanchor: "right", yanchor: "bottom", text: `${chart.line_name} ${chart.line.toFixed(2)}`, showarrow: false, font: { size: 11, color: colour("--soft") } });
    }
    return { traces, height, layout: layout({ xaxis: { title: { text: chart.axis, standoff: 6 } }, yaxis: { autorange: "reversed", type: "category" }, shapes, annotations }) };
  },
  bars(chart) {
    const traces = chart.parts.map(({ name, colour: fill, share }) => ({
      type: "bar", orientation: "h", x: share, y: chart.edges, name, marker: { color: fill, line: { width: 0 } },
      hovertemplate: `%{y}, ${name}: %{x:.0%}<extra></extra>`,
    }));
    return { traces, height: 300, layout: layout({ barmode: "stack", bargap: 0.25, xaxis: { tickformat: ".0%", range: [0, 1] }, yaxis: { autorange: "reversed", type: "category" } }) };
  },
  density(chart) {
    const traces = [{ type: "heatmap", x: chart.x, y: chart.y, z: chart.cells.map((row) => row.map((n) => Math.log1p(n))), colorscale: chart.scale[theme()], showscale: false, hovertemplate: "%{customdata} cells<extra></extra>", customdata: chart.cells }];
    return { traces, layout: layout({ xaxis: { title: { text: chart.axis, standoff: 6 } }, yaxis: { title: { text: "test accuracy, %" } } }) };
  },
  heat(chart) {
    const small = narrow() || chart.x.length > 9;
    const traces = [{
      type: "heatmap", x: chart.x, y: chart.y, z: chart.z, zmin: -1, zmax: 1, colorscale: [[0, "#b35806"], [0.5, theme() === "dark" ? "#22262b" : "#f4f4f4"], [1, "#2166ac"]],
      text: chart.z.map((row) => row.map((v) => (v === null ? "" : v.toFixed(2)))), texttemplate: "%{text}", textfont: { size: small ? 9 : 11 },
      showscale: false, hovertemplate: "%{y}, %{x}: %{z:.3f}<extra></extra>", xgap: 1, ygap: 1,
    }];
    return { traces, height: 110 + 26 * chart.y.length, layout: layout({ xaxis: { tickangle: chart.x.length > 5 ? -45 : 0, type: "category" }, yaxis: { autorange: "reversed", type: "category" } }) };
  },
};

function draw(chart) {
  const element = document.getElementById(chart.name);
  const made = DRAW[chart.kind](chart);
  if (made.empty) {
    Plotly.purge(element);
    element.textContent = made.empty;
    return;
  }
  if (!element.classList.contains("js-plotly-plot")) element.textContent = "";
  if (made.height) element.style.height = `${made.height}px`;
  Plotly.react(element, made.traces, made.layout, { responsive: true, displaylogo: false, displayModeBar: false });
}

function show() {
  root.dataset.theme = theme();
  DATA.charts.forEach(draw);
}

const clocks = document.getElementById("clock");
if (clocks) {
  const known = [...new Set(DATA.charts.filter((chart) => chart.kind === "efficiency").flatMap((chart) => Object.entries(chart.clocks).map(([name, clock]) => `${name}\n${clock.axis}`)))];
  for (const text of known) clocks.add(new Option(text.split("\n")[1], text.split("\n")[0]));
  state.clock = clocks.value;
  clocks.onchange = () => { state.clock = clocks.value; show(); };
  const measure = document.getElementById("measure");
  measure.onchange = () => { state.measure = measure.value; show(); };
}

// Tables: a click on a header sorts by it, a second one reverses the order; missing values stay last.
const number = (text) => {
  if (text.endsWith("∞")) return text[0] === "-" ? -Infinity : Infinity;
  const found = /^[<+]?(-?[\d,]*\.?\d+(?:e[+-]?\d+)?)/.exec(text);
  return found ? Number(found[1].replaceAll(",", "")) - (text[0] === "<" ? 1e-9 : 0) : NaN;
};
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.firstElementChild.onclick = () => {
      const down = head.ariaSort === "ascending";
      heads.forEach((other) => (other.ariaSort = "none"));
      head.ariaSort = down ? "descending" : "ascending";
      const rows = [...table.tBodies[0].rows].map((row) => ({ row, text: row.cells[column].textContent.trim() }));
      const numeric = head.classList.contains("number");
      const order = (a, b) => {
        if ((a.text === "–") !== (b.text === "–")) return a.text === "–" ? 1 : -1;
        const sign = numeric ? number(a.text) - number(b.text) : a.text.localeCompare(b.text);
        return (down ? -1 : 1) * (sign || 0);
      };
      rows.sort(order).forEach(({ row }) => table.tBodies[0].append(row));
    };
  });
}

// A named cell is drawn on hover, touch or focus.
const hover = document.getElementById("hover");
function reveal(event) {
  const named = event.target.closest?.("[data-cell]");
  hover.hidden = !named;
  if (!named) return;
  hover.innerHTML = DATA.cells[named.dataset.cell];
  const box = named.getBoundingClientRect();
  hover.style.left = `${Math.max(8, Math.min(box.left, root.clientWidth - 316))}px`;
  hover.style.top = box.bottom + 225 > innerHeight ? `${Math.max(8, box.top - 218)}px` : `${box.bottom + 6}px`;
}
for (const kind of ["mouseover", "focusin", "click"]) document.addEventListener(kind, reveal);
document.addEventListener("scroll", () => (hover.hidden = true), { passive: true });

document.getElementById("theme").onclick = () => { chosen = theme() === "dark" ? "light" : "dark"; show(); };
asked.addEventListener("change", show);
show();
