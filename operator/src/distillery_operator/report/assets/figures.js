// The figures of trials as points: each function returns {traces, layout} for Plotly, or null where there is nothing to show.

const NOTHING = "Nothing has been measured yet.";

// Where a trial stands on an axis; the axis null counts trials.
const place = (trial, metric) => (metric === null ? trial.number : scaled(trial.metrics, metric));

function hover(trial) {
  const metrics = [...new Set([...data.objectives.map((o) => o.metric), "HasAns_exact", "NoAns_exact"])];
  const lines = metrics
    .filter((m) => scaled(trial.metrics, m) !== null)
    .map((m) => {
      const further = expected(trial, m) === null ? "" : `, trained again ${expected(trial, m)}`;
      return `${unit(m).label} ${shown(trial.metrics, m)}${further}`;
    });
  const settings = ranked()
    .slice(0, 12)
    .map(({ name }) => `${name} ${written(trial.parameters[name])}`);
  const head = `<b>${plain(named(trial))}</b> · ${plain(KINDS[trial.kind].label)}`;
  return [head, ...lines.map(plain), "", ...settings.map((line) => plain(shorten(line, 60)))].join("<br>");
}

function points(list, x, y, name, marker, more = {}) {
  return {
    type: "scatter",
    mode: "markers",
    name,
    marker,
    x: list.map((t) => place(t, x)),
    y: list.map((t) => place(t, y)),
    customdata: list.map((t) => t.number),
    hovertext: list.map(hover),
    hoverinfo: "text",
    cliponaxis: false,
    ...more,
  };
}

// One trace per kind of trial, then the baselines with their names, the teacher, and a ring around the selected trial.
function clouds(list, x, y, selected, across, up) {
  const scale = list.length > 400 ? 0.65 : 1;
  const halo = `0 0 3px ${color("card")}, 0 0 3px ${color("card")}, 0 0 3px ${color("card")}`;
  const traces = ["stopped", "infeasible", "failed", "collapsed", "running", "feasible", "front"].map((kind) => {
    const { label, symbol, size } = KINDS[kind];
    const thin = symbol.endsWith("-thin") || symbol.startsWith("line-");
    const line = { width: thin ? 1.8 : 1, color: thin ? color(kind) : color("card") };
    return points(
      list.filter((t) => t.kind === kind && !t.baseline),
      x,
      y,
      label,
      { symbol, size: scale * size, color: color(kind), line },
    );
  });
  const baselines = list.filter((t) => t.baseline);
  const diamond = { symbol: "diamond", size: 13, color: color("baseline"), line: { width: 1.5, color: color("card") } };
  const labels = {
    mode: "markers+text",
    textfont: { size: 11, color: color("baseline"), shadow: halo },
  };
  labels.text = baselines.map((t) => {
    const here = baselines.filter((o) => place(o, x) === place(t, x) && place(o, y) === place(t, y));
    // Baselines at the same place share one label, or their names would cover each other.
    return here[0] === t ? plain(here.map((o) => shorten(o.baseline, 24)).join(", ")) : "";
  });
  labels.textposition = sides(
    baselines.map((t) => [place(t, x), place(t, y)]),
    labels.text,
    across,
    up,
  );
  traces.push(points(baselines, x, y, "Baseline", diamond, labels));
  const teacher = x === null ? null : scaled(data.teacher, x);
  if (teacher !== null && scaled(data.teacher, y) !== null) {
    traces.push({
      type: "scatter",
      mode: "markers+text",
      name: "Teacher",
      x: [teacher],
      y: [scaled(data.teacher, y)],
      text: ["teacher"],
      textposition: "bottom center",
      textfont: { size: 11, shadow: halo },
      cliponaxis: false,
      hoverinfo: "text",
      hovertext: [
        `<b>Teacher</b><br>${plain(unit(x).label)} ${plain(shown(data.teacher, x))}<br>${plain(unit(y).label)} ${plain(shown(data.teacher, y))}`,
      ],
      marker: { symbol: "star", size: 17, color: color("teacher"), line: { width: 1, color: color("card") } },
    });
  }
  const ring = { symbol: "circle-open", size: 22, color: color("ring"), line: { width: 2 } };
  traces.push(
    points(
      list.filter((t) => t.number === selected),
      x,
      y,
      "Selected",
      ring,
      { showlegend: false, hoverinfo: "skip" },
    ),
  );
  return traces.filter((trace) => trace.x.length);
}

// On which side of their points names stand: below, where one above would cover another to the left of it.
// A name takes a quarter of the axis across, and a line of the axis up.
function sides(places, texts, across, up) {
  const [wide, high] = [0.25 * (across[1] - across[0]), 0.06 * (up[1] - up[0])];
  const found = places.map(() => "top center");
  const above = [];
  const order = [...places.keys()].filter((n) => texts[n]).sort((a, b) => places[a][0] - places[b][0]);
  for (const n of order) {
    const [right, height] = places[n];
    const covers = ([left, other]) => right - left < wide && Math.abs(height - other) < high;
    if (above.some(covers)) found[n] = "bottom center";
    else above.push(places[n]);
  }
  return found;
}

function range(values) {
  const low = Math.min(...values),
    high = Math.max(...values);
  const margin = 0.07 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}

// Shade what a bound forbids, far beyond the visible range so that panning shows no edge.
function forbidden(metric, letter, [low, high]) {
  const other = letter === "x" ? "y" : "x";
  const far = 20 * (high - low);
  return data.bounds
    .filter((bound) => bound.metric === metric)
    .flatMap((bound) => {
      const limit = bound.limit * unit(metric).factor;
      const shape = {
        layer: "below",
        [`${other}ref`]: "paper",
        [`${letter}ref`]: letter,
        [`${other}0`]: 0,
        [`${other}1`]: 1,
      };
      const line = { color: color("muted"), width: 1.2, dash: "dash" };
      return [
        {
          ...shape,
          type: "rect",
          [`${letter}0`]: limit,
          [`${letter}1`]: limit - bound.sign * far,
          fillcolor: color("forbidden"),
          line: { width: 0 },
        },
        { ...shape, type: "line", [`${letter}0`]: limit, [`${letter}1`]: limit, line },
      ];
    });
}

// Each limit is written on its forbidden side, where fewer points are.
function boundLabels(metric, letter) {
  return data.bounds
    .filter((bound) => bound.metric === metric)
    .map((bound) => {
      const limit = bound.limit * unit(metric).factor;
      const text = `${unit(metric).label} ${bound.sign > 0 ? "≥" : "≤"} ${written(limit)} ${unit(metric).short}`;
      const common = { text: plain(text), showarrow: false, font: { size: 11, color: color("muted") } };
      return letter === "x"
        ? {
            ...common,
            x: limit,
            yref: "paper",
            y: 0.4,
            textangle: -90,
            xanchor: bound.sign > 0 ? "right" : "left",
            yanchor: "middle",
          }
        : { ...common, y: limit, xref: "paper", x: 1, xanchor: "right", yanchor: bound.sign > 0 ? "top" : "bottom" };
    });
}

const minimised = (metric) => data.objectives.find((o) => o.metric === metric)?.direction === "Minimize";

// The front's points that nothing on the front beats in these two objectives, along x.
function staircase(x, y) {
  const front = data.front
    .map((number) => trials.get(number))
    .filter((t) => place(t, x) !== null && place(t, y) !== null);
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

// From where to where a trial is expected to come when it is trained again; no share is below nothing or above all.
function reach(trial, metric) {
  const found = trial.expected[metric];
  const { factor, short } = unit(metric);
  const ends = found ? [-1, 1].map((side) => (found.mean + side * found.deviation) * factor) : [];
  return short === "%" ? ends.map((end) => Math.min(100, Math.max(0, end))) : ends;
}

// What the front's points come to when they are trained again: a bar of one standard deviation each way, and its middle.
function expectations(x, y) {
  const list = data.front.map((number) => trials.get(number)).filter((t) => t.expected[y] && place(t, x) !== null);
  if (!list.length) return [];
  const middles = list.map((t) => t.expected[y].mean * unit(y).factor);
  const arm = (side) => list.map((t, n) => Math.max(0, (side ? 1 : -1) * (reach(t, y)[side] - middles[n])));
  return [
    points(
      list,
      x,
      y,
      "Expected again",
      { symbol: "line-ew", size: 11, line: { width: 2, color: color("expected") } },
      {
        y: middles,
        error_y: {
          symmetric: false,
          array: arm(1),
          arrayminus: arm(0),
          color: color("expected"),
          thickness: 1.6,
          width: 4,
        },
      },
    ),
  ];
}

function tradeoff(x, y, selected) {
  const list = data.trials.filter((t) => place(t, x) !== null && place(t, y) !== null);
  if (!list.length) return null;
  const steps = x === null ? records(y) : staircase(x, y);
  const line = {
    type: "scatter",
    mode: "lines",
    name: x === null ? "Best so far" : "Pareto front",
    hoverinfo: "skip",
    x: steps.map((t) => place(t, x)),
    y: steps.map((t) => place(t, y)),
    line: { color: color("front"), width: 2.5, shape: x === null || minimised(x) ? "hv" : "vh" },
  };
  const extent = (metric) => {
    const values = list.map((t) => place(t, metric));
    const teacher = metric === null ? null : scaled(data.teacher, metric);
    const limits = data.bounds.filter((b) => b.metric === metric).map((b) => b.limit * unit(metric).factor);
    const reached = list.flatMap((t) => reach(t, metric));
    return range([...values, ...reached, ...(teacher === null ? [] : [teacher]), ...limits]);
  };
  const [across, up] = [extent(x), extent(y)];
  const knee = trials.get(data.knee);
  const marks =
    knee && x !== null && place(knee, x) !== null
      ? [
          {
            x: place(knee, x),
            y: place(knee, y),
            text: "knee",
            ax: -34,
            ay: -30,
            arrowcolor: color("front"),
            arrowwidth: 1.2,
            bgcolor: color("card"),
            font: { color: color("front") },
          },
        ]
      : [];
  return {
    traces: [line, ...(x === null ? [] : expectations(x, y)), ...clouds(list, x, y, selected, across, up)],
    layout: {
      xaxis: axis(x === null ? "trial" : title(x), { range: across }),
      yaxis: axis(title(y), { range: up }),
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
  const [across, up] = [
    [-4, 104],
    [-4, 106],
  ];
  return {
    traces: clouds(list, x, y, selected, across, up),
    layout: {
      xaxis: axis("HasAns_exact: answerable questions (%)", { range: across }),
      yaxis: axis("NoAns_exact: unanswerable ones (%)", { range: up }),
      shapes: [...forbidden(x, "x", [0, 100]), ...forbidden(y, "y", [0, 100])],
      annotations: [
        ...boundLabels(x, "x"),
        ...boundLabels(y, "y"),
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
  const text = numbers.map(
    (number, i) => `${plain(named(trials.get(number)))}<br>hypervolume ${volumes[i].toPrecision(5)}`,
  );
  return {
    traces: [
      {
        type: "scatter",
        mode: "lines+markers",
        x: numbers.map((_, i) => i + 1),
        y: volumes,
        customdata: numbers,
        hovertext: text,
        hoverinfo: "text",
        line: { shape: "hv", color: color("feasible"), width: 2 },
        fill: "tozeroy",
        fillcolor: color("forbidden"),
        cliponaxis: false,
        marker: { size: grew.map((up) => (up ? 9 : 1)), color: color("front"), line: { width: 0 } },
      },
    ],
    layout: {
      xaxis: axis("trials ended", { rangemode: "tozero" }),
      yaxis: axis(`hypervolume (${data.objectives.map((o) => unit(o.metric).short).join(" · ")})`, {
        rangemode: "tozero",
      }),
      showlegend: false,
    },
  };
}
