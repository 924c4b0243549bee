"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;

// Light or dark: the system setting, until the reader chooses.
const asked = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
const theme = () => chosen ?? (asked.matches ? "dark" : "light");
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

const looks = Object.fromEntries(Object.entries(DATA.looks));
const look = (searcher) => looks[searcher] ?? { colour: "#3b8bc4", marker: "circle", dash: "" };
const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
// Dark colours are lightened on dark paper, light ones darkened a little on white.
function tone(hex) {
  const [r, g, b] = channels(hex);
  const bright = (0.299 * r + 0.587 * g + 0.114 * b) / 255;
  const share = theme() === "dark" ? Math.max(0, 0.62 - bright) : 0;
  return "#" + [r, g, b].map((v) => Math.round(v + (255 - v) * share).toString(16).padStart(2, "0")).join("");
}
const mixed = (one, other, share) => channels(one).map((v, i) => v + (channels(other)[i] - v) * share);
// Black or white, whichever has the higher contrast with a colour (WCAG 2.2).
function readable(rgb) {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}
const faded = (hex, alpha) => `rgba(${channels(hex).join(",")},${alpha})`;
const narrow = () => root.clientWidth < 640;
const short = (text, most) => (text.length <= most ? text : `${text.slice(0, most / 2)}…${text.slice(1 - most / 2)}`);
const dashes = (dash) => (dash ? dash.split(",").map((n) => n + "px").join(",") : "solid");

function layout(extra) {
  const lettered = { itemclick: false, itemdoubleclick: false };
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--soft"), automargin: true };
  const { xaxis, yaxis, legend, margin, ...rest } = extra;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), size: narrow() ? 11 : 12.5, family: "system-ui, sans-serif" },
    margin: { l: 50, r: 12, t: 8, b: 40, ...margin }, hovermode: "closest",
    hoverlabel: { bgcolor: colour("--paper"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
    legend: { orientation: "h", y: -0.18, yanchor: "top", x: 0, font: { size: narrow() ? 10.5 : 12 }, ...lettered, ...legend },
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
  };
}

// A band, then its line; a band is closed forwards along its top and backwards along its bottom.
function banded(name, x, centre, low, high, shape, format) {
  const shown = look(name), fill = tone(shown.colour);
  const traces = [];
  const known = x.map((_, i) => i).filter((i) => low && low[i] !== null && high[i] !== null);
  if (known.length) {
    const line = { width: 0, shape, color: fill };
    const common = { x: known.map((i) => x[i]), mode: "lines", line, hoverinfo: "skip", showlegend: false, legendgroup: name };
    traces.push({ ...common, y: known.map((i) => low[i]) });
    traces.push({ ...common, y: known.map((i) => high[i]), fill: "tonexty", fillcolor: faded(fill, many() ? 0.07 : 0.18) });
  }
  traces.push({
    x, y: centre, name: short(name, 34), legendgroup: name, mode: "lines", connectgaps: false,
    line: { color: fill, width: 2, shape, dash: dashes(shown.dash) },
    hovertemplate: `${short(name, 34)}: ${format}<extra></extra>`,
  });
  return traces;
}
const many = () => Object.keys(looks).length - state.hidden.size > 7;

// A level as a curve of its own, so that its name stands in the legend and covers nothing.
const level = (x, value, name, dash) => ({
  x: [x[0], x.at(-1)], y: [value, value], name: `${name} ${value.toFixed(2)}`, mode: "lines", hoverinfo: "name",
  line: { color: colour("--soft"), width: 1.2, dash },
});

// A log axis with ticks at 1, 2 and 5 times powers of ten, all of one size.
function logAxis(low, high, rest) {
  const values = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const digit of high / low > 3e3 ? [1] : high / low > 300 ? [1, 3] : [1, 2, 5]) values.push(digit * 10 ** power);
  const shown = values.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  const text = shown.map((v) => (v >= 1e4 ? v.toLocaleString("en") : String(Number(v.toPrecision(3)))));
  return { type: "log", range: [Math.log10(low), Math.log10(high)], tickmode: "array", tickvals: shown, ticktext: text, ...rest };
}

const state = { clock: "queries", measure: "accuracy", hidden: new Set() };
const visible = (name) => !state.hidden.has(name);

const DRAW = {
  efficiency(chart) {
    const clock = chart.clocks[state.clock] ?? null;
    if (!clock) return { empty: `${state.clock}: ${chart.unknown[state.clock] ?? "not known here"}` };
    const regret = state.measure === "regret";
    const turn = (list) => (regret && list ? list.map((v) => (v === null ? null : Math.max(chart.optimum - v, 1e-4))) : list);
    const order = Object.keys(clock.bands).filter(visible).sort((a, b) => clock.bands[b].centre.at(-1) - clock.bands[a].centre.at(-1));
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
    const first = Math.max(clock.grid[0], clock.grid.at(-1) / 100);
    const early = clock.grid.findIndex((x) => x >= clock.grid.at(-1) / 20);
    if (!order.length && !clock.random) return { empty: "every searcher is hidden" };
    const lines = [...order.map((name) => clock.bands[name].centre), clock.random ?? []];
    let yaxis;
    if (regret) {
      const seen = lines.flat().filter((v) => v !== null).map((v) => chart.optimum - v).filter((v) => v > 0);
      yaxis = logAxis(Math.min(...seen) / 1.4, Math.max(...seen) * 1.1, { title: { text: "regret, percentage points" } });
    } else {
      const floor = Math.min(...lines.flatMap((line) => line.slice(early)).filter((v) => v !== null), (chart.optimum ?? 100) - 1e-3);
      const top = chart.optimum ?? Math.max(...lines.flat().filter((v) => v !== null));
      const room = top - floor || 1;
      yaxis = { title: { text: "test accuracy of the incumbent, %" }, range: [floor - 0.02 * room, top + 0.04 * room] };
      Object.entries(chart.references).forEach(([name, value], place) => traces.push(level(clock.grid, value, name, ["dot", "dashdot"][place] ?? "dot")));
    }
    const xaxis = logAxis(first, clock.grid.at(-1), { title: { text: clock.axis, standoff: 6 } });
    return { traces, layout: layout({ xaxis, yaxis }) };
  },
  top(chart) {
    const traces = Object.entries(chart.curves).filter(([name]) => visible(name)).flatMap(([name, lines]) =>
      Object.entries(lines).map(([count, y], place) => ({
        x: chart.grid, y, name: short(name, 34), legendgroup: name, showlegend: place === 0, mode: "lines",
        line: { color: tone(look(name).colour), width: 2.4 / (1 + 0.8 * place), shape: "hv", dash: ["solid", "dash", "dot"][place] },
        hovertemplate: `${short(name, 34)}, top ${count}: %{y:.2f} % at %{x}<extra></extra>`,
      })));
    for (const [place, count] of Object.keys(Object.values(chart.curves)[0] ?? {}).entries()) traces.push({
      x: [null], y: [null], name: `top ${count}`, mode: "lines", line: { color: colour("--soft"), width: 2.4 / (1 + 0.8 * place), dash: ["solid", "dash", "dot"][place] },
    });
    const known = traces.flatMap((trace) => trace.y).filter((v) => v !== null).sort((a, b) => a - b);
    const floor = known[Math.floor(known.length / 10)] ?? 0, top = known.at(-1) ?? 100;
    const last = chart.grid.at(-1);
    const xaxis = logAxis(Math.max(1, last / 100), last, { title: { text: "queries", standoff: 6 } });
    return { traces, layout: layout({ xaxis, yaxis: { title: { text: "mean test accuracy, %" }, range: [floor, top + 0.06 * (top - floor)] } }) };
  },
  profile(chart) {
    const traces = Object.entries(chart.bands).filter(([name]) => visible(name)).flatMap(([name, band]) =>
      banded(name, chart.levels, band.centre, band.low, band.high, "linear", "%{y:.0%} of runs above %{x:.3f}"));
    return { traces, layout: layout({ xaxis: { title: { text: "normalised score", standoff: 6 } }, yaxis: { title: { text: "share of runs above" }, tickformat: ".0%", range: [0, 1.02] } }) };
  },
  intervals(chart) {
    const rows = chart.rows.filter(([name]) => visible(name));
    const traces = rows.map(([name, centre, low, high]) => ({
      x: [centre], y: [name], name, mode: "markers", marker: { color: tone(look(name).colour), size: 9 }, showlegend: false,
      error_x: low === null ? undefined : { type: "data", symmetric: false, array: [high - centre], arrayminus: [centre - low], color: tone(look(name).colour), thickness: 2 },
      hovertemplate: `${name}: %{x:.3f}<extra></extra>`,
    }));
    const shapes = [];
    if (chart.line !== undefined && chart.line !== null) {
      shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: chart.line, x1: chart.line, line: { color: colour("--soft"), dash: "dot", width: 1.2 } });
      traces.push({ x: [null], y: [null], name: `${chart.line_name} ${chart.line.toFixed(2)}`, mode: "lines", line: { color: colour("--soft"), dash: "dot", width: 1.2 } });
    }
    const names = rows.map(([name]) => name);
    const yaxis = { autorange: "reversed", type: "category", tickmode: "array", tickvals: names, ticktext: names.map((name) => short(name, narrow() ? 18 : 34)) };
    return { traces, height: 110 + (rows.length > 8 ? 24 : 44) * rows.length, layout: layout({ xaxis: { title: { text: chart.axis, standoff: 6 } }, yaxis, shapes }) };
  },
  bars(chart) {
    const traces = chart.parts.map(({ name, colour: fill, share }) => ({
      type: "bar", orientation: "h", x: share, y: chart.edges, name, marker: { color: fill, line: { width: 0 } },
      hovertemplate: `%{y}, ${name}: %{x:.0%}<extra></extra>`,
    }));
    const xaxis = { title: { text: "share of the cells", standoff: 6 }, tickformat: ".0%", range: [0, 1] };
    return { traces, height: 320, layout: layout({ legend: { traceorder: "normal" }, barmode: "stack", bargap: 0.25, margin: { r: 24 }, xaxis, yaxis: { autorange: "reversed", type: "category" } }) };
  },
  density(chart) {
    const traces = [{ type: "heatmap", x: chart.x, y: chart.y, z: chart.cells.map((row) => row.map((n) => Math.log1p(n))), colorscale: chart.scale[theme()], showscale: false, hovertemplate: "%{customdata} cells<extra></extra>", customdata: chart.cells }];
    return { traces, layout: layout({ xaxis: { title: { text: chart.axis, standoff: 6 } }, yaxis: { title: { text: "test accuracy, %" } } }) };
  },
  heat(chart) {
    const kept = (names) => names.map((_, i) => i).filter((i) => !chart.searchers || visible(names[i]));
    const rows = kept(chart.y), columns = kept(chart.x);
    const of = (grid) => rows.map((row) => columns.map((column) => grid[row][column]));
    const small = narrow() || columns.length > 9;
    const crowded = narrow() && columns.length > 8; // numbers on hover and enlarged
    const digits = (v) => (v === null || crowded ? "" : small && Math.abs(v) < 0.995 ? v.toFixed(2).replace("0.", ".") : v.toFixed(small && Math.abs(v) === 1 ? 0 : 2));
    const label = (names, places) => places.map((i) => short(names[i], narrow() ? 14 : 24));
    const x = columns.map(String), y = rows.map(String);
    const [low, middle, high] = ["#b35806", theme() === "dark" ? "#22262b" : "#f4f4f4", "#2166ac"];
    const traces = [{
      type: "heatmap", x, y, z: of(chart.z), zmin: -1, zmax: 1, colorscale: [[0, low], [0.5, middle], [1, high]], hoverongaps: false,
      customdata: rows.map((row) => columns.map((column) => `${chart.y[row]}, ${chart.x[column]}: ${(chart.text ?? chart.z)[row][column]?.toFixed(3)}`)),
      showscale: false, hovertemplate: "%{customdata}<extra></extra>", xgap: 1, ygap: 1,
    }];
    const texts = chart.text ?? chart.z, annotations = [];
    rows.forEach((row, i) => columns.forEach((column, j) => {
      const z = chart.z[row][column];
      const ink = z === null ? colour("--soft") : readable(mixed(middle, z < 0 ? low : high, Math.min(1, Math.abs(z))));
      const text = digits(texts[row][column]);
      if (text) annotations.push({ x: x[j], y: y[i], text, showarrow: false, font: { size: small ? 9 : 11, color: ink } });
    }));
    const axis = (names, places) => ({ type: "category", showgrid: false, tickmode: "array", tickvals: places.map(String), ticktext: label(names, places) });
    return {
      traces, height: 130 + 26 * rows.length,
      layout: layout({ annotations, xaxis: { ...axis(chart.x, columns), tickangle: columns.length > 3 ? -60 : 0 }, yaxis: { ...axis(chart.y, rows), autorange: "reversed" } }),
    };
  },
};

// Room for the legend is added below the axes instead of taken from them, so that figures side by side have axes of one height.
// Entries that belong to a group follow one another, others stand in columns.
const pen = document.createElement("canvas").getContext("2d");
function legendHeight(made, width) {
  const named = made.traces.filter((trace) => trace.showlegend !== false && trace.name);
  if (made.traces.length < 2 || named.length < 2) return 0;
  pen.font = `${made.layout.legend.font.size}px ${made.layout.font.family}`;
  const wide = named.map((trace) => pen.measureText(trace.name).width + 46);
  const grouped = named.some((trace) => trace.legendgroup);
  let rows = 1, at = 0;
  for (const next of grouped ? wide : wide.map(() => Math.max(...wide))) {
    if (at && at + next > width) { rows++; at = 0; }
    at += next;
  }
  return rows * (grouped ? 29 : 19);
}

function draw(chart, element = document.getElementById(chart.name), height = null) {
  const made = DRAW[chart.kind](chart);
  if (made.empty) {
    Plotly.purge(element);
    element.textContent = made.empty;
    return;
  }
  if (!element.classList.contains("js-plotly-plot")) element.textContent = "";
  const below = legendHeight(made, element.clientWidth - 80);
  const tall = height ?? (made.height ?? (narrow() ? 280 : 330)) + 20 + below;
  element.style.height = `${tall}px`;
  if (below) {
    made.layout.margin.b = 60 + below;
    made.layout.legend.y = -56 / Math.max(tall - made.layout.margin.t - made.layout.margin.b, 100);
  }
  made.layout.height = tall;
  Plotly.react(element, made.traces, made.layout, { responsive: true, displaylogo: false, displayModeBar: false });
  element.removeAllListeners("plotly_hover");
  element.removeAllListeners("plotly_unhover");
  element.on("plotly_hover", ({ points }) => light(element, points[0].data.legendgroup));
  element.on("plotly_unhover", () => light(element, null));
}

// The curve under the pointer stays, the others fade.
function light(element, group) {
  element.querySelectorAll(".scatterlayer > .trace").forEach((trace) => {
    const of = trace.__data__?.[0]?.trace?.legendgroup;
    trace.style.opacity = !group || of === group ? 1 : 0.15;
  });
}

const byName = Object.fromEntries(DATA.charts.map((chart) => [chart.name, chart]));
function show() {
  root.dataset.theme = theme();
  for (const chart of DATA.charts) if (document.getElementById(chart.name).clientWidth) draw(chart); // not in a folded section
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

// Tables: the first rows, all on demand; a click on a header sorts by it, a second one reverses the order.
const FIRST = 15, SPARED = 5; // a table a little longer is shown whole
const number = (text) => {
  const found = /^[<>+]?(-?[\d,]*\.?\d+(?:e[+-]?\d+)?)/.exec(text);
  if (!found) return text.endsWith("∞") ? (text[0] === "-" ? -Infinity : Infinity) : NaN;
  return Number(found[1].replaceAll(",", "")) + (text[0] === "<" ? -1e-9 : text[0] === ">" ? 1e-9 : 0);
};
const tables = [...document.querySelectorAll("table")];
const whole = new Set();
let before = null; // printing: what to restore
function rowsOf(table) {
  const all = before !== null;
  const rows = [...table.tBodies[0].rows];
  const wanted = rows.filter((row) => JSON.parse(row.dataset.of).every(visible));
  const long = wanted.length > FIRST + SPARED;
  const shown = new Set(all || !long || whole.has(table) ? wanted : wanted.slice(0, FIRST));
  rows.forEach((row) => (row.hidden = !shown.has(row)));
  const more = table.closest("figure").querySelector(".more");
  const hidden = rows.length - wanted.length;
  const parts = [];
  if (long) parts.push(`${shown.size} of ${wanted.length} rows`);
  if (hidden) parts.push(`${hidden} row${hidden > 1 ? "s" : ""} of hidden searchers`);
  const wide = table.scrollWidth > table.parentElement.clientWidth + 1 && !all;
  if (wide) parts.push("scroll sideways for more columns");
  more.hidden = !parts.length;
  more.textContent = parts.join("; ");
  if (long) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = whole.has(table) ? `show the first ${FIRST}` : "show all";
    button.onclick = () => { whole.has(table) ? whole.delete(table) : whole.add(table); rowsOf(table); more.querySelector("button").focus(); };
    more.append(parts.length ? " · " : "", button);
    more.hidden = false;
  }
}
for (const table of tables) {
  for (const cell of table.querySelectorAll("td:not(.has-cell)")) if (cell.textContent.length > 60) cell.classList.add("long");
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
        const sign = numeric ? number(a.text) - number(b.text) : a.text.localeCompare(b.text, "en", { numeric: true });
        return (down ? -1 : 1) * (sign || 0);
      };
      rows.sort(order).forEach(({ row }) => table.tBodies[0].append(row));
      rowsOf(table);
    };
  });
}

// One click hides a searcher in every figure and table.
const chooser = document.getElementById("searchers");
function choose() {
  const names = Object.keys(looks);
  for (const button of chooser?.querySelectorAll("[data-name]") ?? []) {
    button.ariaPressed = String(visible(button.dataset.name));
    button.querySelector("line").setAttribute("stroke", tone(look(button.dataset.name).colour));
  }
  const hidden = names.filter((name) => !visible(name)).length;
  const count = document.getElementById("shown");
  if (count) count.textContent = hidden ? `${names.length - hidden} of ${names.length}` : `${names.length}`;
  tables.forEach(rowsOf);
}
if (chooser) {
  for (const name of Object.keys(looks)) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.name = name;
    button.title = "Hide or show everywhere; with Shift: this one alone";
    const dash = look(name).dash;
    button.innerHTML = `<svg viewBox="0 0 22 10" aria-hidden="true"><line x1="0" y1="5" x2="22" y2="5" stroke-width="3" stroke-dasharray="${dash}"/></svg>`;
    button.append(...name.split(/(?<=[:,=])/).flatMap((part) => [part, document.createElement("wbr")]));
    button.onclick = (event) => {
      if (event.shiftKey) state.hidden = new Set(Object.keys(looks).filter((other) => other !== name));
      else if (!state.hidden.delete(name)) state.hidden.add(name);
      choose(); show();
    };
    chooser.append(button);
  }
  const all = document.createElement("button");
  all.type = "button";
  all.className = "all";
  all.textContent = "show all";
  all.onclick = () => { state.hidden.clear(); choose(); show(); };
  chooser.append(all);
  if (root.clientWidth <= 1000) document.getElementById("chooser").open = false;
}

// Contents: where the reader is. A link into a folded section opens it.
const links = [...document.querySelectorAll("nav a")];
const passed = new IntersectionObserver(() => {
  const tops = links.map((link) => document.querySelector(link.hash).getBoundingClientRect().top);
  const at = Math.max(0, tops.findLastIndex((top) => top < 160));
  links.forEach((link, place) => (place === at ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
}, { rootMargin: "-150px 0px -60% 0px", threshold: [0, 0.05, 1] });
document.querySelectorAll("section").forEach((section) => passed.observe(section));
function follow() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const fold = target.querySelector(":scope > .fold") ?? target.closest(".fold");
  if (fold && !fold.open) { fold.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", follow);
document.addEventListener("click", (event) => { if (event.target.closest?.('a[href^="#"]')) setTimeout(follow); });
document.querySelectorAll(".fold").forEach((fold) => fold.addEventListener("toggle", () => { if (fold.open) { show(); tables.forEach(rowsOf); } }));

// A figure as large as the window.
const large = document.getElementById("large"), stage = document.getElementById("large-figure");
document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".enlarge");
  if (!button) return;
  const figure = button.closest("figure"), chart = byName[figure.querySelector(".chart")?.id];
  stage.replaceChildren();
  large.showModal();
  if (chart) {
    const place = document.createElement("div");
    stage.append(place);
    draw(chart, place, stage.clientHeight);
  } else stage.append(figure.querySelector("svg").cloneNode(true));
});
large.addEventListener("close", () => { stage.firstChild?.classList?.contains("js-plotly-plot") && Plotly.purge(stage.firstChild); stage.replaceChildren(); });

// Print shows everything, on white: all sections, rows and figures.
addEventListener("beforeprint", () => {
  before = { chosen, folds: [...document.querySelectorAll("details:not([open])")] };
  before.folds.forEach((fold) => (fold.open = true));
  chosen = "light";
  root.dataset.theme = "light";
  tables.forEach(rowsOf);
  show();
});
addEventListener("afterprint", () => {
  before.folds.forEach((fold) => (fold.open = false));
  chosen = before.chosen;
  before = null;
  choose(); show();
});

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

document.getElementById("theme").onclick = () => { chosen = theme() === "dark" ? "light" : "dark"; show(); choose(); };
asked.addEventListener("change", () => { show(); choose(); });
addEventListener("resize", () => tables.forEach(rowsOf));
show();
choose();
follow();
