// The panel of the selected trial: how it ended, its training curves beside a baseline's, its parameters, and how to take its model.

const panel = document.getElementById("trial");
let comparedWith =
  data.trials.find((t) => t.baseline && t.curve.step.length)?.number ??
  data.trials.find((t) => t.baseline)?.number ??
  null;

const side = document.getElementById("side");

// Where the panel's own place is out of sight, it opens over the page, and the place keeps its height.
function open() {
  if (panel.classList.contains("open")) return;
  side.style.minHeight = `${side.offsetHeight}px`;
  panel.classList.add("open");
}

function dock() {
  panel.classList.remove("open");
  side.style.minHeight = "";
  for (const plot of panel.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(plot);
}

function inSight() {
  const { top, bottom } = side.getBoundingClientRect();
  return top < 0.6 * innerHeight && bottom > 0.4 * innerHeight;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") dock();
});
document.addEventListener("scroll", () => inSight() && panel.classList.contains("open") && dock(), { passive: true });

// The baseline that stands beside a trial: the chosen one, or another one where the trial is itself the chosen one.
function other(trial) {
  if (comparedWith !== trial.number) return trials.get(comparedWith);
  return data.trials.find((t) => t.baseline && t.number !== trial.number);
}

function fact(label, value, ...notes) {
  const lines = notes.map((note) => (typeof note === "string" ? element("span", {}, note) : note));
  return element("div", {}, label, element("b", {}, value), ...lines);
}

function again(trial, metric) {
  return element("em", {}, `trained again: ${expected(trial, metric)}`);
}

// The ways in which a trial's last metrics reach Distillery.
const SOURCES = { TerminationMessage: "termination message", Scrape: "scrape", Prometheus: "Prometheus" };

function day(seconds) {
  const text = new Date(1000 * seconds).toISOString();
  return [text.slice(11, 19), `${text.slice(0, 10)} UTC`];
}

function facts(trial) {
  const metrics = [
    ...new Set([...data.objectives.map((o) => o.metric), "HasAns_exact", "NoAns_exact", "parameter_count"]),
  ];
  const cells = metrics
    .filter((m) => scaled(trial.metrics, m) !== null)
    .map((metric) => {
      const tested = scaled(trial.test, metric) !== null;
      const measured = scaled(trial.measured, metric);
      const differs = measured !== null && measured !== scaled(trial.metrics, metric);
      const teacher = scaled(data.teacher, metric);
      return fact(
        unit(metric).label,
        shown(trial.metrics, metric),
        ...(expected(trial, metric) === null ? [] : [again(trial, metric)]),
        ...(differs ? [`measured ${shown(trial.measured, metric)}`] : []),
        ...(tested ? [`test ${shown(trial.test, metric)}`] : []),
        ...(teacher === null ? [] : [`teacher ${shown(data.teacher, metric)}`]),
        ...(tested && scaled(data.teacherTest, metric) !== null
          ? [`teacher’s test ${shown(data.teacherTest, metric)}`]
          : []),
      );
    });
  const spent = [
    ...(trial.gpuHours ? [`${written(trial.gpuHours)} GPU-hours`] : []),
    ...(trial.cost ? [`cost ${written(trial.cost)}`] : []),
  ];
  if (trial.seconds) cells.push(fact("run time", span(trial.seconds), spent.join(", ")));
  if (trial.progress !== null && trial.progress !== undefined)
    cells.push(fact("progress", `${Math.round(100 * trial.progress)} %`, ""));
  if (trial.started) cells.push(fact("suggested", ...day(trial.started)));
  if (trial.ended) cells.push(fact("ended", ...day(trial.ended)));
  for (const run of trial.confirmations) {
    const objective = data.objectives.find((o) => o.metric !== "parameter_count" && scaled(run.metrics, o.metric) !== null);
    const value = objective ? shown(run.metrics, objective.metric) : run.state;
    cells.push(fact(`seed ${run.seed}`, value, objective ? unit(objective.metric).label : run.message));
  }
  if (trial.confirmed) cells.push(fact("confirmed", "yes", "by trainings with other seeds"));
  if (trial.source) cells.push(fact("metrics by", SOURCES[trial.source] ?? trial.source, ""));
  return element("div", { class: "facts" }, ...cells, ...making(trial.provenance));
}

// What made a trial's result, as far as it is known.
function making(made) {
  if (!made) return [];
  const { version, torch, transformers, device } = made.trainer;
  const libraries = [torch && `torch ${torch}`, transformers && `transformers ${transformers}`].filter(Boolean);
  const generation = made.generation === null ? "" : `generation ${made.generation} of the spec`;
  return [
    ...(version ? [fact("trainer", version, libraries.join(", "))] : []),
    ...(device ? [fact("device", device, "")] : []),
    ...(made.image ? [fact("image", made.image.split("@")[0].split("/").pop(), made.image)] : []),
    ...(made.request ? [fact("request", made.request, generation)] : []),
    ...(made.prepared ? [fact("prepared data", made.prepared.slice(0, 12), "")] : []),
  ];
}

const COLORS = {
  exact: "front",
  f1: "running",
  HasAns_exact: "feasible",
  NoAns_exact: "collapsed",
  total: "ring",
  hard: "feasible",
  soft: "front",
  relation: "baseline",
};

function curve(trial, group, name, label, dash, faded) {
  return {
    type: "scatter",
    mode: trial.curve.step.length > 1 ? "lines" : "markers",
    name: plain(label),
    x: trial.curve.step,
    y: trial.curve[group][name],
    connectgaps: true,
    line: { color: color(COLORS[name] ?? "muted"), width: faded ? 1.5 : 2.3, dash },
    opacity: faded ? 0.75 : 1,
    marker: { color: color(COLORS[name] ?? "muted") },
    hovertemplate: `${plain(label)} %{y:.4~g}, step %{x}<extra></extra>`,
  };
}

// Curves of one group (metrics or losses) for a trial, solid, and its baseline, dotted.
function curves(trial, baseline, group, names) {
  const own = names.filter((name) => trial.curve[group][name]);
  if (!own.length) return null;
  const traces = own.map((name) => curve(trial, group, name, name, "solid", false));
  if (baseline) {
    const shared = own.filter((name) => baseline.curve[group][name]);
    traces.push(
      ...shared.map((name) => ({
        ...curve(baseline, group, name, `${name} of ${shorten(baseline.baseline, 24)}`, "dot", true),
        showlegend: false,
      })),
    );
  }
  const teacher = own.length < 3 && group === "metrics" ? scaled(data.teacher, "exact") : null;
  const line = own[0] === "exact" && teacher !== null;
  return {
    traces,
    layout: {
      margin: { l: 34, r: 8, t: 4, b: 28 },
      hovermode: "closest",
      legend: { orientation: "h", x: 0, y: 1.04, yanchor: "bottom", font: { size: 10.5 } },
      xaxis: axis("", { rangemode: "tozero" }),
      yaxis: axis("", { rangemode: group === "losses" ? "tozero" : "normal" }),
      shapes: line
        ? [
            {
              type: "line",
              xref: "paper",
              x0: 0,
              x1: 1,
              y0: teacher,
              y1: teacher,
              line: { color: color("teacher"), width: 1, dash: "dash" },
            },
          ]
        : [],
      annotations: line
        ? [
            {
              xref: "paper",
              x: 0,
              y: teacher,
              text: "teacher",
              showarrow: false,
              xanchor: "left",
              yanchor: "top",
              font: { size: 10.5 },
            },
          ]
        : [],
    },
  };
}

function settings(trial, baseline) {
  const searched = data.parameters.map((p) => p.name);
  const names = [...new Set([...searched, ...trial.given, ...(baseline?.given ?? [])])];
  const rows = names.map((name) => {
    const [mine, theirs] = [written(trial.parameters[name]), baseline ? written(baseline.parameters[name]) : null];
    const differs = theirs !== null && mine !== theirs;
    const cells = [element("td", {}, name), element("td", {}, mine)];
    if (baseline) cells.push(element("td", {}, differs ? `≠ ${theirs}` : theirs));
    return element("tr", { class: differs ? "differs" : null }, ...cells);
  });
  const head = ["parameter", `trial ${trial.number}`, ...(baseline ? [baseline.baseline] : [])];
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows),
  );
}

function taking(trial) {
  if (!trial.model) {
    const ended =
      trial.kind === "running" ? "There is no model before the training ends." : "No model is kept of this trial.";
    return [element("h3", {}, "Model"), element("p", { class: "hint" }, ended)];
  }
  const copy = element("button", { class: "copy", type: "button" }, "Copy command");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(trial.export);
    copy.textContent = "Copied";
  });
  const nodes = [
    element("h3", {}, "Model folder"),
    element("code", {}, trial.model),
    element("h3", {}, "Take it"),
    element("code", { id: "export" }, trial.export),
  ];
  return navigator.clipboard ? [...nodes, copy] : nodes;
}

function chooser(trial) {
  const baselines = data.trials.filter((t) => t.baseline && t.number !== trial.number);
  if (baselines.length < 2) return [];
  const select = element(
    "select",
    { id: "baseline" },
    ...baselines.map((t) => element("option", { value: t.number }, t.baseline)),
  );
  select.value = String(other(trial).number);
  select.addEventListener("change", () => {
    comparedWith = Number(select.value);
    showTrial(trial.number);
  });
  return [element("p", { class: "controls" }, element("label", { for: "baseline" }, "Beside baseline"), select)];
}

function showTrial(number) {
  const trial = trials.get(number);
  if (!trial) {
    panel.replaceChildren(
      element("h2", {}, "No trial yet"),
      element("p", { class: "empty" }, "Trials appear here as they are suggested."),
    );
    return;
  }
  const baseline = other(trial);
  const tone = { front: "good", feasible: "neutral", running: "neutral" }[trial.kind] ?? "bad";
  const groups = [
    ["Accuracy (%)", "metrics", ["exact", "f1"]],
    ["HasAns against NoAns (%)", "metrics", ["HasAns_exact", "NoAns_exact"]],
    ["Loss by part", "losses", Object.keys(trial.curve.losses)],
  ]
    .map(([heading, group, names]) => ({ heading, figure: curves(trial, baseline, group, names) }))
    .filter(({ figure }) => figure);
  const legend = `Along the optimiser's steps${baseline?.curve.step.length ? `; dotted: baseline ${baseline.baseline}` : ""}.`;
  const plots = groups.map(({ heading }) =>
    element("div", { class: "figure small curve", role: "figure", "aria-label": `${heading} along the training` }),
  );
  for (const old of panel.querySelectorAll(".js-plotly-plot")) Plotly.purge(old);
  panel.replaceChildren(
    element(
      "h2",
      { id: "trial-title" },
      named(trial),
      element("span", { class: `badge ${tone}` }, KINDS[trial.kind].label),
      element("button", { id: "close", class: "chip", type: "button", onclick: dock }, "Close"),
    ),
    element("p", { class: "reason" }, element("b", {}, trial.reason), trial.message ? ` – ${trial.message}` : ""),
    ...(trial.continues === null ? [] : [element("p", { class: "hint" }, `Goes on from the checkpoint of trial ${trial.continues}.`)]),
    facts(trial),
    ...chooser(trial),
    element("div", { class: "plots" }, ...groups.map(({ heading }, i) => element("div", {}, element("h3", {}, heading), plots[i]))),
    ...(groups.length
      ? [element("p", { class: "hint" }, legend)]
      : [element("p", { class: "empty" }, "No training curve was measured.")]),
    element("h3", {}, "Parameters"),
    settings(trial, baseline),
    ...taking(trial),
  );
  groups.forEach(({ figure }, i) => draw(plots[i], figure));
}
