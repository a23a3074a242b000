"""Whose an experiment is: the decision as a table, and operators that claim, one after another."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_operator.cluster.kinds import Key
from distillery_operator.controller import claims, ownership
from distillery_operator.controller.claims import Claims
from distillery_operator.controller.events import Event
from distillery_operator.controller.ownership import Step
from distillery_operator.resource import label_names

KEY = Key("squad", "tiny")
OURS, THEIRS = "distillery/ours", "team/theirs"


def experiment(owner: str = "", named: str = "") -> dict[str, Any]:
    annotations = {label_names.OWNER: named} if named else {}
    metadata = {"name": KEY.name, "namespace": KEY.namespace, "annotations": annotations}
    return {"metadata": metadata, "status": {"owner": owner} if owner else {}}


@pytest.mark.parametrize(
    ("owner", "named", "step"),
    [
        ("", "", Step.CLAIM),
        (OURS, "", Step.WORK),
        (THEIRS, "", Step.LEAVE),
        ("", OURS, Step.CLAIM),
        (OURS, OURS, Step.WORK),
        (THEIRS, OURS, Step.TAKE_OVER),
        ("", THEIRS, Step.LEAVE),
        (OURS, THEIRS, Step.LET_GO),
        (THEIRS, THEIRS, Step.LEAVE),
    ],
)
def test_what_an_operator_does_follows_from_the_owner_and_from_a_persons_wish(
    owner: str, named: str, step: Step
) -> None:
    assert ownership.step(experiment(owner, named), OURS) is step


@pytest.mark.parametrize("broken", [None, 3, [], {}])
def test_an_owner_that_is_no_text_is_none(broken: object) -> None:
    found = {"metadata": {"annotations": None}, "status": {"owner": broken}}
    assert ownership.step(found, OURS) is Step.CLAIM


class World:
    """An API server that keeps one owner, and what operators announce."""

    def __init__(self) -> None:
        self.owner, self.named = "", ""
        self.told: list[str] = []

    @property
    def found(self) -> dict[str, Any]:
        return experiment(self.owner, self.named)

    async def claim(self, key: Key, identity: str, *, force: bool = False) -> bool:
        if force or self.owner in ("", identity):
            self.owner = identity
        return self.owner == identity

    async def disclaim(self, key: Key, identity: str) -> None:
        if self.owner == identity:
            self.owner = ""

    def tell(self, metadata: Mapping[str, Any], event: Event) -> None:
        self.told.append(f"{event.reason}: {event.message}")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(claims, "time", made)
    return made


def operator(world: World, identity: str) -> Claims:
    return Claims(world, world, identity)  # type: ignore[arg-type]


def settle(operator: Claims, found: dict[str, Any]) -> float | None:
    return asyncio.run(operator.settle(KEY, found))


def test_the_first_operator_claims_and_the_second_says_that_it_stays_away(clock: Clock) -> None:
    world = World()
    ours, again, theirs = (operator(world, name) for name in (OURS, OURS, THEIRS))
    assert settle(ours, world.found) is None
    assert settle(again, world.found) is None  # another pod of the same release
    assert settle(theirs, world.found) == ownership.REMINDER_SECONDS
    assert settle(theirs, experiment()) == ownership.REMINDER_SECONDS  # by what it saw before
    assert world.owner == OURS
    (said,) = world.told
    assert said.startswith(f"NotOwned: the operator {THEIRS} leaves this experiment alone, for it")
    assert f"--namespace squad {label_names.OWNER}={THEIRS}" in said
    clock.now += ownership.REMINDER_SECONDS
    settle(theirs, world.found)
    assert len(world.told) == 2


def test_an_owner_that_lives_lets_go_and_one_that_is_gone_is_waited_for(clock: Clock) -> None:
    world = World()
    ours, theirs = operator(world, OURS), operator(world, THEIRS)
    assert settle(ours, world.found) is None
    clock.now += 10_000
    settle(theirs, world.found)
    world.named = THEIRS
    assert settle(theirs, world.found) == ownership.HANDOVER_SECONDS
    assert settle(ours, world.found) == ownership.REMINDER_SECONDS
    assert world.owner == ""
    assert settle(theirs, world.found) is None
    world.named = OURS  # and back, but now the owner is gone
    assert settle(ours, world.found) == ownership.HANDOVER_SECONDS
    clock.now += ownership.HANDOVER_SECONDS - 1
    assert settle(ours, world.found) == 1
    clock.now += 1
    assert settle(ours, world.found) is None
    assert world.owner == OURS


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ours", "theirs", "name", "later", "kill"]),
        st.sampled_from(["", OURS, THEIRS]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_claim_is_what_the_api_server_says_and_whoever_is_named_gets_it_in_the_end(
    steps: list[tuple[str, str, int]],
) -> None:
    """Operators look by what they saw before, and are killed; persons change their minds."""
    world, clock = World(), Clock()
    history = [world.found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "time", clock)
        operators = {OURS: operator(world, OURS), THEIRS: operator(world, THEIRS)}
        for what, name, late in steps:
            if what == "name":
                world.named = name
            elif what == "later":
                clock.now += 20.0
                for one in operators.values():  # nobody lags for so long
                    settle(one, world.found)
            elif what in ("ours", "theirs"):
                identity = OURS if what == "ours" else THEIRS
                seen = history[max(0, len(history) - 1 - late)]
                settled = settle(operators[identity], seen)
                if settled is None and ownership.owner(seen) == "":
                    assert world.owner == identity  # the API server has said so just now
            elif what == "kill" and name:
                operators[name] = operator(world, name)
            history.append(world.found)
        for identity in (OURS, THEIRS):  # whoever is named gets it in the end
            world.named = identity
            for _ in range(3):
                clock.now += ownership.HANDOVER_SECONDS
                for one in operators.values():
                    settle(one, world.found)
            assert world.owner == identity
