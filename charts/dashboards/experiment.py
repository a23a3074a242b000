"""One experiment: its front, how the search goes, and what it costs."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.colours import BAD, COLOURS, GOOD, ODD, STATES
from dashboards.panels import (
    CLUSTER,
    Panel,
    Points,
    Query,
    bars,
    board,
    filled,
    lines,
    link,
    number,
    rows,
    scatter,
    transform,
    variable,
)

OWN = f'{CLUSTER}, namespace="$namespace", experiment="$experiment"'
OBJECTIVES = f"label_values(distillery_experiment_pareto_front_value{{{OWN}}}, objective)"
TO_TRIAL = {
    "trial": link(
        "Look at this trial",
        "distillery-trial",
        namespace="namespace",
        experiment="experiment",
        trial="__value.text",
    )
}


def build() -> Dashboard:
    """Return the dashboard."""
    made = board(
        "distillery-experiment",
        "One distillation experiment.",
        variable(
            "namespace",
            "Namespace",
            f"label_values(distillery_experiment_info{{{CLUSTER}}}, namespace)",
        ),
        variable(
            "experiment",
            "Experiment",
            f"label_values(distillery_experiment_info{{{CLUSTER},"
            ' namespace="$namespace"}, experiment)',
        ),
        variable("x", "Front: x", OBJECTIVES, default="parameter_count"),
        variable("y", "Front: y", OBJECTIVES, default="exact"),
        variable("objective", "Objectives", OBJECTIVES, several=True),
    )
    made = filled(made, *_numbers())
    made = filled(
        made,
        _front(),
        _points(),
        _hypervolume(),
        _hypervolume_by_trials(),
        _budgets(),
        _best(),
        heading="What was found",
    )
    made = filled(
        made,
        _states(),
        _reasons(),
        _halves(),
        _latest(),
        _sides(),
        _trials(),
        heading="Progress",
    )
    made = filled(made, _processes(), _pending(), _gpu(), _cost(), heading="Machines")
    return made


def _numbers() -> list[Panel]:
    return [
        number(
            "State",
            "The experiment's state in one word, as kubectl get shows it.",
            "short",
            Query(
                f"max by (state) (distillery_experiment_info{{{OWN}}})", "{{state}}", latest=True
            ),
            names=True,
            colours={"/.+/": BAD, **{f"/^{s}$/": colour for s, colour in STATES.items()}},
            empty="unknown",
        ),
        number(
            "Ended trials",
            "Ended trials as a share of maxTrials.",
            "percentunit",
            Query(
                f'max(distillery_experiment_budget_used_ratio{{{OWN}, budget="maxTrials"}})',
                latest=True,
            ),
        ),
        number(
            "Feasible trials",
            "Trials that meet all thresholds and constraints.",
            "short",
            Query(f'max(distillery_experiment_trials{{{OWN}, state="Completed"}})', latest=True),
            steps=((None, ODD), (1, GOOD)),
        ),
        number(
            "Size of the front",
            "Feasible trials that no other feasible trial beats.",
            "short",
            Query(f"max(distillery_experiment_pareto_front_size{{{OWN}}})", latest=True),
        ),
        number(
            "Front improved",
            "How long ago a trial last joined the front. Never, as long as there is no front.",
            "s",
            Query(
                "time() - max"
                f" (distillery_experiment_pareto_front_improved_timestamp_seconds{{{OWN}}})",
                latest=True,
            ),
            empty="never",
        ),
        number(
            "GPU time",
            "GPU time that trials and preparation have used. 0 without GPUs.",
            "s",
            Query(f"max(distillery_experiment_gpu_seconds{{{OWN}}})", latest=True),
        ),
    ]


def _cloud(name: str, colour: str, by: str, metric: str, label: str) -> Points:
    """Return points whose two values a metric has, one for each objective that is chosen."""
    x, y = (f'max by ({by}) ({metric}{{{OWN}, {label}="${axis}"}})' for axis in "xy")
    return Points(name, x, y, by, colour)


def _measured(metric: str) -> str:
    """Return what the trials' own pods said last of a metric, within the time that is shown."""
    selector = f'distillery_trial_metric{{{OWN}, metric="{metric}"}}'
    return f"max by (trial) (last_over_time({selector}[$__range]))"


def _front() -> Panel:
    return scatter(
        "Front",
        "All trials that were measured within the shown time, the points of the front (at most 200)"
        " and the baselines, by the two objectives that are chosen above.",
        (("$x", "short"), ("$y", "short")),
        Points("trials", _measured("$x"), _measured("$y"), "trial", COLOURS["Pending"]),
        _cloud(
            "front",
            COLOURS["Failed"],
            "trial",
            "distillery_experiment_pareto_front_value",
            "objective",
        ),
        _cloud(
            "baselines",
            COLOURS["Completed"],
            "baseline",
            "distillery_experiment_baseline_value",
            "objective",
        ),
    )


def _points() -> Panel:
    matrix = {"columnField": "objective", "rowField": "trial", "valueField": "Value"}
    values, tests, again = (
        f"max by (trial, objective) (distillery_experiment_pareto_front_{what}{{{OWN}}})"
        for what in ("value", "test_value", "other_seeds_value")
    )
    sure = f"max by (trial) (distillery_experiment_pareto_front_confirmed{{{OWN}}})"
    named = " or ".join(
        (
            f'label_replace({tests}, "objective", "$1 (test)", "objective", "(.+)")',
            f'label_replace({again}, "objective", "$1 (other seeds)", "objective", "(.+)")',
            f'label_replace({sure}, "objective", "confirmed", "", "")',
        )
    )
    return rows(
        "Points of the front",
        "Values of each point of the front: on the validation set, which the search optimises, and"
        " once it is over on the test set, if there is one, and the mean of trainings with other"
        " seeds, if they are wanted. Click on a number to open the trial.",
        "short",
        Query(f"{values} or {named}", table=True),
        width=12,
        height=12,
        transformations=[
            transform("groupingToMatrix", matrix),
            transform("organize", {"renameByName": {"trial\\objective": "trial"}}),
        ],
        columns=TO_TRIAL,
    )


def _hypervolume() -> Panel:
    return lines(
        "Hypervolume over time",
        "Volume between the front and the reference point, in the product of the objectives' units."
        " It grows while the search finds better trials.",
        "short",
        Query(f"max(distillery_experiment_hypervolume{{{OWN}}})", "hypervolume"),
    )


def _hypervolume_by_trials() -> Panel:
    ended = f"sum(distillery_experiment_ended_trials{{{OWN}}})"
    volume = f"max(distillery_experiment_hypervolume{{{OWN}}})"
    return scatter(
        "Hypervolume over trials",
        "Hypervolume by the number of ended trials. If it has been flat for long, more trials will"
        " improve little.",
        (("ended trials", "short"), ("hypervolume", "short")),
        Points("hypervolume", ended, volume, "Time", COLOURS["Running"], line=True),
        width=8,
        height=8,
    )


def _budgets() -> Panel:
    return bars(
        "Budgets",
        "Share of each budget that is used, by the field that sets the budget. The experiment ends"
        " when the first budget is used up.",
        "percentunit",
        Query(
            f"max by (budget) (distillery_experiment_budget_used_ratio{{{OWN}}})",
            "{{budget}}",
            latest=True,
        ),
        most=1,
        steps=((None, COLOURS["Running"]), (0.8, ODD), (1, BAD)),
    )


def _best() -> Panel:
    one = f'{OWN}, objective=~"$objective"'
    teacher = f'{OWN}, metric=~"$objective"'
    return lines(
        "Best $objective",
        "Best feasible value so far, with the threshold, the baselines and the teacher.",
        "short",
        Query(f"max by (objective) (distillery_experiment_best_value{{{one}}})", "best"),
        Query(f"max by (objective) (distillery_experiment_spec_threshold{{{one}}})", "threshold"),
        Query(
            f"max by (baseline, objective) (distillery_experiment_baseline_value{{{one}}})",
            "baseline {{baseline}}",
        ),
        Query(f"max by (metric) (distillery_experiment_teacher_value{{{teacher}}})", "teacher"),
        width=24,
        dashed="/threshold|baseline|teacher/",
        repeat="objective",
    )


def _states() -> Panel:
    return lines(
        "States",
        "Trials by state. Infeasible: missed a bound, or ended by what was suggested. Stopped:"
        " early, because they would not have improved the front.",
        "short",
        Query(f"max by (state) (distillery_experiment_trials{{{OWN}}})", "{{state}}"),
        stacked=True,
        colours=COLOURS,
    )


def _reasons() -> Panel:
    return bars(
        "Why trials ended",
        "Ended trials by reason, judged by the current thresholds.",
        "short",
        Query(
            f"max by (state, reason) (distillery_experiment_ended_trials{{{OWN}}}) > 0",
            "{{state}}: {{reason}}",
            latest=True,
        ),
        colours={f"/^{state}/": colour for state, colour in COLOURS.items()},
    )


def _halves() -> Panel:
    return scatter(
        "HasAns against NoAns",
        "All trials that were measured within the shown time: how many answerable questions each"
        " answers right, and how many unanswerable ones. Many points in a corner show a collapse:"
        " these models answer no question (top left) or every question.",
        (("HasAns_exact", "percent"), ("NoAns_exact", "percent")),
        Points(
            "trials",
            _measured("HasAns_exact"),
            _measured("NoAns_exact"),
            "trial",
            COLOURS["Running"],
        ),
        width=8,
        height=8,
    )


def _latest() -> Panel:
    wanted = 'metric=~"exact|HasAns_exact|NoAns_exact"'
    return lines(
        "The trial measured last",
        "Exact of the trial that was measured last: over all questions, and over each half.",
        "percent",
        Query(
            f"max by (metric) (distillery_experiment_latest_value{{{OWN}, {wanted}}})", "{{metric}}"
        ),
    )


def _sides() -> Panel:
    return lines(
        "Trials that fail on one half",
        "Trials that answer almost none of this half of the questions right, but more of the rest.",
        "short",
        Query(f"max by (half) (distillery_experiment_one_sided_trials{{{OWN}}})", "{{half}}"),
        Query(f"sum(distillery_experiment_ended_trials{{{OWN}}})", "ended trials"),
        dashed="/ended/",
    )


def _trials() -> Panel:
    matrix = {"columnField": "metric", "rowField": "trial", "valueField": "Value"}
    metric = f"distillery_trial_metric{{{OWN}}}"
    return rows(
        "Trials",
        "Last evaluation of each trial that was scraped within the shown time. Click on a number to"
        " open the trial's curves.",
        "short",
        Query(f"max by (trial, metric) (last_over_time({metric}[$__range]))", table=True),
        width=8,
        transformations=[
            transform("groupingToMatrix", matrix),
            transform("organize", {"renameByName": {"trial\\metric": "trial"}}),
        ],
        columns=TO_TRIAL,
    )


def _processes() -> Panel:
    return lines(
        "Processes",
        "Attempts that run or wait for a machine, and the parallelism of the spec.",
        "short",
        Query(f"max(distillery_experiment_active{{{OWN}}})", "attempts"),
        Query(f"max(distillery_experiment_spec_parallelism{{{OWN}}})", "parallelism"),
        dashed="/parallelism/",
        width=6,
    )


def _pending() -> Panel:
    return lines(
        "Longest wait",
        "How long the longest waiting attempt has waited, and for what.",
        "s",
        Query(
            f"time() - min by (reason) (distillery_experiment_pending_timestamp_seconds{{{OWN}}})",
            "{{reason}}",
        ),
        width=6,
    )


def _gpu() -> Panel:
    return lines(
        "GPU-hours",
        "GPU-hours that trials and preparation have used. 0 without GPUs.",
        "h",
        Query(f"max(distillery_experiment_gpu_seconds{{{OWN}}}) / 3600", "GPU-hours"),
        width=6,
    )


def _cost() -> Panel:
    return lines(
        "Cost",
        "Cost of trials and preparation, by costPerGpuHour. Empty without that field.",
        "short",
        Query(f"max(distillery_experiment_cost{{{OWN}}})", "cost"),
        width=6,
    )
