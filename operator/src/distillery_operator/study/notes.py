"""PURE: what others have put into the study of an experiment, in sentences.

Whatever Optuna's own tools write there besides trials that can be suggestions is left alone.
"""

from collections.abc import Iterator, Sequence

from distillery_operator.study.rows import RUNNING, Row, Rows
from distillery_operator.trials.trial import State, Trial


def of(
    rows: Rows, trials: Sequence[Trial], faults: Sequence[tuple[Row, str | None]]
) -> tuple[str, ...]:
    """Return a sentence for each thing.

    Args:
        rows: of the study.
        trials: of the experiment, by their numbers.
        faults: each trial that was enqueued, and why it cannot be a suggestion, if it cannot.
    """
    return (*_foreign(rows), *_refused(faults), *_ended(rows, trials))


def _foreign(rows: Rows) -> Iterator[str]:
    if rows.foreign:
        first, count = rows.foreign[0], len(rows.foreign)
        yield (
            f"{count} trials of the study are another tool's and are left alone; the first is trial"
            f" {first.place} as Optuna counts, which is {first.state}"
        )


def _refused(faults: Sequence[tuple[Row, str | None]]) -> Iterator[str]:
    for row, fault in faults:
        if fault is not None:
            yield f"trial {row.place} as Optuna counts is enqueued and cannot run: {fault}"


def _ended(rows: Rows, trials: Sequence[Trial]) -> Iterator[str]:
    for trial, row in zip(trials, rows.own, strict=True):
        if trial.state is State.RUNNING and row.state != RUNNING:
            yield (
                f"another tool has ended trial {trial.number} ({row.state}), which goes on: what it"
                " measures will stand"
            )
