"""Looks on from outside while an experiment is tried: is anything done twice, or told twice?"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

from distillery_operator.resource import label_names
from distillery_operator.trials.feasibility import DUPLICATE
from support.cluster import Refused
from support.spaces import Space

TABLE: Final = """
select t.number, t.state, t.datetime_complete,
       (select value_json from trial_user_attributes a
        where a.trial_id = t.trial_id and a.key = 'ending')
from trials t order by t.number
"""


class Witness:
    """Looks all the time at an experiment's Jobs, its pods and the database's rows.

    Attributes:
        live_jobs, live_pods: most that one trial had at a time.
        endings: of trials, as they were seen first.
        changed: trials whose ending was another one later.
        rows: trials that the database has.
    """

    def __init__(self, space: Space, url: str) -> None:
        """Look at the experiment of a namespace, and at its database."""
        self._space, self._url, self._stop = space, url, threading.Event()
        self._looking = threading.Lock()
        self.live_jobs = self.live_pods = 0
        self.endings: dict[int, Any] = {}
        self.changed: set[int] = set()
        self.rows = 0
        looks = (self._look_at_cluster, self._look_at_rows)
        self._threads = [threading.Thread(target=self._repeat, args=(look,)) for look in looks]

    def __enter__(self) -> "Witness":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def told(self) -> int:
        """Return how many trials have an ending of their own: copies do not count as trials."""
        return len(self.endings) - self.copies

    @property
    def copies(self) -> int:
        """Return how many suggestions were answered from the record."""
        endings = [*self.endings.values()]  # at once: a thread adds to them
        known = (json.loads(ending) for _, _, ending in endings)
        return sum(ending["reason"] == DUPLICATE for ending in known)

    def doubled(self, trials: int) -> int:
        """Return how many endings came twice, or are of trials beyond those that were wanted."""
        return len(self.changed) + max(0, self.rows - self.copies - trials)

    @contextmanager
    def turned_back(self, endings: dict[int, Any]) -> Iterator[None]:
        """Look away while a backup is restored, in which these trials had ended."""
        with self._looking:
            yield
            self.endings = dict(endings)

    def _repeat(self, look: Callable[[], None]) -> None:
        while not self._stop.wait(0.2):
            # What is looked at may be restarting.
            with self._looking, suppress(Refused, psycopg.Error, OSError):
                look()

    def _look_at_cluster(self) -> None:
        jobs, pods = Counter[str](), Counter[str]()
        for job in self._space.trials():
            conditions = job.get("status", {}).get("conditions", [])
            if not any(c["type"] in ("Complete", "Failed") for c in conditions):
                jobs[job["metadata"]["labels"][label_names.TRIAL]] += 1
        for pod in self._space.objects("pods"):
            labels = pod["metadata"]["labels"]
            if labels.get(label_names.STAGE) == "train" and pod["status"]["phase"] == "Running":
                pods[labels[label_names.TRIAL]] += 1
        self.live_jobs = max(self.live_jobs, *jobs.values(), 0)
        self.live_pods = max(self.live_pods, *pods.values(), 0)

    def _look_at_rows(self) -> None:
        uid = self._space.get()["metadata"]["uid"].replace("-", "")
        with psycopg.connect(self._url) as connection:
            connection.execute(f'set search_path to "exp_{uid}"')
            rows = connection.execute(TABLE).fetchall()
        self.rows = len(rows)
        for number, state, when, ending in rows:
            if state == "RUNNING":
                continue
            if self.endings.setdefault(number, (state, when, ending)) != (state, when, ending):
                self.changed.add(number)
