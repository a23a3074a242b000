"""Studies whose trials are there already: written in bulk, for to ask and tell them takes hours.

What is written is what an operator reads, as it would have stored it. What Optuna's own tools read
besides, such as tables of parameters and objectives, is left out.
"""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from distillery_contract import size
from distillery_operator.resource import space
from distillery_operator.resource.spec import Spec
from distillery_operator.stopping import reasons
from distillery_operator.study import curves, records, rows
from distillery_operator.trials import pareto
from distillery_operator.trials.provenance import Provenance
from distillery_operator.trials.trial import Point, State, Trial
from support import quick_trainer

STEPS = 9000
BEGUN = 1_000_000_000.0
"""Of each study, in seconds since the epoch."""


def trials(spec: Spec, count: int, evaluations: int) -> list[Trial]:
    """Return trials that have ended, each with a curve; one in three was stopped at a rung.

    They become better slowly, so that a search does not stagnate.
    """
    return [_trial(spec, number, number / count, evaluations) for number in range(count)]


def write(server: psycopg.Connection, schema: str, spec: Spec, found: Sequence[Trial]) -> None:
    """Store trials in a study that has none."""
    server.execute(f"SET search_path TO {schema}".encode())
    with server.transaction():
        (study,) = server.execute("SELECT study_id FROM studies").fetchone() or (0,)
        columns = "trial_id, number, study_id, state, datetime_start, datetime_complete"
        with server.cursor().copy(f"COPY trials ({columns}) FROM STDIN".encode()) as copy:
            for trial in found:
                begun = datetime.fromtimestamp(trial.started, UTC).replace(tzinfo=None)
                ended = begun + timedelta(minutes=1)
                copy.write_row((trial.number + 1, trial.number, study, "COMPLETE", begun, ended))
        columns = "trial_id, key, value_json"
        with server.cursor().copy(
            f"COPY trial_user_attributes ({columns}) FROM STDIN".encode()
        ) as copy:
            for trial in found:
                for key, value in _attributes(spec, trial).items():
                    copy.write_row((trial.number + 1, key, json.dumps(value)))
        count = [len(found)]
        server.execute("SELECT setval(pg_get_serial_sequence('trials', 'trial_id'), %s)", count)
        collected = {t.number for t in found if t.state is State.COMPLETED}
        collected -= {t.number for t in pareto.front(spec, found)}
        stored = [study, "collected", json.dumps(sorted(collected))]
        columns = "study_id, key, value_json"
        server.execute(
            f"INSERT INTO study_user_attributes ({columns}) VALUES (%s, %s, %s)".encode(), stored
        )


def _attributes(spec: Spec, trial: Trial) -> dict[str, Any]:
    """Return what is stored with a trial."""
    shares = spec.early_stopping.rungs
    suggestion = {
        "parameters": dict(trial.parameters),
        "baseline": None,
        "started": trial.started,
        "parameter_count": trial.parameter_count,
    }
    return {
        "suggestion": suggestion,
        curves.CURVE: curves.curve_of(trial.curve, {}),
        curves.READINGS: curves.readings_of(map(asdict, curves.brief(trial, shares).curve), shares),
        "ending": records.ending_of(trial),
        rows.RECORD: rows.record(records.VERSION, trial.number, trial.number + 1),
    }


def _trial(spec: Spec, number: int, share: float, evaluations: int) -> Trial:
    chance = random.Random(number)
    searched = {p.name: space.value_at(p, chance.uniform(1e-9, 1 - 1e-9)) for p in spec.parameters}
    parameters = space.described(spec, searched)
    count = size.student_size(quick_trainer.SOURCES, parameters)
    end = 52 + 4 * int(searched["n_layers"]) + 8 * share + chance.gauss(0, 2)
    whole = [_point(n, evaluations, end, chance) for n in range(1, evaluations + 1)]
    stopped, rung = number % 3 == 0, spec.early_stopping.rungs[0]
    curve = whole[: math.ceil(rung * evaluations)] if stopped else whole
    began = BEGUN + 60.0 * number
    ending: dict[str, Any] = {"state": State.COMPLETED, "reason": "Completed"}
    if stopped:
        said = "exact of 70.12 ± 1.23 can be expected, but trial 7, which is not larger, has 75.3"
        ending = {"state": State.STOPPED, "reason": reasons.CANNOT_IMPROVE, "message": said}
        ending["expected"] = dict(whole[-1].metrics)
    return Trial(
        number,
        parameters,
        parameter_count=count,
        metrics={**curve[-1].metrics, "parameter_count": float(count)},
        curve=tuple(curve),
        source="TerminationMessage",
        seconds=60.0,
        model=None if stopped else f"experiments/long/trials/{number:05}/model",
        started=began,
        ended=began + 60.0,
        provenance=Provenance(1, f"{number:016x}", "key", "localhost/trainer:none"),
        **ending,
    )


def _point(number: int, evaluations: int, end: float, chance: random.Random) -> Point:
    share = number / evaluations
    now = end * (1 - 0.5 * math.exp(-6 * share)) + chance.gauss(0, 0.5)
    found = {
        "exact": now,
        "f1": now + 3,
        "HasAns_exact": now - 2,
        "HasAns_f1": now + 4,
        "NoAns_exact": now + 2,
        "NoAns_f1": now + 2,
        "best_exact": now + 1,
        "best_f1": now + 4,
    }
    losses = {"total": 1 / share, "ce": 0.5 / share, "hard": 0.5 / share}
    return Point(round(share * STEPS), found, losses, STEPS, BEGUN + number)
