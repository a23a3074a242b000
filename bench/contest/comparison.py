"""Compares the searches of one problem: means with their standard errors, and paired differences.

Searches with the same seed train the same suggestion to the same end, so they are compared in
pairs. What lies less than three standard errors apart is not shown to differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from contest.contestants import CONTESTANTS, OURS
from contest.problems import Array
from contest.score import KINDS, Score

Scores = Mapping[str, Mapping[int, Score]]
"""The searches of a problem on so many workers: by contestant, then by seed."""

QUARTERS: Final = np.array([0.25, 0.5, 0.75, 1.0])
APART: Final = 3.0
WIDTH: Final = max(map(len, CONTESTANTS)) + 2
UNCLEAR: Final = "not three errors apart"

LEAST: Final = 5
"""Seeds, fewer of which have a standard error that is itself chance: they show nothing."""


@dataclass(frozen=True)
class Difference:
    """By how much one contestant's volume exceeds another's at the end.

    Attributes:
        mean: of the differences.
        error: standard error of that.
        seeds: that both have.
    """

    mean: float
    error: float
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether it is three errors away from none, and these are known."""
        apart = abs(self.mean) >= APART * self.error and self.mean != 0
        return self.seeds >= LEAST and apart

    @property
    def verdict(self) -> str:
        """Why it shows nothing; empty if it does."""
        few = f"fewer than {LEAST} seeds" if self.seeds < LEAST else UNCLEAR
        return "" if self.clear else few

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def difference(one: Mapping[int, Score], other: Mapping[int, Score], kind: str) -> Difference:
    """Compare the seeds that both have."""
    common = sorted(one.keys() & other.keys())
    found = np.array([one[seed].final(kind) - other[seed].final(kind) for seed in common])
    return Difference(float(found.mean()), _error(found), len(common))


def time_ratio(one: Mapping[int, Score], other: Mapping[int, Score]) -> float | None:
    """Return the GPU time to the other's final mean true volume, as a share of the other's.

    None if it is never reached.
    """
    volume = float(np.mean([score.final("true") for score in other.values()]))
    own, its = (_time_to([*many.values()], volume) for many in (one, other))
    return own / its if own is not None and its else None


def _time_to(scores: Sequence[Score], volume: float) -> float | None:
    """Return when the mean true volume of searches reaches a value; None if it never does."""
    times = np.unique(np.concatenate([[0.0], *(score.times for score in scores)]))
    means = np.mean([score.at("true", times) for score in scores], axis=0)
    reached = np.flatnonzero(means >= volume * (1 - 1e-12))
    return float(times[reached[0]]) if reached.size else None


def best_rival(scores: Scores) -> str | None:
    """Return the contestant besides ours whose mean true volume is largest at the end."""
    rivals = [name for name in scores if not name.startswith(OURS)]
    return max(
        rivals,
        key=lambda name: np.mean([score.final("true") for score in scores[name].values()]),
        default=None,
    )


def table(scores: Scores) -> str:
    """Return the figures of each contestant, a row each."""
    knows = max(len(_knows(name)) for name in scores)
    lines = [
        f"{'':{WIDTH}}{'knows':{knows}}{'seeds':>7}{'true at 25 %':>14}{'50 %':>7}{'75 %':>7}"
        f"{'the end':>15}{'kept':>15}{'measured':>15}{'overstated':>12}{'missed':>8}"
        f"{'finished':>10}{'stopped':>9}{'untrained':>11}{'wrongly':>9}"
    ]
    for name, many in scores.items():
        found = summary([*many.values()])
        volumes = "".join(f"{found[f'{k}']:9.3f} ± {found[f'{k}_error']:.3f}" for k in KINDS)
        early = found["true_at_quarters"]
        lines.append(
            f"{name:{WIDTH}}{_knows(name):{knows}}{len(many):7}{early[0]:14.3f}{early[1]:7.3f}"
            f"{early[2]:7.3f}{volumes}{found['overstated']:+12.2f}{found['missed']:8.0%}"
            f"{found['finished']:10.1f}{found['stopped']:9.1f}{found['untrained']:11.1f}"
            f"{found['wrong']:9.2f}"
        )
    return "\n".join(lines)


def _knows(name: str) -> str:
    return ", ".join(CONTESTANTS[name].knows)


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Return the means of one contestant's searches."""
    found: dict[str, Any] = {"seeds": len(scores)}
    for kind in KINDS:
        ends = np.array([score.final(kind) for score in scores])
        found |= {kind: float(ends.mean()), f"{kind}_error": _error(ends)}
    true = np.array([score.at("true", QUARTERS) for score in scores])
    points = sum(score.points for score in scores)
    return {
        **found,
        "true_at_quarters": true.mean(axis=0).tolist(),
        "overstated": float(np.mean([score.overstated for score in scores])),
        "missed": sum(score.missed for score in scores) / max(1, points),
        **{
            name: float(np.mean([getattr(score, name) for score in scores]))
            for name in ("finished", "stopped", "untrained", "wrong")
        },
    }


def differences(scores: Scores) -> str:
    """Return how ours differs from each other contestant, a row each."""
    own = scores[OURS]
    lines = [
        f"{OURS + ' against':{WIDTH}}{'true':>17}{'kept':>17}{'measured':>17}"
        f"{'GPU time to its end':>21}"
    ]
    for name, other in scores.items():
        if name == OURS:
            continue
        found = {kind: difference(own, other, kind) for kind in KINDS}
        ratio, said = time_ratio(own, other), found["true"].verdict
        cells = "".join(f"{found[kind]!s:>17}" for kind in KINDS)
        lines.append(
            f"{name:{WIDTH}}{cells}{'never' if ratio is None else f'{ratio:.0%}':>21}"
            f"{said and f'  true: {said}'}"
        )
    return "\n".join(lines)


def compared(scores: Scores) -> dict[str, Any]:
    """Return all figures of a problem on so many workers, as JSON takes them."""
    told: dict[str, Any] = {
        "contestants": {name: summary([*many.values()]) for name, many in scores.items()},
        "best_rival": best_rival(scores),
    }
    if OURS in scores:
        told["against"] = {
            name: {
                **{kind: _told(difference(scores[OURS], other, kind)) for kind in KINDS},
                "gpu_time_ratio": time_ratio(scores[OURS], other),
            }
            for name, other in scores.items()
            if name != OURS
        }
    return told


def _told(found: Difference) -> dict[str, Any]:
    return {**asdict(found), "clear": found.clear}


def agreed(scores: Sequence[Scores]) -> dict[str, str]:
    """Return how ours compares with each contestant by variants of a problem that all must agree.

    "ahead" or "behind" where that is clear by every variant, else "not shown".
    """
    found = {}
    for name in scores[0]:
        if name == OURS or not all(OURS in each and name in each for each in scores):
            continue
        apart = [difference(each[OURS], each[name], "true") for each in scores]
        signs = {np.sign(one.mean) if one.clear else 0.0 for one in apart}
        found[name] = {1.0: "ahead", -1.0: "behind"}.get(
            float(signs.pop()) if len(signs) == 1 else 0.0, "not shown"
        )
    return found


def _error(values: Array) -> float:
    """Return the standard error of a mean; 0 of a single value."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0
