// The figures about parameters: what matters, which way it pulls, and all of them side by side.

const SERIES = ["front", "feasible", "collapsed", "baseline", "running"];

// Bars of the objectives that have shares; the sentences above them say what they rest on, or why there are none.
function importances() {
  const objectives = Object.keys(data.importances).filter((o) => Object.keys(data.importances[o].shares).length);
  if (!objectives.length) return null;
  const names = ranked()
    .map((p) => p.name)
    .reverse();
  const traces = objectives.map((objective) => {
    const { shares, whiskers } = data.importances[objective];
    const reach = (side) =>
      names.map((n) => (whiskers[n] ? 100 * Math.max(0, side * (whiskers[n][side > 0 ? 1 : 0] - shares[n])) : 0));
    return {
      type: "bar",
      orientation: "h",
      name: plain(unit(objective).label),
      y: names.map((n) => plain(shorten(n, 28))),
      x: names.map((n) => 100 * (shares[n] ?? 0)),
      error_x: {
        visible: Object.keys(whiskers).length > 0,
        array: reach(1),
        arrayminus: reach(-1),
        color: color("muted"),
        thickness: 1.2,
        width: 3,
      },
      marker: { color: color(SERIES[Object.keys(data.importances).indexOf(objective) % SERIES.length]) },
      hovertemplate: `%{y}: %{x:.1f} % of ${plain(unit(objective).label)}<extra></extra>`,
    };
  });
  return {
    traces,
    layout: {
      barmode: "group",
      bargap: 0.3,
      xaxis: axis("share (%)", { range: [0, 100] }),
      yaxis: axis("", { type: "category" }),
      showlegend: true,
      legend: { ...layout({}).legend, traceorder: "normal" },
    },
  };
}

function grounds() {
  return Object.entries(data.importances).map(([objective, { sentence }]) =>
    element("li", {}, element("b", {}, unit(objective).label), ` – ${sentence}`),
  );
}

function correlations() {
  const { rows, columns, values } = data.correlations;
  if (!values.some((row) => row.some((value) => value !== null))) return null;
  const order = ranked()
    .map((p) => rows.indexOf(p.name))
    .filter((i) => i >= 0)
    .reverse();
  const z = order.map((i) => values[i]);
  return {
    traces: [
      {
        type: "heatmap",
        z,
        x: columns.map((c) => plain(unit(c).label)),
        y: order.map((i) => plain(shorten(rows[i], 28))),
        zmin: -1,
        zmax: 1,
        xgap: 2,
        ygap: 2,
        colorscale: [
          [0, color("feasible")],
          [0.5, color("card")],
          [1, color("front")],
        ],
        hoverongaps: false,
        showscale: false,
        text: z.map((row) =>
          row.map((value) => (value === null ? "" : (Number(value.toFixed(2)) + 0).toFixed(2).replace("-", "−"))),
        ),
        texttemplate: "%{text}",
        hovertemplate: "%{y} and %{x}: %{text}<extra></extra>",
      },
    ],
    layout: {
      xaxis: axis("", { side: "top", type: "category" }),
      yaxis: axis("", { type: "category" }),
      margin: { l: 52, r: 8, t: 30, b: 8 },
    },
  };
}

// One axis of the parallel coordinates; log axes show powers, categories their names. Where a parameter was not
// searched (null), its line passes below the others, at a tick of its own.
function dimension(label, values, { log = false, choices = null } = {}) {
  if (!choices && values.includes(null)) {
    const known = values.filter((v) => v !== null);
    const axis = dimension(label, known, { log });
    const [low, high] = axis.range;
    const below = low - 0.12 * (high - low || 1);
    const ends = [...new Set([Math.min(...known), Math.max(...known)])];
    const ticks = log ? ends.map(Math.log10) : ends;
    const placed = axis.values[Symbol.iterator]();
    return {
      label,
      values: values.map((v) => (v === null ? below : placed.next().value)),
      range: [below, high],
      tickvals: [below, ...ticks],
      ticktext: ["–", ...ends.map((v) => written(v))],
    };
  }
  if (choices) {
    const names = [...new Set([...choices, ...values].map((v) => (v === null ? "–" : String(v))))];
    return {
      label,
      values: values.map((v) => names.indexOf(v === null ? "–" : String(v))),
      range: [-0.25, names.length - 0.75],
      tickvals: names.map((_, i) => i),
      ticktext: names.map((n) => plain(shorten(n, 14))),
    };
  }
  if (!log) return { label, values, range: range(values) };
  const logs = values.map(Math.log10);
  const [low, high] = range(logs);
  const step = Math.max(1, Math.round((high - low) / 6));
  const powers = Array.from(
    { length: Math.max(0, Math.floor(high) - Math.ceil(low) + 1) },
    (_, i) => Math.ceil(low) + i,
  );
  const ticks = powers.length > 1 ? powers.filter((_, i) => i % step === 0) : [Math.min(...logs), Math.max(...logs)];
  return {
    label,
    values: logs,
    range: [low, high],
    tickvals: ticks,
    ticktext: ticks.map((t) => written(Number((10 ** t).toPrecision(2)))),
  };
}

// Plasma by matplotlib: even in lightness, and safe for the colour-blind.
const PLASMA = ["#0d0887", "#7e03a8", "#cc4778", "#f89540", "#f0f921"].map((stop, i) => [i / 4, stop]);

// Good trials are drawn in the end of the scale that stands out from the background.
function parallel(names) {
  const shownParameters = data.parameters.filter((p) => names.has(p.name));
  const objectives = data.objectives.map((o) => o.metric);
  const value = (t, p) => (t.inactive.includes(p.name) ? null : t.parameters[p.name]);
  const usable = (p, v) =>
    v === null || (p.type === "Categorical" ? v !== undefined : typeof v === "number" && (!p.log || v > 0));
  const list = data.trials.filter(
    (t) => objectives.every((m) => place(t, m) !== null) && shownParameters.every((p) => usable(p, value(t, p))),
  );
  if (list.length < 2) return null;
  const searched = shownParameters.filter((p) => list.some((t) => value(t, p) !== null));
  const values = list.map((t) => place(t, objectives[0]));
  const dimensions = [
    ...objectives.map((m) =>
      dimension(
        plain(title(m).replace("million parameters", "M")),
        list.map((t) => place(t, m)),
      ),
    ),
    ...searched.map((p) =>
      dimension(
        plain(shorten(p.name, 20)),
        list.map((t) => value(t, p)),
        p,
      ),
    ),
  ];
  return {
    trials: list.map((t) => t.number),
    traces: [
      {
        type: "parcoords",
        dimensions,
        labelangle: -18,
        labelside: "top",
        labelfont: { size: 12, color: color("ink") },
        tickfont: { size: 11, color: color("ink") },
        rangefont: { size: 1, color: "rgba(0,0,0,0)" },
        unselected: { line: { color: color("muted"), opacity: 0.06 } },
        line: {
          color: values,
          colorscale: PLASMA,
          reversescale: minimised(objectives[0]) === dark.matches,
          showscale: true,
          colorbar: { title: { text: plain(unit(objectives[0]).label), side: "right" }, thickness: 12, len: 1 },
        },
      },
    ],
    layout: { margin: { l: 60, r: 30, t: 84, b: 24 } },
  };
}
