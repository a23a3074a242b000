"""EDGE: this operator's claims to experiments, which the controller makes before anything else."""

import time

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Key, Object
from distillery_operator.controller import events, ownership
from distillery_operator.controller.event_writer import Announcer
from distillery_operator.controller.ownership import Step
from distillery_operator.telemetry import operator_metrics


class Claims:
    """Which experiments are this operator's, for one event loop.

    Keeps nothing that matters: when a person's wish to take one over was seen first, and when it
    was said last that one is another's.
    """

    def __init__(self, api: Api, announcer: Announcer, identity: str) -> None:
        """Claim experiments for an operator.

        Args:
            api: the API server.
            announcer: tells what happens.
            identity: of the operator; its pods share it.
        """
        self._api, self._announcer, self._identity = api, announcer, identity
        self._asked: dict[Key, float] = {}
        self._told: dict[Key, float] = {}

    async def settle(self, key: Key, found: Object) -> float | None:
        """Claim an experiment, or let go of it; return None if it is this operator's.

        Otherwise return after how many seconds to look again.
        """
        now, step = time.monotonic(), ownership.step(found, self._identity)
        patience = self._patience(key, now, step)
        match step:
            case Step.WORK:
                ours = True
            case Step.CLAIM:
                ours = await self._api.claim(key, self._identity)
            case Step.TAKE_OVER if patience <= 0:
                ours = await self._api.claim(key, self._identity, force=True)
            case _:
                ours = False
        if ours:
            self.forget(key)
            return None
        if step is Step.LET_GO:
            await self._api.disclaim(key, self._identity)
        if step is Step.TAKE_OVER:
            return patience
        self._remind(key, found, now)
        return ownership.REMINDER_SECONDS

    def forget(self, key: Key) -> None:
        """Drop what is known of an experiment that is gone, or is this operator's."""
        self._asked.pop(key, None)
        self._told.pop(key, None)
        operator_metrics.NOT_OWNED.set(len(self._told))

    def _patience(self, key: Key, now: float, step: Step) -> float:
        """Return for how long the owner may still take to let go, from when a person asked."""
        if step is not Step.TAKE_OVER:
            self._asked.pop(key, None)
            return ownership.HANDOVER_SECONDS
        return ownership.HANDOVER_SECONDS - (now - self._asked.setdefault(key, now))

    def _remind(self, key: Key, found: Object, now: float) -> None:
        if now - self._told.get(key, -ownership.REMINDER_SECONDS) >= ownership.REMINDER_SECONDS:
            self._told[key] = now
            operator_metrics.NOT_OWNED.set(len(self._told))
            said = ownership.sentence(found, self._identity)
            self._announcer.tell(found["metadata"], events.not_owned(said))
