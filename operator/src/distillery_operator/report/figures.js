// The figures: each function returns {traces, layout} for Plotly, or null where there is nothing to show.

const NOTHING = "Nothing has been measured yet.";

// Where a trial stands on an axis; the axis null counts trials.
const place = (trial, metric) => (metric === null ? trial.number : scaled(trial.metrics, metric));

function hover(trial) {
  const metrics = [...new Set([...data.objectives.map((o) => o.metric), "HasAns_exact", "NoAns_exact"])];
  const lines = metrics.filter((m) => scaled(trial.metrics, m) !== null).map((m) => `${unit(m).label} ${shown(trial.metrics, m)}`);
  const settings = ranked().slice(0, 12).map(({ name }) => `${name} ${written(trial.parameters[name])}`);
  const head = `<b>${plain(named(trial))}</b> · ${plain(KINDS[trial.kind].label)}`;
  return [head, ...lines.map(plain), "", ...settings.map((line) => plain(shorten(line, 60)))].join("<br>");
}

function points(list, x, y, name, marker, more = {}) {
  return {
    type: "scatter", mode: "markers", name, marker, x: list.map((t) => place(t, x)), y: list.map((t) => place(t, y)),
    customdata: list.map((t) => t.number), hovertext: list.map(hover), hoverinfo: "text", cliponaxis: false, ...more,
  };
}

// One trace per kind of trial, then the baselines with their names, the teacher, and a ring around the selected trial.
function clouds(list, x, y, selected) {
  const scale = list.length > 400 ? 0.65 : 1;
  const halo = `0 0 3px ${color("card")}, 0 0 3px ${color("card")}, 0 0 3px ${color("card")}`;
  const traces = ["infeasible", "failed", "collapsed", "running", "feasible", "front"].map((kind) => {
    const { label, symbol, size } = KINDS[kind];
    const thin = symbol.endsWith("-thin");
    const line = { width: thin ? 1.8 : 1, color: thin ? color(kind) : color("card") };
    return points(list.filter((t) => t.kind === kind && !t.baseline), x, y, label, { symbol, size: scale * size, color: color(kind), line });
  });
  const baselines = list.filter((t) => t.baseline);
  const diamond = { symbol: "diamond", size: 13, color: color("baseline"), line: { width: 1.5, color: color("card") } };
  const labels = { mode: "markers+text", textposition: "top center", textfont: { size: 11, color: color("baseline"), shadow: halo } };
  labels.text = baselines.map((t) => plain(shorten(t.baseline, 24)));
  traces.push(points(baselines, x, y, "Baseline", diamond, labels));
  const teacher = x === null ? null : scaled(data.teacher, x);
  if (teacher !== null && scaled(data.teacher, y) !== null) {
    traces.push({
      type: "scatter", mode: "markers+text", name: "Teacher", x: [teacher], y: [scaled(data.teacher, y)], text: ["teacher"],
      textposition: "bottom center", textfont: { size: 11, shadow: halo }, cliponaxis: false, hoverinfo: "text",
      hovertext: [`<b>Teacher</b><br>${plain(unit(x).label)} ${plain(shown(data.teacher, x))}<br>${plain(unit(y).label)} ${plain(shown(data.teacher, y))}`],
      marker: { symbol: "star", size: 17, color: color("teacher"), line: { width: 1, color: color("card") } },
    });
  }
  const ring = { symbol: "circle-open", size: 22, color: color("ring"), line: { width: 2 } };
  traces.push(points(list.filter((t) => t.number === selected), x, y, "Selected", ring, { showlegend: false, hoverinfo: "skip" }));
  return traces.filter((trace) => trace.x.length);
}

function range(values) {
  const low = Math.min(...values), high = Math.max(...values);
  const margin = 0.07 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}

// Shade what a bound forbids, far beyond the visible range so that panning shows no edge.
function forbidden(metric, letter, [low, high]) {
  const other = letter === "x" ? "y" : "x";
  const far = 20 * (high - low);
  return data.bounds.filter((bound) => bound.metric === metric).flatMap((bound) => {
    const limit = bound.limit * unit(metric).factor;
    const shape = { layer: "below", [`${other}ref`]: "paper", [`${letter}ref`]: letter, [`${other}0`]: 0, [`${other}1`]: 1 };
    const line = { color: color("muted"), width: 1.2, dash: "dash" };
    return [
      { ...shape, type: "rect", [`${letter}0`]: limit, [`${letter}1`]: limit - bound.sign * far, fillcolor: color("forbidden"), line: { width: 0 } },
      { ...shape, type: "line", [`${letter}0`]: limit, [`${letter}1`]: limit, line },
    ];
  });
}

// Each limit is written on its forbidden side, where fewer points are.
function boundLabels(metric, letter) {
  return data.bounds.filter((bound) => bound.metric === metric).map((bound) => {
    const limit = bound.limit * unit(metric).factor;
    const text = `${unit(metric).label} ${bound.sign > 0 ? "≥" : "≤"} ${written(limit)} ${unit(metric).short}`;
    const common = { text: plain(text), showarrow: false, font: { size: 11, color: color("muted") } };
    return letter === "x"
      ? { ...common, x: limit, yref: "paper", y: 0.4, textangle: -90, xanchor: bound.sign > 0 ? "right" : "left", yanchor: "middle" }
      : { ...common, y: limit, xref: "paper", x: 1, xanchor: "right", yanchor: bound.sign > 0 ? "top" : "bottom" };
  });
}

const minimised = (metric) => data.objectives.find((o) => o.metric === metric)?.direction === "Minimize";

// The front's points that nothing on the front beats in these two objectives, along x.
function staircase(x, y) {
  const front = data.front.map((number) => trials.get(number)).filter((t) => place(t, x) !== null && place(t, y) !== null);
  const [xs, ys] = [minimised(x) ? 1 : -1, minimised(y) ? 1 : -1];
  front.sort((a, b) => xs * (place(a, x) - place(b, x)) || ys * (place(a, y) - place(b, y)));
  let best = Infinity;
  return front.filter((t) => ys * place(t, y) < best && ((best = ys * place(t, y)), true));
}

// Feasible trials that were the best so far: the front's counterpart where there is one objective only.
function records(y) {
  const sign = minimised(y) ? 1 : -1;
  let best = Infinity;
  const good = data.trials.filter((t) => ["front", "feasible"].includes(t.kind));
  return good.filter((t) => sign * place(t, y) < best && ((best = sign * place(t, y)), true));
}

function tradeoff(x, y, selected) {
  const list = data.trials.filter((t) => place(t, x) !== null && place(t, y) !== null);
  if (!list.length) return null;
  const steps = x === null ? records(y) : staircase(x, y);
  const line = {
    type: "scatter", mode: "lines", name: x === null ? "Best so far" : "Pareto front", hoverinfo: "skip",
    x: steps.map((t) => place(t, x)), y: steps.map((t) => place(t, y)),
    line: { color: color("front"), width: 2.5, shape: x === null || minimised(x) ? "hv" : "vh" },
  };
  const extent = (metric) => {
    const values = list.map((t) => place(t, metric));
    const teacher = metric === null ? null : scaled(data.teacher, metric);
    const limits = data.bounds.filter((b) => b.metric === metric).map((b) => b.limit * unit(metric).factor);
    return range([...values, ...(teacher === null ? [] : [teacher]), ...limits]);
  };
  const [across, up] = [extent(x), extent(y)];
  const knee = trials.get(data.knee);
  const marks = knee && x !== null && place(knee, x) !== null
    ? [{ x: place(knee, x), y: place(knee, y), text: "knee", ax: -34, ay: -30, arrowcolor: color("front"), arrowwidth: 1.2, font: { color: color("front") } }]
    : [];
  return {
    traces: [line, ...clouds(list, x, y, selected)],
    layout: {
      xaxis: axis(x === null ? "trial" : title(x), { range: across }), yaxis: axis(title(y), { range: up }),
      shapes: [...forbidden(x, "x", across), ...forbidden(y, "y", up)],
      annotations: [...boundLabels(x, "x"), ...boundLabels(y, "y"), ...marks],
    },
  };
}

function answers(selected) {
  const [x, y] = ["HasAns_exact", "NoAns_exact"];
  const list = data.trials.filter((t) => place(t, x) !== null && place(t, y) !== null);
  if (!list.length) return null;
  const corner = { showarrow: false, font: { size: 11.5, color: color("collapsed") } };
  const fallen = (low, high, text) => {
    const count = list.filter((t) => t.kind === "collapsed" && place(t, low) < place(t, high)).length;
    return count ? `${text}: ${count} trial${count > 1 ? "s" : ""}` : text;
  };
  return {
    traces: clouds(list, x, y, selected),
    layout: {
      xaxis: axis("HasAns_exact: answerable questions (%)", { range: [-4, 104] }),
      yaxis: axis("NoAns_exact: unanswerable ones (%)", { range: [-4, 106] }),
      shapes: [...forbidden(x, "x", [0, 100]), ...forbidden(y, "y", [0, 100])],
      annotations: [
        ...boundLabels(x, "x"), ...boundLabels(y, "y"),
        { ...corner, x: 2, y: 100, text: fallen(x, y, "answers nothing"), xanchor: "left" },
        { ...corner, x: 98, y: 0, text: fallen(y, x, "answers everything"), xanchor: "right" },
      ],
    },
  };
}

function growth() {
  const { trials: numbers, volumes } = data.history;
  if (!volumes.some((volume) => volume > 0)) return null;
  const grew = volumes.map((volume, i) => volume > (volumes[i - 1] ?? 0));
  const text = numbers.map((number, i) => `${plain(named(trials.get(number)))}<br>hypervolume ${volumes[i].toPrecision(5)}`);
  return {
    traces: [{
      type: "scatter", mode: "lines+markers", x: numbers.map((_, i) => i + 1), y: volumes, customdata: numbers, hovertext: text, hoverinfo: "text",
      line: { shape: "hv", color: color("feasible"), width: 2 }, fill: "tozeroy", fillcolor: color("forbidden"), cliponaxis: false,
      marker: { size: grew.map((up) => (up ? 9 : 1)), color: color("front"), line: { width: 0 } },
    }],
    layout: {
      xaxis: axis("trials ended", { rangemode: "tozero" }), yaxis: axis(`hypervolume (${data.objectives.map((o) => unit(o.metric).short).join(" · ")})`, { rangemode: "tozero" }), showlegend: false,
    },
  };
}

const SERIES = ["front", "feasible", "collapsed", "baseline", "running"];

function importances() {
  const objectives = Object.keys(data.importances).filter((o) => Object.keys(data.importances[o]).length);
  if (!objectives.length) return null;
  const names = ranked().map((p) => p.name).reverse();
  const traces = objectives.map((objective, i) => ({
    type: "bar", orientation: "h", name: plain(unit(objective).label), y: names.map((n) => plain(shorten(n, 28))),
    x: names.map((n) => 100 * (data.importances[objective][n] ?? 0)), marker: { color: color(SERIES[i % SERIES.length]) },
    hovertemplate: `%{y}: %{x:.1f} % of ${plain(unit(objective).label)}<extra></extra>`,
  }));
  return { traces, layout: { barmode: "group", bargap: 0.3, xaxis: axis("share (%)", { rangemode: "tozero" }), yaxis: axis("", { type: "category" }), legend: { ...layout({}).legend, traceorder: "normal" } } };
}

function correlations() {
  const { rows, columns, values } = data.correlations;
  if (!values.some((row) => row.some((value) => value !== null))) return null;
  const order = ranked().map((p) => rows.indexOf(p.name)).filter((i) => i >= 0).reverse();
  const z = order.map((i) => values[i]);
  return {
    traces: [{
      type: "heatmap", z, x: columns.map((c) => plain(unit(c).label)), y: order.map((i) => plain(shorten(rows[i], 28))), zmin: -1, zmax: 1, xgap: 2, ygap: 2,
      colorscale: [[0, color("feasible")], [0.5, color("card")], [1, color("front")]], hoverongaps: false, showscale: false,
      text: z.map((row) => row.map((value) => (value === null ? "" : (Number(value.toFixed(2)) + 0).toFixed(2).replace("-", "−")))), texttemplate: "%{text}",
      hovertemplate: "%{y} and %{x}: %{text}<extra></extra>",
    }],
    layout: { xaxis: axis("", { side: "top", type: "category" }), yaxis: axis("", { type: "category" }), margin: { l: 52, r: 8, t: 30, b: 8 } },
  };
}

// One axis of the parallel coordinates; log axes show powers, categories their names.
function dimension(label, values, { log = false, choices = null } = {}) {
  if (choices) {
    const names = [...new Set([...choices, ...values].map(String))];
    return { label, values: values.map((v) => names.indexOf(String(v))), range: [-0.25, names.length - 0.75], tickvals: names.map((_, i) => i), ticktext: names.map((n) => plain(shorten(n, 14))) };
  }
  if (!log) return { label, values, range: range(values) };
  const logs = values.map(Math.log10);
  const [low, high] = range(logs);
  const step = Math.max(1, Math.round((high - low) / 6));
  const powers = Array.from({ length: Math.max(0, Math.floor(high) - Math.ceil(low) + 1) }, (_, i) => Math.ceil(low) + i);
  const ticks = powers.length > 1 ? powers.filter((_, i) => i % step === 0) : [Math.min(...logs), Math.max(...logs)];
  return { label, values: logs, range: [low, high], tickvals: ticks, ticktext: ticks.map((t) => written(Number((10 ** t).toPrecision(2)))) };
}

// Plasma by matplotlib: even in lightness, and safe for the colour-blind.
const PLASMA = ["#0d0887", "#7e03a8", "#cc4778", "#f89540", "#f0f921"].map((stop, i) => [i / 4, stop]);

// Good trials are drawn in the end of the scale that stands out from the background.
function parallel(names) {
  const shownParameters = data.parameters.filter((p) => names.has(p.name));
  const objectives = data.objectives.map((o) => o.metric);
  const usable = (p, value) => (p.type === "Categorical" ? value !== undefined : typeof value === "number" && (!p.log || value > 0));
  const list = data.trials.filter((t) => objectives.every((m) => place(t, m) !== null) && shownParameters.every((p) => usable(p, t.parameters[p.name])));
  if (list.length < 2) return null;
  const values = list.map((t) => place(t, objectives[0]));
  const dimensions = [
    ...objectives.map((m) => dimension(plain(title(m).replace("million parameters", "M")), list.map((t) => place(t, m)))),
    ...shownParameters.map((p) => dimension(plain(shorten(p.name, 20)), list.map((t) => t.parameters[p.name]), p)),
  ];
  return {
    trials: list.map((t) => t.number),
    traces: [{
      type: "parcoords", dimensions, labelangle: -18, labelside: "top", labelfont: { size: 12, color: color("ink") }, tickfont: { size: 11, color: color("ink") },
      rangefont: { size: 1, color: "rgba(0,0,0,0)" }, unselected: { line: { color: color("muted"), opacity: 0.06 } },
      line: { color: values, colorscale: PLASMA, reversescale: minimised(objectives[0]) === dark.matches, showscale: true, colorbar: { title: { text: plain(unit(objectives[0]).label), side: "right" }, thickness: 12, len: 1 } },
    }],
    layout: { margin: { l: 60, r: 30, t: 84, b: 24 } },
  };
}
