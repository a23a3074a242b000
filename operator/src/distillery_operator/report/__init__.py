"""The HTML report: one self-contained page that shows an experiment. Called by ``__main__``.

Python decides what is true (``payload``, ``summary``, ``correlations``) and hands it over as one
JSON document; the page's JavaScript only draws it.
"""

from collections.abc import Mapping, Sequence

from distillery_operator import resources, trials
from distillery_operator.report import page
from distillery_operator.report import payload as payloads


def render(
    experiment: resources.Experiment,
    status: resources.Status,
    trials: Sequence[trials.Trial],
    importances: Mapping[str, Mapping[str, float]],
) -> str:
    """Return the report as one HTML file that needs no network.

    Args:
        experiment: what is wanted; thresholds and constraints are judged by it.
        status: what Distillery found; every date on the page comes from here.
        trials: all trials, running ones included.
        importances: objective -> parameter -> share of the objective's variation, 0 to 1.
    """
    return page.assemble(
        experiment.metadata.name, payloads.payload(experiment, status, trials, importances)
    )
