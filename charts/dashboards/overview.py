"""All experiments at a glance: which are running, what they have found, what they cost."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.colours import BAD, COLOURS, GOOD, states
from dashboards.panels import (
    CLUSTER,
    Panel,
    Query,
    bars,
    board,
    filled,
    lines,
    link,
    number,
    rows,
    transform,
    variable,
)

OWN = f'{CLUSTER}, namespace=~"$namespace"'
EACH = "max by (cluster, namespace, experiment)"
FIRING = 'ALERTS{alertname=~"Distillery.*", alertstate="firing"'
NAME = "{{namespace}}/{{experiment}}"


def build() -> Dashboard:
    """Return the dashboard."""
    namespaces = variable(
        "namespace",
        "Namespace",
        f"label_values(distillery_experiment_info{{{CLUSTER}}}, namespace)",
        several=True,
    )
    made = board("distillery-overview", "Every distillation experiment of the cluster.", namespaces)
    made = filled(made, *_numbers(), _table())
    made = filled(
        made,
        _states(),
        _reasons(),
        _sides(),
        _active(),
        _pending(),
        _hypervolume(),
        heading="Progress",
    )
    return made


def _numbers() -> list[Panel]:
    progressing = 'condition="Progressing", status="true"'
    return [
        number(
            "Running experiments",
            "Experiments whose trials run, or will run.",
            "short",
            Query(
                f"sum({EACH} (distillery_experiment_status_condition{{{OWN}, {progressing}}}))",
                latest=True,
            ),
        ),
        number(
            "Running trials",
            "Trials that a process trains now.",
            "short",
            Query(
                f'sum({EACH} (distillery_experiment_trials{{{OWN}, state="Running"}}))', latest=True
            ),
        ),
        number(
            "Waiting trials",
            "Suggested trials that no process trains yet.",
            "short",
            Query(
                f'sum({EACH} (distillery_experiment_trials{{{OWN}, state="Pending"}}))', latest=True
            ),
        ),
        number(
            "Points on fronts",
            "Feasible trials that no other feasible trial of their experiment beats.",
            "short",
            Query(f"sum({EACH} (distillery_experiment_pareto_front_size{{{OWN}}}))", latest=True),
        ),
        number(
            "GPU time",
            "GPU time that all experiments have used. 0 if trials have no GPU.",
            "s",
            Query(f"sum({EACH} (distillery_experiment_gpu_seconds{{{OWN}}}))", latest=True),
        ),
        number(
            "Alerts",
            "Alerts that fire now: those of the chosen namespaces, and every critical one.",
            "short",
            Query(
                f'count({FIRING}, {OWN}}} or {FIRING}, {CLUSTER}, severity="critical"}})'
                " or vector(0)",
                latest=True,
            ),
            steps=((None, GOOD), (1, BAD)),
        ),
    ]


def _table() -> Panel:
    def of_state(state: str) -> Query:
        return Query(f'{EACH} (distillery_experiment_trials{{{OWN}, state="{state}"}})', table=True)

    queries = [
        Query(
            f"max by (cluster, namespace, experiment, state) (distillery_experiment_info{{{OWN}}})",
            table=True,
        ),
        Query(
            f'{EACH} (distillery_experiment_budget_used_ratio{{{OWN}, budget="maxTrials"}})',
            table=True,
        ),
        of_state("Completed"),
        of_state("Infeasible"),
        of_state("Failed"),
        Query(f"{EACH} (distillery_experiment_pareto_front_size{{{OWN}}})", table=True),
        Query(f"{EACH} (distillery_experiment_gpu_seconds{{{OWN}}})", table=True),
    ]
    names = ["", "Ended", "Completed", "Infeasible", "Failed", "Front", "GPU time"]
    renamed = {f"Value #{'ABCDEFG'[place]}": name for place, name in enumerate(names) if name}
    hidden = {"Time": True, "Value #A": True}
    arranged = {"excludeByName": hidden, "renameByName": renamed, "indexByName": {}}
    return rows(
        "Experiments",
        "All experiments. Click on a name to open the experiment's dashboard.",
        "short",
        *queries,
        transformations=[transform("merge", {}), transform("organize", arranged)],
        columns={
            "experiment": link(
                "Look at this experiment",
                "distillery-experiment",
                namespace="__data.fields.namespace",
                experiment="__data.fields.experiment",
            ),
            **states("state"),
            "Ended": {"unit": "percentunit"},
            "GPU time": {"unit": "s"},
        },
    )


def _states() -> Panel:
    return lines(
        "Trials by state",
        "Trials of all experiments. Infeasible: missed a bound, or ended by what was suggested."
        " Stopped: early, because they would not have improved the front.",
        "short",
        Query(
            f"sum by (state) (max by (cluster, namespace, experiment, state)"
            f" (distillery_experiment_trials{{{OWN}}}))",
            "{{state}}",
        ),
        stacked=True,
        colours=COLOURS,
    )


def _reasons() -> Panel:
    return bars(
        "Why trials ended",
        "Ended trials by reason, judged by the current thresholds.",
        "short",
        Query(
            "sum by (reason) (max by (cluster, namespace, experiment, state, reason)"
            f" (distillery_experiment_ended_trials{{{OWN}}})) > 0",
            "{{reason}}",
            latest=True,
        ),
    )


def _sides() -> Panel:
    return lines(
        "Trials that fail on one half",
        "Share of the trials that answer almost none of one half of the questions right, but more"
        " of the other half. If these are most trials, then data, teacher or ranges are wrong.",
        "percentunit",
        Query(
            "max by (cluster, namespace, experiment, half)"
            f" (distillery_experiment_one_sided_trials{{{OWN}}})"
            " / on (cluster, namespace, experiment) group_left ()"
            " (sum by (cluster, namespace, experiment)"
            f" (distillery_experiment_ended_trials{{{OWN}}}) > 0)",
            f"{NAME} {{{{half}}}}",
        ),
    )


def _active() -> Panel:
    return lines(
        "Processes",
        "Attempts of each experiment that run or wait for a machine.",
        "short",
        Query(f"{EACH} (distillery_experiment_active{{{OWN}}})", NAME),
        stacked=True,
    )


def _pending() -> Panel:
    return lines(
        "Longest wait",
        "How long the longest waiting attempt has waited, and for what.",
        "s",
        Query(
            "time() - min by (cluster, namespace, experiment, reason)"
            f" (distillery_experiment_pending_timestamp_seconds{{{OWN}}})",
            f"{NAME} {{{{reason}}}}",
        ),
    )


def _hypervolume() -> Panel:
    return lines(
        "Hypervolume",
        "Hypervolume of each front, as a share of its hypervolume at the end of the shown time.",
        "percentunit",
        Query(
            f"{EACH} (distillery_experiment_hypervolume{{{OWN}}})"
            f" / ({EACH} (distillery_experiment_hypervolume{{{OWN}}} @ end()) > 0)",
            NAME,
        ),
    )
