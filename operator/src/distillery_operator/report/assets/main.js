// Puts the page to work: header, figures, and the one selected trial that all parts follow.

const chosen = { number: null };
const at = (id) => document.getElementById(id);
const size = data.objectives.find((o, i) => i < 2 && o.metric === "parameter_count")?.metric;
const firsts = data.objectives.slice(0, 2).map((o) => o.metric);
const axes = { y: firsts.find((m) => m !== size) ?? firsts[0], x: firsts.length < 2 ? null : (size ?? firsts[1]) };
let nearParallel = false;
const FEW = 6;
let important = data.parameters.length > FEW;

function header() {
  at("name").textContent = data.name;
  at("place").textContent = data.namespace ? ` · namespace ${data.namespace}` : "";
  at("state").textContent = data.state.word;
  at("state").classList.add(data.state.tone);
  const dates = [data.started && `Started ${moment(data.started)}`, data.ended && `ended ${moment(data.ended)}`]
    .filter(Boolean)
    .join(", ");
  at("sentence").textContent = [data.state.sentence, dates].filter(Boolean).join(" · ");
  at("findings").append(...data.findings.map((text) => element("li", {}, text)));
  at("tiles").append(
    ...data.tiles.map(({ title: heading, value, sentence, trial }) => {
      const inside = [element("b", {}, heading), element("strong", {}, value), element("span", {}, sentence)];
      if (trial === null) return element("div", { class: "tile" }, ...inside);
      return element("button", { class: "tile", type: "button", onclick: () => choose(trial) }, ...inside);
    }),
  );
  const counts = Object.keys(KINDS)
    .map((kind) => [kind, data.trials.filter((t) => t.kind === kind).length])
    .filter(([, n]) => n);
  const planned = Math.max(data.counts.planned, data.trials.length);
  const part = ([kind, n]) => {
    const node = element("span", { class: `as-${kind}` });
    node.style.width = `${(100 * n) / planned}%`;
    return node;
  };
  const entry = ([kind, n]) =>
    element("span", {}, element("span", { class: `dot as-${kind}` }), `${n} ${KINDS[kind].label.toLowerCase()}`);
  at("progress").append(
    element("div", { class: "bar", "aria-hidden": "true" }, ...counts.map(part)),
    element(
      "div",
      { class: "key" },
      element("b", {}, `${data.trials.length} of ${planned} trials`),
      ...counts.map(entry),
    ),
  );
}

function pictureControls() {
  const save = () =>
    Plotly.downloadImage(at("tradeoff"), { format: "svg", filename: `${data.name}-front`, width: 900, height: 600 });
  if (!data.trials.some((t) => place(t, axes.x) !== null && place(t, axes.y) !== null)) return;
  at("axes").append(element("button", { class: "chip", type: "button", onclick: save }, "Save as SVG"));
  if (data.objectives.length < 3) return;
  for (const letter of ["x", "y"]) {
    const select = element(
      "select",
      { id: `axis-${letter}` },
      ...data.objectives.map((o) => element("option", { value: o.metric }, unit(o.metric).label)),
    );
    select.value = axes[letter];
    select.addEventListener("change", () => {
      axes[letter] = select.value;
      drawSelectable();
    });
    at("axes").append(element("label", { for: `axis-${letter}` }, letter === "x" ? "across" : "up"), select);
  }
}

function parallelChoice() {
  if (data.parameters.length <= FEW) return;
  const button = element("button", { class: "chip", type: "button" });
  const label = () => {
    button.textContent = important
      ? `Show all ${data.parameters.length} parameters`
      : `Show the ${FEW} that matter most`;
  };
  button.addEventListener("click", () => {
    important = !important;
    label();
    drawParallel();
  });
  label();
  at("parallel-axes").append(button);
}

// The table shows what crosses every brush. Plotly keeps brushes as ranges per axis, one or a list of them.
function followBrushes(numbers) {
  const axesNow = at("parallel").data[0].dimensions.filter((d) => d.constraintrange?.length);
  const within = (d, i) =>
    [d.constraintrange]
      .flat(Array.isArray(d.constraintrange[0]) ? 1 : 0)
      .some(([low, high]) => d.values[i] >= low && d.values[i] <= high);
  rows.brushed = axesNow.length ? new Set(numbers.filter((_, i) => axesNow.every((d) => within(d, i)))) : null;
  fill();
}

function drawParallel() {
  const names = new Set(
    ranked()
      .slice(0, important ? FEW : undefined)
      .map((p) => p.name),
  );
  const figure = parallel(names);
  const node = at("parallel");
  if (rows.brushed) {
    rows.brushed = null;
    fill();
  }
  node.style.minWidth = figure ? `${Math.max(0, 88 * figure.traces[0].dimensions.length)}px` : "";
  draw(node, figure, "Parallel coordinates need two measured trials.");
  if (!figure) return;
  node.removeAllListeners("plotly_restyle");
  node.on("plotly_restyle", () => followBrushes(figure.trials));
}

function clickable(id) {
  const node = at(id);
  if (!node.on || node.dataset.clickable) return;
  node.dataset.clickable = "yes";
  node.on("plotly_click", ({ points: [point] }) => {
    if (point.customdata !== undefined) choose(point.customdata);
  });
}

// How far the bars of what is expected of the front can be trusted.
function trusted({ metric, trials: count, error, spread }) {
  const [wrong, mean] = [error, spread].map((value) => digits(value * unit(metric).factor, metric));
  const { label, short } = unit(metric);
  return (
    `Bars: ${label} to expect of the front when it is trained again, by ${count} trials. ` +
    `On left-out trials this is wrong by ${wrong} ${short}, their mean by ${mean} ${short}.`
  );
}

// What shows a ring around the selected trial.
function drawSelectable() {
  const single = axes.x === null;
  at("tradeoff-title").textContent = single
    ? `${unit(axes.y).label} over trials`
    : `${unit(axes.y).label} against ${unit(axes.x).label}`;
  at("tradeoff-hint").textContent =
    "Click a point to see how it was trained; drag to zoom, double-click to go back. Shaded: beyond a threshold or constraint.";
  at("again").textContent = data.expectations.map(trusted).join(" ");
  draw(at("tradeoff"), tradeoff(axes.x, axes.y, chosen.number), NOTHING);
  const sides = answers(chosen.number);
  at("answers-card").hidden = !sides;
  if (sides) draw(at("answers"), sides, NOTHING);
  ["tradeoff", "answers"].forEach(clickable);
}

function drawAll() {
  drawSelectable();
  at("history-card").hidden = axes.x === null;
  if (axes.x !== null) draw(at("history"), growth(), "The front is empty so far.");
  clickable("history");
  at("correlations-hint").textContent =
    `Spearman's rank correlation over ${data.correlations.trials ?? 0} completed trials.`;
  const height = `${Math.max(220, 60 + 26 * data.parameters.length)}px`;
  for (const id of ["importances", "correlations"]) at(id).style.height = height;
  at("importances-grounds").replaceChildren(...grounds());
  draw(at("importances"), importances(), "");
  draw(at("correlations"), correlations(), "Correlations need at least five completed trials.");
  if (nearParallel) drawParallel();
  showTrial(chosen.number);
}

// Thousands of lines take a while, so they are drawn once a reader comes near.
function watchParallel() {
  const watcher = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      nearParallel = true;
      drawParallel();
    },
    { rootMargin: "600px" },
  );
  watcher.observe(at("parallel-card"));
}

function choose(number) {
  chosen.number = number;
  drawSelectable();
  if (inSight()) dock();
  else open();
  showTrial(number);
  for (const node of body.children) node.setAttribute("aria-selected", String(Number(node.dataset.trial) === number));
  history.replaceState(null, "", `#trial-${number}`);
  panel.scrollTop = 0;
}

function first() {
  const linked = Number(location.hash.match(/^#trial-(\d+)$/)?.[1] ?? NaN);
  if (trials.has(linked)) return linked;
  const best = data.tiles.find((tile) => tile.trial !== null)?.trial;
  return best ?? data.trials.find((t) => t.curve.step.length)?.number ?? data.trials[0]?.number ?? null;
}

chosen.number = first();
header();
pictureControls();
parallelChoice();
drawAll();
setUpTable();
watchParallel();
dark.addEventListener("change", drawAll);
