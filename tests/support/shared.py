"""Conformance suite of a study that others write to as well: Optuna's own tools, other processes.

A test module of an implementation inherits it beside :class:`support.ports.StudySuite`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from sqlalchemy import Engine, event

from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.engine import conditions
from distillery_operator.errors import DatabaseUnavailable, InUse, StudyMismatch, StudyMissing
from distillery_operator.internals.of_optuna import ATTRIBUTES, STUDY_ATTRIBUTES
from distillery_operator.resource import space
from distillery_operator.resource.experiment import STUDY
from distillery_operator.results import trials_document
from distillery_operator.study import rows
from distillery_operator.study.curves import CURVE, READINGS
from distillery_operator.study.database import Database
from distillery_operator.study.study import Study
from distillery_operator.trials.trial import Point, State, Trial
from support import ports, worlds
from support.ports import EXPERIMENT, TIED, UID, Work, opened, tell, trials, work

SPEC = EXPERIMENT.spec
WHOLE = {"learning_rate": 0.25, "n_layers": 6, "layer_selection": "First"}

Outside = Callable[[str], optuna.Study]


def suggesting(**points: Any) -> Any:
    """Return the spec with suggestions, by their names."""
    listed = [{"name": name, "parameters": point} for name, point in points.items()]
    return worlds.experiment(suggestions=listed).spec


def asked(count: int) -> Work:
    return lambda kept: kept.ask(SPEC, count, 2.0)


async def measured(kept: Study) -> None:
    """Store a trial that was measured six times and has ended, and one that has not."""
    await kept.ask(SPEC, 2, 2.0)
    for number in range(2):
        for step in (10, 11, 15, 33, 50, 90):
            await kept.record(number, Point(step, {"exact": step + 0.5}, {"total": 1.0}, 100, 3.0))
    await kept.tell(SPEC, tell(0, State.STOPPED), None, 4.0)


def steps(found: Sequence[Trial]) -> list[list[int]]:
    """Return the steps of the curves of trials."""
    return [[point.step for point in trial.curve] for trial in found]


def spoil_curves(stored: optuna.Study) -> None:
    """Let nobody read the whole curve of the first trial any more."""
    here = (ATTRIBUTES.c.key == CURVE) & (ATTRIBUTES.c.trial_id == 1)
    edit(stored, ATTRIBUTES.update().where(here).values(value_json="spoilt"))


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect what is executed on any database within a block."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def edit(stored: optuna.Study, statement: Any) -> None:
    """Execute a statement on the tables of a study, as nobody should."""
    backend: Any = stored._storage
    with backend._backend.engine.begin() as connection:
        connection.execute(statement)


class SharedSuite:
    """A study in a database that has none yet."""

    @pytest.fixture
    def url(self) -> str:
        """Return the URL of an empty database."""
        raise NotImplementedError

    @pytest.fixture
    def outside(self) -> Outside:
        """Return a function that loads the study of a uid with Optuna alone."""
        raise NotImplementedError

    def test_what_is_enqueued_is_suggested_next_and_is_the_same_trial_to_optuna(
        self, url: str, outside: Outside
    ) -> None:
        async def meanwhile(kept: Study) -> None:
            await kept.ask(SPEC, 1, 2.0)
            outside(UID).enqueue_trial(WHOLE, user_attrs={"why": "a hunch"})
            await kept.load()
            await kept.ask(SPEC, 2, 2.0)
            await kept.tell(SPEC, tell(1), "model", 3.0)

        _, taken, drawn = work(url, meanwhile)
        assert space.reduced(SPEC, taken.parameters) == WHOLE
        assert taken.parameters["epochs"] == 1
        assert taken.parameter_count
        assert (taken.state, taken.baseline) == (State.COMPLETED, None)
        assert space.reduced(SPEC, drawn.parameters) != WHOLE
        _, seen, _ = outside(UID).get_trials()
        assert (seen.state, seen.params) == (TrialState.COMPLETE, WHOLE)
        assert seen.user_attrs["why"] == "a hunch"
        assert seen.datetime_start is not None

    def test_what_was_enqueued_while_nobody_watched_is_taken_in_its_order_after_baselines(
        self, url: str, outside: Outside
    ) -> None:
        experiment = worlds.experiment(
            baselines=[{"name": "deep", "parameters": {"n_layers": 6, "dropout": 0.3}}]
        )
        work(url, lambda kept: asyncio.sleep(0), experiment)
        for layers in (2, 3):
            outside(UID).enqueue_trial({**WHOLE, "n_layers": layers})
        found = work(url, lambda kept: kept.ask(experiment.spec, 4, 2.0), experiment)
        assert [trial.baseline for trial in found] == ["deep", None, None, None]
        assert [trial.parameters["n_layers"] for trial in found[1:3]] == [2, 3]

    def test_suggestions_of_the_experiment_run_next_and_once(
        self, url: str, outside: Outside
    ) -> None:
        wanted = suggesting(mine={"n_layers": 6}, yours=WHOLE)
        baselines = [{"name": "deep", "parameters": {"n_layers": 5}}]
        more = worlds.experiment(
            baselines=baselines, suggestions=wanted.model_dump(mode="json")["suggestions"]
        )

        async def meanwhile(kept: Study) -> None:
            await kept.ask(SPEC, 1, 2.0)
            outside(UID).enqueue_trial({**WHOLE, "n_layers": 2})
            await kept.load()
            await kept.follow(more)
            await kept.ask(more.spec, 2, 3.0)
            await kept.ask(more.spec, 3, 4.0)

        found = work(url, meanwhile, more)
        assert [t.baseline for t in found] == [None, "deep", None, None, None, None]
        assert [t.by_hand for t in found] == [None, None, "mine", "yours", "", None]
        assert found[2].parameters["n_layers"] == 6
        assert space.whole(SPEC, found[2].parameters)
        assert space.reduced(SPEC, found[3].parameters) == WHOLE
        work(url, lambda kept: kept.ask(more.spec, 1, 5.0), more)
        names = [t.by_hand for t in trials(url, experiment=more)]
        assert names == [None, None, "mine", "yours", "", None, None]

    def test_a_suggestion_that_has_run_keeps_its_hyperparameters(self, url: str) -> None:
        def named(**points: Any) -> Any:
            return worlds.experiment(
                suggestions=suggesting(**points).model_dump(mode="json")["suggestions"]
            )

        first = named(mine={"n_layers": 6})
        work(url, lambda kept: kept.ask(first.spec, 1, 2.0), first)
        assert len(trials(url, experiment=named(mine={"n_layers": 6}, yours=WHOLE))) == 1
        assert len(trials(url)) == 1  # one that has run may go
        with pytest.raises(StudyMismatch, match=r"mine was \{'n_layers': 6\}, but is"):
            trials(url, experiment=named(mine={"n_layers": 5}))

    def test_what_continues_a_suggestion_is_one_too(self, url: str) -> None:
        async def stopped(kept: Study) -> None:
            await kept.ask(suggesting(mine=WHOLE), 1, 2.0)
            await kept.tell(SPEC, tell(0, State.STOPPED), None, 3.0)
            await kept.promote(SPEC, 0, 4.0)

        assert [t.by_hand for t in work(url, stopped)] == ["mine", "mine"]

    def test_what_an_enqueued_trial_leaves_open_is_the_samplers(
        self, url: str, outside: Outside
    ) -> None:
        work(url, lambda kept: asyncio.sleep(0), TIED)
        for fixed in ({"n_layers": 6}, {}, {"n_layers": 2.0}, {"n_layers": 6, "dropout": 0.3}):
            outside(UID).enqueue_trial(fixed)
        found = work(url, lambda kept: kept.ask(TIED.spec, 5, 2.0), TIED)
        assert [found[n].parameters["n_layers"] for n in (0, 2, 3)] == [6, 2, 6]
        assert found[3].parameters["dropout"] == 0.3
        assert all(space.whole(TIED.spec, trial.parameters) for trial in found)
        assert ["dropout" in trial.parameters for trial in found[:4]][2] is False
        points = [tuple(sorted(trial.parameters.items())) for trial in found]
        assert len(set(points)) == len(points)

    def test_a_restart_suggests_the_same_after_enqueued_trials(
        self, url: str, outside: Outside
    ) -> None:
        async def at_once(kept: Study) -> None:
            for number in range(14):
                await step(kept, number)

        async def step(kept: Study, number: int) -> None:
            await kept.ask(SPEC, 1, 2.0)
            await kept.tell(SPEC, tell(number), "m", 3.0)

        for uid in (UID, ports.OTHER_UID):
            work(url, lambda kept: asyncio.sleep(0), uid=uid)
            outside(uid).enqueue_trial({"n_layers": 6})
            outside(uid).add_trial(create_trial(values=[1.0, 2.0]))
        whole = work(url, at_once)
        for number in range(14):
            parts = work(url, lambda kept, n=number: step(kept, n), uid=ports.OTHER_UID)  # type: ignore[misc]
        assert [t.parameters for t in parts] == [t.parameters for t in whole]

    @pytest.mark.parametrize(
        ("fixed", "words"),
        [
            ({**WHOLE, "epochs": 3}, "epochs is not in the search space, which has learning_rate"),
            (
                {**WHOLE, "n_layers": 7},
                "must be a value of the search space, from 1 to 6, but got 7",
            ),
            ({**WHOLE, "n_layers": "6"}, 'but got "6"'),
            ({**WHOLE, "n_layers": True}, "but got true"),
            ({**WHOLE, "n_layers": 2.5}, "but got 2.5"),
            ({**WHOLE, "learning_rate": float("nan")}, "but got NaN"),
            ({**WHOLE, "layer_selection": None}, "but got null"),
        ],
    )
    def test_an_enqueued_trial_outside_the_space_waits_with_a_sentence(
        self, url: str, outside: Outside, fixed: dict[str, Any], words: str
    ) -> None:
        async def meanwhile(kept: Study) -> Sequence[str]:
            outside(UID).enqueue_trial(fixed)
            await kept.load()
            await kept.ask(SPEC, 2, 2.0)
            return (await kept.others()).notes

        found, (note,) = self.noted(url, meanwhile)
        assert len(found) == 2
        assert note.startswith("enqueued trials that cannot run: 1; the first is trial 0 as Optuna")
        assert words in note
        assert outside(UID).get_trials()[0].state is TrialState.WAITING

    def test_an_enqueued_value_that_depends_on_another_needs_that_one(
        self, url: str, outside: Outside
    ) -> None:
        async def meanwhile(kept: Study) -> Sequence[str]:
            outside(UID).enqueue_trial({"dropout": 0.3})
            outside(UID).enqueue_trial({"dropout": 0.3, "n_layers": 2})
            await kept.load()
            return (await kept.others()).notes

        _, (note,) = self.noted(url, meanwhile, TIED)
        assert note == (
            "enqueued trials that cannot run: 2; the first is trial 0 as Optuna counts: dropout is"
            " searched only with certain values of n_layers, so one of them must be given as well"
        )

    def test_trials_of_other_tools_are_left_alone_and_are_not_counted(
        self, url: str, outside: Outside
    ) -> None:
        async def among_others(kept: Study) -> Sequence[str]:
            await kept.ask(SPEC, 2, 2.0)
            await kept.tell(SPEC, tell(0), "model", 3.0)
            study = outside(UID)
            study.add_trial(create_trial(values=[99.0, 1.0], user_attrs={"suggestion": "none"}))
            study.ask()  # and never told
            study.add_trial(create_trial(state=TrialState.WAITING))
            study.add_trials(study.get_trials()[:2])  # copies of this experiment's own
            await kept.load()
            await kept.ask(SPEC, 1, 4.0)
            await kept.record(2, Point(1, {"exact": 1.0}))
            await kept.tell(SPEC, tell(1), "model", 5.0)
            await kept.tell(SPEC, tell(2), "model", 5.0)
            return (await kept.others()).notes

        found, (note,) = self.noted(url, among_others)
        assert [(t.number, t.state) for t in found] == [(n, State.COMPLETED) for n in range(3)]
        assert len({tuple(t.parameters.items()) for t in found}) == 3
        assert note == (
            "trials of other tools, which are left alone: 5; the first is trial 2 as Optuna counts,"
            " COMPLETE"
        )
        seen = outside(UID).get_trials()
        assert [t.number for t in seen] == list(range(8))
        states = ["COMPLETE"] * 3 + ["RUNNING", "WAITING", "COMPLETE", "RUNNING", "COMPLETE"]
        assert [t.state.name for t in seen] == states
        assert seen[7].user_attrs["record"]["number"] == 2

    def test_a_trial_that_another_tool_ended_keeps_its_own_result(
        self, url: str, outside: Outside
    ) -> None:
        async def interfered(kept: Study) -> Sequence[str]:
            await kept.ask(SPEC, 2, 2.0)
            outside(UID).tell(0, values=[1.0, 2.0])
            outside(UID).tell(1, state=TrialState.FAIL)
            await kept.load()
            told = (await kept.others()).notes
            await kept.record(0, Point(1, {"exact": 1.0}))
            await kept.tell(SPEC, tell(0), "model", 3.0)
            await kept.tell(SPEC, tell(1, State.FAILED), None, 3.0)
            return told

        found, (note,) = self.noted(url, interfered)
        assert note == (
            "running trials that another tool has ended: 2; the first is trial 0, COMPLETE; they go"
            " on, and what they measure will stand"
        )
        assert [t.state for t in found] == [State.COMPLETED, State.FAILED]
        first, second = outside(UID).get_trials()
        assert first.values[0] == ports.REPORT.metrics["exact"]
        assert (second.state, second.values) == (TrialState.FAIL, None)

    def test_a_tool_that_ends_a_trial_at_the_same_time_is_noticed(
        self, url: str, outside: Outside
    ) -> None:
        async def at_once(kept: Study) -> None:
            await kept.ask(SPEC, 1, 2.0)
            outside(UID).tell(0, values=[1.0, 2.0])
            with pytest.raises(InUse, match="another process"):
                await kept.tell(SPEC, tell(0), "model", 3.0)
            await kept.tell(SPEC, tell(0), "model", 3.0)

        (trial,) = work(url, at_once)
        assert (trial.state, trial.model) == (State.COMPLETED, "model")

    def test_trials_are_served_by_their_numbers(self, url: str, outside: Outside) -> None:
        async def mixed(kept: Study) -> None:
            await kept.ask(SPEC, 1, 2.0)
            for layers in (5, 6):
                outside(UID).enqueue_trial({**WHOLE, "n_layers": layers})
            outside(UID).add_trial(create_trial(values=[1.0, 2.0]))
            await kept.ask(SPEC, 1, 2.0)  # has not looked: this trial comes before those
            await kept.load()
            await kept.ask(SPEC, 2, 2.0)

        found = work(url, mixed)
        assert own(outside(UID)) == [0, 2, 3, 1]
        database = Database(url, 1)
        try:
            place = database.storage(UID)
            study = place.find("tiny")
            assert study is not None
            pages = [place.page(first, 2) for first in (0, 2, 4)]
            place.close()
        finally:
            database.close()
        assert [len(page) for page in pages] == [2, 2, 0]
        head = trials_document.head(UID, Defaults("image", "claim"), study)
        lines = trials_document.lines([line for page in pages for line in page], True)
        document = trials_document.read((head + "".join(lines) + trials_document.tail()).encode())
        assert trials_document.trials(document) == found

    def test_a_study_of_another_tool_beside_it_is_nobodys_business(
        self, url: str, outside: Outside
    ) -> None:
        work(url, asked(2))
        optuna.create_study(study_name="other", storage=outside(UID)._storage)
        assert len(trials(url)) == 2
        database = Database(url, 1)
        try:
            place = database.storage(UID)
            assert "space" in (place.find() or {})
            assert [len(place.page(0, 5)), place.find("other")] == [2, {}]
            place.close()
        finally:
            database.close()

    def test_what_another_process_writes_is_seen_at_the_next_look(self, url: str) -> None:
        async def both() -> None:
            async with opened(url) as writer, opened(url) as reader:
                before = await reader.load()
                steps: list[Callable[[], Awaitable[None]]] = [
                    lambda: writer.keep(worlds.PREPARATION),
                    lambda: writer.ask(SPEC, 2, 2.0),
                    lambda: writer.record(0, Point(1, {"exact": 1.0})),
                    lambda: writer.tell(SPEC, tell(0), "model", 3.0),
                    lambda: writer.collect([0]),
                    lambda: writer.tell(SPEC, tell(1, State.STOPPED), None, 3.0),
                    lambda: writer.promote(SPEC, 1, 4.0),
                ]
                for step in steps:
                    await step()
                    after = await reader.load()
                    assert after != before
                    assert after == await writer.load()
                    before = after

        asyncio.run(both())

    def test_a_look_at_a_study_that_nobody_has_written_to_is_one_query(self, url: str) -> None:
        async def look(kept: Study) -> None:
            await kept.ask(SPEC, 5, 2.0)
            await kept.tell(SPEC, tell(0), "model", 3.0)
            with statements() as seen:
                for _ in range(3):
                    await kept.load()
            queries = [s for s in seen if "set_config" not in s]  # which schema is meant
            assert len(queries) == 3
            assert all("max(trials.trial_id)" in query for query in queries)

        work(url, look)

    def test_whole_curves_of_trials_that_have_ended_are_not_read(
        self, url: str, outside: Outside
    ) -> None:
        found = work(url, measured)
        assert steps(found) == [[11, 33, 90], [10, 11, 15, 33, 50, 90]]
        assert steps(trials(url, curves=True))[0] == [10, 11, 15, 33, 50, 90]
        spoil_curves(outside(UID))
        assert trials(url) == found
        with pytest.raises(DatabaseUnavailable, match="Expecting value"):
            trials(url, curves=True)

    def test_what_an_earlier_release_told_is_read_by_its_curve_once(
        self, url: str, outside: Outside
    ) -> None:
        found = work(url, measured)
        edit(outside(UID), ATTRIBUTES.delete().where(ATTRIBUTES.c.key == READINGS))
        assert trials(url) == found
        spoil_curves(outside(UID))
        assert trials(url) == found

    def test_other_rungs_are_read_from_the_whole_curves_once(
        self, url: str, outside: Outside
    ) -> None:
        later = worlds.experiment(earlyStopping={"rungs": [0.5]})
        work(url, measured)
        assert steps(trials(url, experiment=later))[0] == [50, 90]
        spoil_curves(outside(UID))
        assert steps(trials(url, experiment=later))[0] == [50, 90]

    def test_an_edit_of_the_rungs_is_followed(self, url: str) -> None:
        later = worlds.experiment(earlyStopping={"rungs": [0.5]})

        async def edited(kept: Study) -> None:
            await measured(kept)
            await kept.follow(later)
            assert steps((await kept.load())[2])[0] == [50, 90]
            await kept.follow(EXPERIMENT)

        work(url, edited)

    def test_a_process_that_was_left_behind_writes_nothing(self, url: str) -> None:
        """Two operators overlapped, and the one that stays has an old list of trials."""
        writes: list[Callable[[Study], Awaitable[None]]] = [
            lambda left: left.ask(SPEC, 1, 2.0),
            lambda left: left.keep(worlds.PREPARATION),
            lambda left: left.record(0, Point(1, {"exact": 1.0})),
            lambda left: left.tell(SPEC, tell(0), "model", 3.0),
            lambda left: left.promote(SPEC, 0, 3.0),
            lambda left: left.collect([0]),
        ]

        async def both() -> None:
            async with opened(url) as other:
                await other.keep(worlds.PREPARATION)
                await other.ask(SPEC, 3, 2.0)
                for write in writes:
                    async with opened(url) as left:
                        await other.record(0, Point(1, {"exact": 1.0}))
                        with pytest.raises(InUse, match="another process"):
                            await write(left)
                async with opened(url) as left:
                    for number in range(3):
                        await other.tell(SPEC, tell(number), "model", 3.0)
                    assert (await left.load())[2] == (await other.load())[2]
                    await left.ask(SPEC, 1, 4.0)

        asyncio.run(both())
        assert [t.state for t in trials(url)] == [State.COMPLETED] * 3 + [State.RUNNING]

    def test_a_study_that_is_known_to_exist_is_not_begun_anew(self, url: str) -> None:
        """Another database has none, or one that began at another time."""
        began = conditions.timestamp(1.0)

        async def reopened(uid: str, begun: str | None, *, named: bool = True) -> int:
            known = {"uid": uid, "annotations": {STUDY: uid} if named else {}}
            metadata = EXPERIMENT.metadata.model_copy(update=known)
            wanted = EXPERIMENT.model_copy(update={"metadata": metadata})
            async with opened(url, uid, wanted, 99.0, begun) as kept:
                return len((await kept.load())[2])

        work(url, asked(2))
        assert asyncio.run(reopened(UID, began)) == 2
        with pytest.raises(StudyMissing, match="but the database has none"):
            asyncio.run(reopened(ports.OTHER_UID, began))
        with pytest.raises(StudyMissing, match="has one of 1970-01-01T00:00:01Z, not of"):
            asyncio.run(reopened(UID, conditions.timestamp(7.0)))
        assert (
            asyncio.run(reopened(ports.OTHER_UID, began, named=False)) == 0
        )  # a person removed it

    def test_a_study_whose_trials_are_damaged_says_so(self, url: str, outside: Outside) -> None:
        work(url, asked(3))
        edit(outside(UID), ATTRIBUTES.delete().where(ATTRIBUTES.c.trial_id == 2))
        with pytest.raises(DatabaseUnavailable, match="numbered 0 to 2 without a gap, but 1 is"):
            trials(url)

    def test_a_mark_that_is_gone_is_made_anew(self, url: str, outside: Outside) -> None:
        """A dump of the first release, which had none, was restored meanwhile."""

        async def unmarked(kept: Study) -> None:
            await kept.ask(SPEC, 1, 2.0)
            marked = STUDY_ATTRIBUTES.delete().where(STUDY_ATTRIBUTES.c.key == "mark")
            edit(outside(UID), marked)
            with pytest.raises(InUse):
                await kept.ask(SPEC, 1, 2.0)
            await kept.ask(SPEC, 1, 2.0)

        assert len(work(url, unmarked)) == 2

    def noted(
        self,
        url: str,
        do: Callable[[Study], Awaitable[Sequence[str]]],
        experiment: Any = EXPERIMENT,
    ) -> tuple[tuple[Trial, ...], Sequence[str]]:
        """Work on a study; return its trials, and what was said of others meanwhile."""
        told: list[str] = []

        async def doing(kept: Study) -> None:
            told.extend(await do(kept))

        return work(url, doing, experiment), told


def own(study: optuna.Study) -> list[int]:
    """Return the numbers of the experiment's own trials, in the order of Optuna's."""
    return [
        t.user_attrs[rows.RECORD]["number"]
        for t in study.get_trials()
        if rows.RECORD in t.user_attrs
    ]
