"""One trial: its learning curves beside a baseline's, and what its machine does."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards.colours import COLOURS
from dashboards.panels import (
    CLUSTER,
    Panel,
    Points,
    Query,
    board,
    filled,
    lines,
    number,
    rows,
    scatter,
    transform,
    variable,
)

OF_EXPERIMENT = f'{CLUSTER}, namespace="$namespace", experiment="$experiment"'
OWN = f'{OF_EXPERIMENT}, trial="$trial"'
BASELINE = (
    "* on (cluster, namespace, experiment, trial) group_left (baseline)"
    f" max by (cluster, namespace, experiment, trial, baseline)"
    f' (distillery_experiment_baseline_info{{{OF_EXPERIMENT}, baseline="$baseline"}})'
)


def build() -> Dashboard:
    """Return the dashboard."""
    series = "distillery_trial_step"
    made = board(
        "distillery-trial",
        "One trial of a distillation experiment. Its curves end with its pod, so choose a time"
        " range in which the trial ran and, to compare them, in which the baseline ran.",
        variable("namespace", "Namespace", f"label_values({series}{{{CLUSTER}}}, namespace)"),
        variable(
            "experiment",
            "Experiment",
            f'label_values({series}{{{CLUSTER}, namespace="$namespace"}}, experiment)',
        ),
        variable("trial", "Trial", f"label_values({series}{{{OF_EXPERIMENT}}}, trial)"),
        variable(
            "baseline",
            "Baseline",
            f"label_values(distillery_experiment_baseline_info{{{OF_EXPERIMENT}}}, baseline)",
        ),
        variable(
            "metric",
            "Metric",
            f"label_values(distillery_trial_metric{{{OF_EXPERIMENT}}}, metric)",
            default="exact",
        ),
    )
    made = filled(made, *_numbers())
    made = filled(
        made, _by_step(), _halves(), _loss(), _baseline_loss(), _rate(), heading="Learning curves"
    )
    made = filled(
        made, _speed(), _tokens(), _memory(), _gpu(), _progress(), _outcome(), heading="Machine"
    )
    return made


def _numbers() -> list[Panel]:
    def evaluated(metric: str) -> Query:
        selector = f'distillery_trial_metric{{{OWN}, metric="{metric}"}}'
        return Query(f"max(last_over_time({selector}[$__range]))", latest=True)

    def last(metric: str) -> Query:
        return Query(f"max(last_over_time({metric}{{{OWN}}}[$__range]))", latest=True)

    return [
        number(
            "Progress",
            "Share of the planned steps that are done.",
            "percentunit",
            last("distillery_trial_progress_ratio"),
        ),
        number(
            "Exact",
            "Questions answered exactly. An unanswerable one must get no answer.",
            "percent",
            evaluated("exact"),
        ),
        number(
            "HasAns_exact",
            "Exact over the answerable questions.",
            "percent",
            evaluated("HasAns_exact"),
        ),
        number(
            "NoAns_exact",
            "Exact over the unanswerable questions.",
            "percent",
            evaluated("NoAns_exact"),
        ),
        number(
            "Parameters",
            "Weights of the student, embeddings included.",
            "short",
            evaluated("parameter_count"),
        ),
        number(
            "Training time",
            "Training time of all attempts, evaluations included.",
            "s",
            last("distillery_trial_training_seconds"),
        ),
    ]


def _by_step() -> Panel:
    step, metric = "distillery_trial_metric_step", "distillery_trial_metric"
    chosen = 'metric="$metric"'
    return scatter(
        "$metric over steps",
        "The trial's evaluations by the optimiser's step, and those of the baseline chosen above.",
        (("step", "short"), ("$metric", "short")),
        Points(
            "trial",
            f"max({step}{{{OWN}}})",
            f"max({metric}{{{OWN}, {chosen}}})",
            "Time",
            COLOURS["Running"],
            line=True,
        ),
        Points(
            "baseline",
            f"max({step}{{{OF_EXPERIMENT}}} {BASELINE})",
            f"max({metric}{{{OF_EXPERIMENT}, {chosen}}} {BASELINE})",
            "Time",
            COLOURS["Completed"],
            line=True,
        ),
        height=10,
    )


def _halves() -> Panel:
    wanted = 'metric=~"exact|HasAns_exact|NoAns_exact"'
    made = lines(
        "Exact by half",
        "Exact over all questions, and over each half. Dashed lines show the teacher.",
        "percent",
        Query(f"max by (metric) (distillery_trial_metric{{{OWN}, {wanted}}})", "{{metric}}"),
        Query(
            f"max by (metric) (distillery_experiment_teacher_value{{{OF_EXPERIMENT}, {wanted}}})",
            "teacher {{metric}}",
        ),
        width=12,
        dashed="/teacher/",
    )
    made.height(10)
    return made


def _loss() -> Panel:
    return lines(
        "Loss",
        "Mean loss since the last report: in total, against the labels (hard), against the"
        " teacher's logits (soft), and between self-attention relations (relation).",
        "short",
        Query(f"max by (part) (distillery_trial_loss{{{OWN}}})", "{{part}}"),
    )


def _baseline_loss() -> Panel:
    total = f'distillery_trial_loss{{{OF_EXPERIMENT}, part="total"}}'
    return lines(
        "Loss of the baselines",
        "Mean total loss of each baseline, while it ran.",
        "short",
        Query(f"max by (baseline) ({total} {_any_baseline()})", "{{baseline}}"),
    )


def _any_baseline() -> str:
    return BASELINE.replace(', baseline="$baseline"', "")


def _rate() -> Panel:
    return lines(
        "Learning rate",
        "Learning rate of the last step: first the warm-up, then the schedule.",
        "short",
        Query(f"max(distillery_trial_learning_rate{{{OWN}}})", "learning rate"),
    )


def _speed() -> Panel:
    return lines(
        "Throughput",
        "Training windows per second since the last report.",
        "suffix: windows/s",
        Query(f"max(distillery_trial_examples_per_second{{{OWN}}})", "windows"),
    )


def _tokens() -> Panel:
    return lines(
        "Tokens",
        "Training tokens per second, without padding. The time of evaluations and pauses counts.",
        "suffix: /s",
        Query(f"sum(rate(distillery_trial_tokens_total{{{OWN}}}[$__rate_interval]))", "tokens"),
        Query(f"sum(rate(distillery_trial_examples_total{{{OWN}}}[$__rate_interval]))", "windows"),
    )


def _memory() -> Panel:
    return lines(
        "Peak memory",
        "Peak memory of the process (resident) and of its GPU (device).",
        "bytes",
        Query(f"max by (kind) (distillery_trial_memory_bytes{{{OWN}}})", "{{kind}}"),
    )


def _gpu() -> Panel:
    trains = f"max by (cluster, namespace, pod) (distillery_trial_step{{{OWN}}} >= bool 0)"
    own = f"* on (cluster, namespace, pod) group_left () {trains}"

    def of(metric: str, legend: str) -> list[Query]:
        exported = (
            f'label_replace(label_replace({metric}{{exported_pod!=""}}, "pod", "$1",'
            ' "exported_pod", "(.+)"), "namespace", "$1", "exported_namespace", "(.+)")'
        )
        return [
            Query(f"{series} {own}", legend)
            for series in (f'{metric}{{exported_pod=""}}', exported)
        ]

    return lines(
        "GPU",
        "How busy the GPU of the trial's pod is: a whole GPU, and its compute engine, which is the"
        " only figure of a slice (MIG). Empty without the DCGM exporter.",
        "percent",
        *of("DCGM_FI_DEV_GPU_UTIL", "GPU {{gpu}}"),
        *of("100 * DCGM_FI_PROF_GR_ENGINE_ACTIVE", "engine {{gpu}} {{GPU_I_ID}}"),
    )


def _progress() -> Panel:
    return lines(
        "Steps",
        "Steps of the optimiser by attempt, planned steps, and the step of the newest checkpoint."
        " A later attempt resumes from that checkpoint.",
        "short",
        Query(f"max by (attempt) (distillery_trial_step{{{OWN}}})", "attempt {{attempt}}"),
        Query(f"max(distillery_trial_steps{{{OWN}}})", "planned"),
        Query(f"max(distillery_trial_checkpoint_step{{{OWN}}})", "checkpoint"),
        dashed="/planned|checkpoint/",
    )


def _outcome() -> Panel:
    info = f"distillery_trial_outcome_info{{{OWN}}}"
    hidden = {"Time": True, "Value": True}
    return rows(
        "How its attempts ended",
        "Reason and message of each attempt that ended within the shown time, if a scrape saw its"
        " end.",
        "short",
        Query(f"max by (attempt, reason, message) (last_over_time({info}[$__range]))", table=True),
        width=8,
        transformations=[transform("organize", {"excludeByName": hidden})],
    )
