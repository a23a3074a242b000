"""Finished searches, a line of JSON each, so that a bench of hours goes on where it ended.

A search is known by everything that it depends on. Whoever changes a problem, a contestant or the
operator runs anew what hangs on it, and nothing else. What is run anew takes the place of the older
line.
"""

import ast
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np

from contest.score import Score

HERE: Final = Path(__file__).parent
ALWAYS: Final = ("problems.py", "clock.py", "truth.py", "score.py")
"""Modules beside this one that every search depends on."""

DIGITS: Final = 4
"""Of a stored figure behind the point: standard errors are a hundred times as large."""


@dataclass(frozen=True)
class Search:
    """One search, as it is stored.

    Attributes:
        problem: its name.
        contestant: its name.
        workers: GPUs.
        trainings: GPU time, in mean trainings.
        seed: of suggestions and trainings.
        version: of everything that it depends on, see :func:`version`.
    """

    problem: str
    contestant: str
    workers: int
    trainings: int
    seed: int
    version: str

    @property
    def title(self) -> str:
        """What it is, for people."""
        where = f"{self.problem}, {self.workers} worker{'s' * (self.workers > 1)}"
        return f"{where}: {self.contestant}, seed {self.seed}"


@functools.cache
def version(files: Sequence[Path], packages: Sequence[str]) -> str:
    """Return a digest of code and data that a search depends on.

    Args:
        files: whose contents count; of Python files what they do, not what they say of it.
        packages: whose installed versions count.
    """
    digest = hashlib.sha256()
    for file in (*(HERE / name for name in ALWAYS), *files):
        content = code(file.read_text("utf-8")) if file.suffix == ".py" else file.read_bytes()
        digest.update(file.name.encode() + b"\0" + content)
    for package in packages:
        digest.update(f"{package} {metadata.version(package)}".encode())
    return digest.hexdigest()[:16]


def code(source: str) -> bytes:
    """Return a module of Python without its comments and docstrings."""
    module = ast.parse(source)
    for node in ast.walk(module):
        if isinstance(body := getattr(node, "body", None), list):
            stays = [one for one in body if not _says(one)]
            vars(node)["body"] = stays or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(module)).encode()


def _says(statement: ast.stmt) -> bool:
    """Tell whether a statement is a text alone."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


class Store:
    """A file of searches. A last line that was cut short, as by a kill, is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Search, Score] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        *lines, cut = text.split("\n")
        latest: dict[Search, str] = {}
        for line in lines:
            stored = json.loads(line)
            search = Search(**stored["search"])
            latest[replace(search, version="")] = line
            self._known[search] = Score.read(stored["score"])
        if cut or len(latest) < len(lines):
            path.write_text("".join(f"{line}\n" for line in latest.values()), encoding="utf-8")

    def get(self, search: Search) -> Score | None:
        """Return what a search came to; None if it has not been finished."""
        return self._known.get(search)

    def add(self, search: Search, score: Score) -> None:
        """Keep what a search came to."""
        rounded = {k: np.round(value, DIGITS).tolist() for k, value in score.stored().items()}
        self._known[search] = Score.read(rounded)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"search": asdict(search), "score": rounded})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
