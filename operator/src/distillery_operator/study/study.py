"""The study of an experiment: suggestions and results, in Optuna's tables and in memory.

A suggestion is computed on a study in memory and stored by one transaction with all its parameters,
so that a process killed in between has suggested nothing.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, Self

from distillery_contract.request import Stage
from distillery_operator.engine.actions import Tell
from distillery_operator.errors import NotFound
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.spec import Spec
from distillery_operator.search import warm_start
from distillery_operator.study import contents, database
from distillery_operator.study.blocking import BlockingStudy
from distillery_operator.study.specs import SPACE
from distillery_operator.study.tables import Storage
from distillery_operator.study.workers import Workers
from distillery_operator.trials.observation import Others, Preparation
from distillery_operator.trials.past_attempt import PastAttempt
from distillery_operator.trials.trial import Confirmation, FinalTest, Point, Trial

P = ParamSpec("P")


class Study:
    """Ask, tell and load, for one experiment. All its work is done in one thread, in order."""

    def __init__(self, place: Storage, workers: Workers, cluster: str, curves: bool) -> None:
        """Use :meth:`open`."""
        self._storage, self._workers = place, workers
        self._blocking = BlockingStudy(place, cluster, curves=curves)
        self._looked_at: set[str] = set()

    @classmethod
    async def open(
        cls,
        place: Storage,
        experiment: Experiment,
        now: float,
        workers: Workers,
        *,
        cluster: str = "",
        begun: str | None = None,
        curves: bool = False,
    ) -> Self:
        """Open the study, or create it.

        Args:
            place: where the tables of this experiment are.
            experiment: names the study; its search space and objectives must be those that the
                study was made for.
            now: seconds since the epoch, the start of a study that is created.
            workers: the threads to work in.
            cluster: that has the experiment; empty on one machine, or where nobody knows.
            begun: when the study was created, as a status says it; None if nothing says so.
            curves: whether :meth:`load` returns the whole learning curves of trials that have
                ended, and not only the points that early stopping looks at.

        Raises:
            StudyMismatch: the study was made for another search space, for other objectives, or
                with other data, models or hyperparameters.
            StudyMissing: the experiment names a study that is not there, or another one is.
            DatabaseUnavailable: as every other method.
        """
        study = cls(place, workers, cluster, curves)
        try:
            await workers.run(place.key, study._blocking.open, experiment, now, begun)
        except BaseException:
            await study.close()
            raise
        return study

    async def restored(self) -> str:
        """Return why the study differs from what was told of it earlier; empty if it does not."""
        return self._blocking.held.restored

    async def note_restored(self, message: str, now: float) -> None:
        """Store why the study differs from what was told of it earlier."""
        await self._run(self._blocking.note_restored, message, now)

    async def follow(self, experiment: Experiment) -> None:
        """Go on with an experiment as it was edited.

        Raises:
            StudyMismatch: as :meth:`open`.
        """
        await self._workers.run(self._storage.key, self._blocking.follow, experiment)

    async def own(self, experiment: Experiment) -> Experiment:
        """Return an experiment with what this search has begun with, where it leaves that open.

        That is its sampler: another release may have another default.
        """
        return self._blocking.own(experiment)

    async def load(self) -> tuple[float, Preparation | None, tuple[Trial, ...]]:
        """Return when the study began, what was prepared, and all trials in their order.

        What another process has written meanwhile is read anew.
        """
        await self._workers.run(self._storage.key, self._blocking.refresh)
        held = self._blocking.held
        return held.started, held.preparation, tuple(held.trials)

    async def others(self) -> Others:
        """Return what others have put into the study, as of the last look."""
        return Others(len(self._blocking.enqueued), self._blocking.notes)

    async def keep(self, preparation: Preparation) -> None:
        """Store what the preparation found."""
        await self._run(self._blocking.keep, preparation)

    async def preparing(self) -> tuple[PastAttempt, ...]:
        """Return what is kept of attempts of the preparation as of the last look."""
        return self._blocking.held.preparing

    async def remember(self, stage: Stage, trial: int, attempt: PastAttempt) -> None:
        """Store what counts of an attempt of a stage; it replaces what was kept of it before.

        A trial that has ended stays as it is.
        """
        await self._run(self._blocking.remember, stage, trial, attempt)

    async def try_again(self) -> None:
        """Let what has failed for good run again: a person has acted on what it said.

        That is a preparation, or tests.
        """
        await self._run(self._blocking.try_again)

    async def keep_test(self, number: int, test: FinalTest) -> None:
        """Store what a trial did on the test questions; one that is stored stays as it is."""
        await self._run(self._blocking.keep_test, number, test)

    async def keep_confirmation(self, number: int, index: int, found: Confirmation) -> None:
        """Store how a further training of a trial ended; one that is stored stays as it is."""
        await self._run(self._blocking.keep_confirmation, number, index, found)

    async def ask(self, spec: Spec, count: int, now: float) -> None:
        """Store further suggestions: first baselines without a trial, last the sampler's.

        Between them come those of a person: of the experiment, then those that were enqueued. One
        by one, for other studies share the thread.
        """
        for _ in range(count):
            await self._run(self._blocking.ask, spec, now)

    async def warm_up(
        self, experiment: Experiment, find: Callable[[str], Storage | None]
    ) -> Mapping[str, Sequence[Trial]]:
        """Take the trials of other experiments, once each; return all that inform the sampler.

        Before data and teacher are prepared, only see to it that those experiments are there.

        Args:
            experiment: names them.
            find: returns the place of the study of an experiment; None if there is none.

        Raises:
            NotFound: an experiment is not there.
            Unfit: none of its trials fits.
        """
        await self.load()
        spec = experiment.spec
        for wanted in spec.warm_start_from:
            name, known = wanted.experiment, self._blocking.held.preparation
            if name in self._blocking.held.warm or (known is None and name in self._looked_at):
                continue
            place = find(name)
            source = None
            if place is not None:
                shares = spec.early_stopping.rungs  # those of the source, too, if it has readings
                source = await self._workers.run(place.key, _source, place, shares)
            if source is None:
                raise NotFound(f"there is no experiment {name} with trials to start from")
            if known is None:
                warm_start.check(spec, wanted, source)
                self._looked_at.add(name)
            else:
                await self._run(
                    self._blocking.take, name, warm_start.fitting(spec, known.key, wanted, source)
                )
        return warm_start.informing(spec, self._blocking.held.warm)

    async def promote(self, spec: Spec, number: int, now: float) -> None:
        """Store a trial that continues a stopped one; one that is continued stays as it is."""
        await self._run(self._blocking.promote, spec, number, now)

    async def record(self, number: int, point: Point) -> None:
        """Add an evaluation to the learning curve of a trial that has not ended."""
        await self._run(self._blocking.record, number, point)

    async def tell(self, spec: Spec, ending: Tell, model: str | None, now: float) -> None:
        """Store how a trial ended. A trial that has ended stays as it is."""
        await self._run(self._blocking.tell, spec, ending, model, now)

    async def collect(self, numbers: Sequence[int], runs: Sequence[tuple[int, int]] = ()) -> None:
        """Store that the files are gone: of trials, and of confirmations by trial and seed."""
        await self._run(self._blocking.collect, numbers, runs)

    async def close(self) -> None:
        """Give back what the study alone holds of the database."""
        await self._workers.run(self._storage.key, self._storage.close)

    async def _run(self, function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        key, change = self._storage.key, self._blocking.change
        await self._workers.run(key, change, function, *args, **kwargs)


@asynccontextmanager
async def in_file(
    path: Path, experiment: Experiment, now: float, *, curves: bool = False
) -> AsyncIterator[Study]:
    """Open the study in a SQLite file, or create it, for the length of a block.

    An experiment that was copied from a cluster names a study there, and begins another one here.
    """
    here = experiment.metadata.model_copy(update={"annotations": None})
    experiment = experiment.model_copy(update={"metadata": here})
    with Workers(1) as workers:
        place = database.of_file(path)
        study = await Study.open(place, experiment, now, workers, curves=curves)
        try:
            yield study
        finally:
            await study.close()


def _source(place: Storage, shares: Sequence[float]) -> warm_start.Source | None:
    """Read another experiment's study; None if there is none.

    It is the only one there, and called as its experiment was: a folder of results may be renamed.
    """
    try:
        if SPACE not in (place.find() or {}):
            return None
        stored = place.read(shares)
    finally:
        place.close()
    return contents.source(stored.attributes, stored.rows.own)
