"""PURE: what lies beside an exported model: what it is, as the Hugging Face hub shows it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Final

from distillery_contract import metrics
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.search import reported
from distillery_operator.stopping.forecast import Expected
from distillery_operator.trials.provenance import Provenance
from distillery_operator.trials.trial import Trial

METRICS: Final = ("exact", "f1", *metrics.COLLAPSE)
"""What is shown of each further training."""

FILE: Final = "README.md"
"""Where a model card lies in the folder of a model."""

NO_TEST: Final = (
    "There is no value on a test set. The best of many trials is partly the luckiest on the"
    " validation set, so expect less on other questions."
)
"""What it means that a model was not tested."""


def card(experiment: Experiment, trials: Sequence[Trial], number: int) -> str:
    """Return the model card of a trial's student: metadata, what was measured, what made it.

    Args:
        experiment: that it is of.
        trials: all of its own.
        number: of the trial that trained it.
    """
    name, spec = experiment.metadata.name, experiment.spec
    trial = next(trial for trial in trials if trial.number == number)
    made = asdict(trial.provenance) if trial.provenance else None
    seed = reported.seed_of(trial, reported.model(trial))
    about = {"experiment": name, "trial": trial.number, "seed": seed, "provenance": made}
    units = {name: e.unit for name, e in metrics.EVALUATIONS.items()}

    def measured(values: Mapping[str, float]) -> Iterator[tuple[str, object]]:
        for name, value in values.items():
            if name in units:
                shown = f"{value:.0f}" if name == "parameter_count" else f"{value:.6g}"
                yield f"{name} ({units[name]})", shown

    test = trial.test.metrics if trial.test else {}
    parts = [
        "---",
        "library_name: transformers",
        "pipeline_tag: question-answering",
        f"distillery: {json.dumps(about)}",  # JSON is YAML
        "---",
        f"# Trial {trial.number} of {name}",
        "",
        f"A student of {_plain(spec.teacher.model)} that Distillery found."
        " `AutoModelForQuestionAnswering.from_pretrained` loads this folder.",
        *_table(
            "Measured on the validation set, which the search has optimised",
            measured(reported.of_model(trial, reported.model(trial))),
        ),
        *_table("Measured once on the test set, which no decision has read", measured(test)),
        *([] if test else ["", NO_TEST]),
        *_table("Expected when trained again, with another seed", _expected(spec, trials, trial)),
        *_table("Trained again with other seeds", _confirmed(trial)),
        *_table("What made it", _provenance(trial.provenance) if trial.provenance else ()),
        *_table("Hyperparameters", {**trial.parameters, "seed": seed}.items()),
    ]
    return "\n".join(parts) + "\n"


def _expected(spec: Spec, trials: Sequence[Trial], trial: Trial) -> Iterator[tuple[str, str]]:
    """Yield what trainings of these hyperparameters come to, as status and report say it."""
    believed = reported.beliefs(spec, trials) if reported.expected(spec) else {}
    for metric, of in believed.items():
        if (found := of.get(trial.number)) and isfinite(found.deviation):
            yield from _spread(metric, found)
    for known in reported.again(spec, trials, [trial]):
        if found := known.expected.get(trial.number):
            yield from _spread(known.metric, found)
            yield f"{known.metric}, error on left-out trials", f"{known.error:.3g}"
            yield f"{known.metric}, the same error of their mean", f"{known.spread:.3g}"


def _spread(metric: str, expected: Expected) -> Iterator[tuple[str, str]]:
    yield f"{metric}, mean", f"{expected.mean:.4g}"
    yield f"{metric}, standard deviation", f"{expected.deviation:.3g}"


def _confirmed(trial: Trial) -> Iterator[tuple[str, str]]:
    """Yield what each further training came to, however it ended."""
    for run in trial.confirmations:
        units = {name: metrics.EVALUATIONS[name].unit for name in METRICS if name in run.metrics}
        told = ", ".join(f"{n} {run.metrics[n]:.4g} ({unit})" for n, unit in units.items())
        yield f"seed {run.seed}", told or f"{run.state}: {run.message or run.reason}"


def _provenance(made: Provenance) -> Iterator[tuple[str, object]]:
    """Yield what is known of what made a result."""
    said = made.trainer
    rows = {
        "trainer": said.version,
        "torch": said.torch,
        "transformers": said.transformers,
        "device": said.device,
        "image": made.image,
        "generation of the spec": made.generation,
        "digest of the request": made.request,
        "key of the prepared data": made.prepared,
    }
    yield from ((name, value) for name, value in rows.items() if value not in ("", None))


def _table(title: str, rows: Iterable[tuple[str, object]]) -> list[str]:
    lines = [f"| {_plain(name)} | {_plain(value)} |" for name, value in rows]
    return ["", f"## {title}", "", "| | |", "|---|---|", *lines] if lines else []


def _plain(value: object) -> str:
    """Return a value as text of one line that ends no cell of a table."""
    return " ".join(str(value).split()).replace("|", "\\|")
