// The table of all trials: sorted by any column, filtered by kind, text and the brushes of the parallel coordinates.
// Rows are built as they are scrolled to, so that thousands of trials stay quick.

const CHUNK = 100;
const rows = { sort: "number", descending: false, kind: "", text: "", brushed: null, list: [], built: 0 };

function columns() {
  const metrics = [
    ...new Set([...data.objectives.map((o) => o.metric), "HasAns_exact", "NoAns_exact", "parameter_count"]),
  ];
  const measured = metrics.filter((m) => data.trials.some((t) => scaled(t.metrics, m) !== null));
  const number = (key, label, value, text) => ({ key, label, name: label, value, text, css: "number" });
  return [
    number(
      "number",
      "Trial",
      (t) => t.number,
      (t) => String(t.number),
    ),
    { key: "baseline", label: "Baseline", value: (t) => t.baseline, text: (t) => t.baseline ?? "", css: "text" },
    {
      key: "byHand",
      label: "Suggested by hand",
      value: (t) => t.byHand,
      text: (t) => (handed(t) ? t.byHand || "by hand" : ""),
      css: "text",
    },
    { key: "kind", label: "State", value: (t) => Object.keys(KINDS).indexOf(t.kind), kind: true },
    ...measured.map((m) =>
      number(
        `metric ${m}`,
        title(m).replace("million parameters", "M"),
        (t) => scaled(t.metrics, m),
        (t) => (scaled(t.metrics, m) === null ? "–" : digits(scaled(t.metrics, m), m)),
      ),
    ),
    number(
      "seconds",
      "Run time",
      (t) => t.seconds,
      (t) => (t.seconds ? span(t.seconds) : "–"),
    ),
    ...[
      ["gpuHours", "GPU-hours"],
      ["cost", "Cost"],
    ]
      .filter(([key]) => data.trials.some((t) => t[key]))
      .map(([key, label]) =>
        number(
          key,
          label,
          (t) => t[key],
          (t) => (t[key] ? written(t[key]) : "–"),
        ),
      ),
    { key: "reason", label: "Reason", value: (t) => t.reason, text: (t) => t.reason, css: "text" },
    { key: "message", label: "Message", value: (t) => t.message, text: (t) => t.message, css: "message" },
    ...data.parameters.map((p) => ({
      key: `parameter ${p.name}`,
      label: p.name,
      value: (t) => t.parameters[p.name],
      text: (t) => written(t.parameters[p.name]),
      css: `${p.type === "Categorical" ? "text" : "number"} aside`,
    })),
  ].filter((column) => !["baseline", "byHand"].includes(column.key) || data.trials.some(column.text));
}

const COLUMNS = columns();
const body = element("tbody");

// Values that are missing come last, whichever way the rest is sorted.
function compare(a, b) {
  const { value } = COLUMNS.find((column) => column.key === rows.sort);
  const [left, right] = [value(a), value(b)];
  const [none, other] = [left === null || left === undefined, right === null || right === undefined];
  if (none || other) return none - other || a.number - b.number;
  const order =
    typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right));
  return (rows.descending ? -order : order) || a.number - b.number;
}

function haystack(trial) {
  trial.haystack ??= [
    `trial #${trial.number}`,
    trial.baseline,
    handed(trial) ? `suggested by hand ${trial.byHand}` : "",
    KINDS[trial.kind].label,
    trial.reason,
    trial.message,
    ...Object.entries(trial.parameters).map(([k, v]) => `${k}=${written(v)}`),
  ]
    .join(" ")
    .toLowerCase();
  return trial.haystack;
}

function kept(trial) {
  const own = { baseline: trial.baseline, byHand: handed(trial) };
  const kind = !rows.kind || trial.kind === rows.kind || own[rows.kind];
  const words = rows.text.toLowerCase().split(/\s+/).filter(Boolean);
  return (
    kind && (!rows.brushed || rows.brushed.has(trial.number)) && words.every((word) => haystack(trial).includes(word))
  );
}

function row(trial) {
  const cells = COLUMNS.map((column) => {
    if (!column.kind) return element("td", { class: column.css, "data-label": column.name }, column.text(trial));
    return element("td", {}, element("span", { class: `dot as-${trial.kind}` }), KINDS[trial.kind].label);
  });
  const node = element(
    "tr",
    { tabindex: "0", "data-trial": trial.number, "aria-selected": String(trial.number === chosen.number) },
    ...cells,
  );
  return node;
}

function build() {
  body.append(...rows.list.slice(rows.built, rows.built + CHUNK).map(row));
  rows.built = Math.min(rows.list.length, rows.built + CHUNK);
}

function fill() {
  rows.list = data.trials.filter(kept).sort(compare);
  rows.built = 0;
  body.replaceChildren();
  build();
  const brushed = rows.brushed ? ", those within the brushes above" : "";
  document.getElementById("shown").textContent = `${rows.list.length} of ${data.trials.length} trials${brushed}`;
  for (const head of document.querySelectorAll("#table thead th")) {
    const active = head.dataset.key === rows.sort;
    head.setAttribute("aria-sort", active ? (rows.descending ? "descending" : "ascending") : "none");
    head.querySelector("span").textContent = active ? (rows.descending ? " ↓" : " ↑") : "";
  }
  for (const chip of document.querySelectorAll("#filters .chip"))
    chip.setAttribute("aria-pressed", String(chip.dataset.kind === rows.kind));
}

function sortBy(column) {
  rows.descending =
    rows.sort === column.key ? !rows.descending : column.key.startsWith("metric") && !minimised(column.key.slice(7));
  rows.sort = column.key;
  fill();
}

function filters() {
  const count = (kind) => data.trials.filter((t) => t.kind === kind).length;
  const baselines = data.trials.filter((t) => t.baseline).length;
  const kinds = [
    ["", "All", data.trials.length],
    ...Object.keys(KINDS).map((kind) => [kind, KINDS[kind].label, count(kind)]),
    ["baseline", "Baselines", baselines],
    ["byHand", "By hand", data.trials.filter(handed).length],
  ];
  const chips = kinds
    .filter(([kind, , n]) => n || !kind)
    .map(([kind, label, n]) =>
      element(
        "button",
        {
          class: "chip",
          type: "button",
          "data-kind": kind,
          onclick: () => {
            rows.kind = kind;
            fill();
          },
        },
        `${label} ${n}`,
      ),
    );
  const search = element("input", {
    type: "search",
    id: "search",
    placeholder: "Filter, such as diverged n_layers=4",
    "aria-label": "Filter trials by text",
  });
  search.addEventListener("input", () => {
    rows.text = search.value;
    fill();
  });
  document.getElementById("filters").append(search, ...chips);
}

function keys(event) {
  const node = event.target.closest("tr");
  if (!node || !body.contains(node)) return;
  const next = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling }[event.key];
  if (next) next.focus();
  else if (event.key === "Enter" || event.key === " ") choose(Number(node.dataset.trial));
  else return;
  event.preventDefault();
}

function setUpTable() {
  const heads = COLUMNS.map((column) =>
    element(
      "th",
      { scope: "col", class: column.css ?? null, "data-key": column.key },
      element("button", { type: "button", onclick: () => sortBy(column) }, column.label, element("span")),
    ),
  );
  document.getElementById("table").append(element("thead", {}, element("tr", {}, ...heads)), body);
  body.addEventListener("click", (event) => choose(Number(event.target.closest("tr").dataset.trial)));
  body.addEventListener("keydown", keys);
  const scroller = body.closest(".rows");
  scroller.addEventListener("scroll", () => {
    if (scroller.scrollTop + scroller.clientHeight > scroller.scrollHeight - 400) build();
  });
  filters();
  fill();
}
