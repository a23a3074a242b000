"""PURE: what others have put into the study of an experiment, in at most three sentences.

Whatever Optuna's own tools write there besides trials that can be suggestions is left alone.
"""

from collections.abc import Iterator, Sequence

from distillery_operator.study.rows import RUNNING, Row, Rows
from distillery_operator.trials.trial import State, Trial


def of(
    rows: Rows, trials: Sequence[Trial], faults: Sequence[tuple[Row, str | None]]
) -> tuple[str, ...]:
    """Return a sentence for each kind of thing that is there.

    Args:
        rows: of the study.
        trials: of the experiment, by their numbers.
        faults: each trial that was enqueued, and why it cannot be a suggestion, if it cannot.
    """
    return (*_foreign(rows), *_refused(faults), *_ended(rows, trials))


def _foreign(rows: Rows) -> Iterator[str]:
    if rows.foreign:
        first = rows.foreign[0]
        yield (
            f"trials of other tools, which are left alone: {len(rows.foreign)}; the first is trial"
            f" {first.place} as Optuna counts, {first.state}"
        )


def _refused(faults: Sequence[tuple[Row, str | None]]) -> Iterator[str]:
    refused = [(row, fault) for row, fault in faults if fault is not None]
    if refused:
        row, fault = refused[0]
        yield (
            f"enqueued trials that cannot run: {len(refused)}; the first is trial {row.place} as"
            f" Optuna counts: {fault}"
        )


def _ended(rows: Rows, trials: Sequence[Trial]) -> Iterator[str]:
    pairs = zip(trials, rows.own, strict=True)
    ended = [(t, r) for t, r in pairs if t.state is State.RUNNING and r.state != RUNNING]
    if ended:
        trial, row = ended[0]
        yield (
            f"running trials that another tool has ended: {len(ended)}; the first is trial"
            f" {trial.number}, {row.state}; they go on, and what they measure will stand"
        )
