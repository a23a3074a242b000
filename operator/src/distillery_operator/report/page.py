"""Puts template, style, scripts, plotly.js and data together."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any, Final

from plotly import offline  # type: ignore[import-untyped]  # plotly ships no types

from distillery_operator.report import payload
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.search.importance import Importance
from distillery_operator.trials.trial import Trial

SCRIPTS: Final = ("base.js", "figures.js", "parameters.js", "trial.js", "table.js", "main.js")
"""In the order in which they build on each other; together they are one JavaScript module."""


def render(
    experiment: Experiment,
    status: Status,
    trials: Sequence[Trial],
    importances: Mapping[str, Importance],
) -> str:
    """Return the report as one HTML file that needs no network.

    Args:
        experiment: what is wanted; thresholds and constraints are judged by it.
        status: what Distillery found; every date on the page comes from here.
        trials: all trials, running ones included.
        importances: how much each parameter decides, by objective.
    """
    return _assemble(
        experiment.metadata.name, payload.payload(experiment, status, trials, importances)
    )


def _assemble(name: str, data: Mapping[str, Any]) -> str:
    """Return the page.

    No text of the experiment is ever parsed as HTML: the scripts set it as text nodes only.
    """
    plotly = offline.get_plotlyjs()
    script = "\n".join(_asset(file) for file in SCRIPTS)
    return Template(_asset("page.html")).substitute(
        policy=_policy(plotly, script),
        title=html.escape(name),
        style=_asset("style.css"),
        plotly=plotly,
        data=embed(data),
        script=script,
    )


def embed(data: Mapping[str, Any]) -> str:
    """Return JSON that cannot leave its script element, whatever strings it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(*scripts: str) -> str:
    """Return a Content-Security-Policy: these scripts only, and no network.

    Plotly's parallel coordinates compile their shaders' glue code, hence unsafe-eval.
    """
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:"
    )


def _asset(file: str) -> str:
    return resources.files(__package__).joinpath("assets", file).read_text(encoding="utf-8")
