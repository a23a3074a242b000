// What all parts of the page share: the data, how values are written, colours, and drawing with Plotly.
// Text reaches the page as text nodes only, and Plotly only through plain().

const data = JSON.parse(document.getElementById("data").textContent);
const trials = new Map(data.trials.map((trial) => [trial.number, trial]));

const dark = matchMedia("(prefers-color-scheme: dark)");

const KINDS = {
  front: { label: "On the front", symbol: "circle", size: 13 },
  feasible: { label: "Feasible", symbol: "circle", size: 9 },
  infeasible: { label: "Infeasible", symbol: "x-thin", size: 8 },
  collapsed: { label: "Collapsed", symbol: "triangle-down", size: 10 },
  stopped: { label: "Stopped early", symbol: "line-ns", size: 9 },
  failed: { label: "Failed", symbol: "cross-thin", size: 8 },
  running: { label: "Running", symbol: "circle-open-dot", size: 10 },
};

// Plotly reads a few tags and entities in its texts; what it must show literally goes through here.
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const unit = (metric) => data.units[metric] ?? { label: metric, short: "", long: "", factor: 1, decimals: 2 };

// A trial's metric in the unit in which it is shown; null where it was never measured.
function scaled(metrics, metric) {
  const value = metrics[metric];
  return value === null || value === undefined ? null : value * unit(metric).factor;
}

function shown(metrics, metric) {
  const value = scaled(metrics, metric);
  return value === null ? "–" : `${digits(value, metric)} ${unit(metric).short}`.trim();
}

function digits(value, metric) {
  const { decimals } = unit(metric);
  return decimals === null ? String(Number(value.toPrecision(4))) : value.toFixed(decimals);
}

// What a trial of the front comes to when it is trained again; null where that is not known.
function expected(trial, metric) {
  const found = trial.expected[metric];
  if (!found) return null;
  const { factor, short } = unit(metric);
  return `${digits(found.mean * factor, metric)} ± ${digits(found.deviation * factor, metric)} ${short}`.trim();
}

function title(metric) {
  const { label, long } = unit(metric);
  return long ? `${label} (${long})` : label;
}

// A hyperparameter's value, short enough for a table and exact enough to tell values apart.
function written(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  const rounded = Number(value.toPrecision(4));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}

function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

const moment = (text) => text.replace("T", " ").replace("Z", " UTC");

const handed = (trial) => trial.byHand !== null;

function named(trial) {
  const hand = handed(trial) ? ` · suggested by hand${trial.byHand ? `: ${trial.byHand}` : ""}` : "";
  return `Trial ${trial.number}${trial.baseline ? ` · baseline ${trial.baseline}` : hand}`;
}

// Parameters of the search space, those that matter most to any objective first.
function ranked() {
  const weight = ({ name }) => Math.max(0, ...Object.values(data.importances).map(({ shares }) => shares[name] ?? 0));
  return [...data.parameters].sort((a, b) => weight(b) - weight(a));
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function axis(text, more = {}) {
  return {
    title: { text: plain(text), standoff: 8 },
    gridcolor: color("line"),
    linecolor: color("line"),
    zeroline: false,
    automargin: true,
    ...more,
  };
}

function layout(more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: "closest",
    dragmode: "zoom",
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 12, color: color("ink") },
    margin: { l: 52, r: 12, t: 8, b: 42 },
    hoverlabel: {
      bgcolor: color("card"),
      bordercolor: color("muted"),
      font: { color: color("ink"), size: 12 },
      align: "left",
    },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
    ...more,
  };
}

// Draw a figure {traces, layout}, or the reason why there is none.
function draw(node, figure, reason) {
  node.classList.toggle("blank", !figure);
  if (!figure) {
    Plotly.purge(node);
    node.replaceChildren(element("p", { class: "empty" }, reason));
    return;
  }
  if (!node.classList.contains("js-plotly-plot")) node.replaceChildren();
  Plotly.react(node, figure.traces, layout(figure.layout), { responsive: true, displayModeBar: false });
}
