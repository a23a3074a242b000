"""An experiment on a cluster, as the commands that look at results find it: by kubeconfig.

Experiment and status come from the API server, all trials from the operator by way of the API
server's proxy, a model from the trials' volume by way of a pod that lives as long as the copy.
"""

import asyncio
import functools
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pydantic

from distillery_contract.size import Architecture
from distillery_operator.cluster import default_template, documents, errands, jobs, pod_template
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.kubeconfig import Access
from distillery_operator.errors import (
    ApiUnavailable,
    Incompatible,
    NotFound,
    Refused,
)
from distillery_operator.resource import parsing
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import Status
from distillery_operator.results import archive, suggesting, trials_document
from distillery_operator.search import reported
from distillery_operator.trials.trial import Trial

TRIALS_SECONDS: Final = 600.0
"""Time for all trials to arrive."""

MANAGER: Final = "distillery-suggest"
"""Field manager of what `distillery suggest` adds to a spec."""

CONFLICTS: Final = 20
"""Times that an addition to a spec is tried, which others may change at the same time."""

POD_SECONDS: Final = 900.0
"""Time for the pod that reads the volume to start: its image is large."""


class Results:
    """The results of one experiment."""

    def __init__(self, access: Access, name: str | None) -> None:
        """Look for an experiment.

        Args:
            access: the way to its cluster.
            name: of the experiment; None for the only one of its namespace.
        """
        self._access, self._name = access, name
        # It warns of what its errors say as well.
        logging.getLogger("kubernetes").setLevel(logging.ERROR)

    @property
    def report(self) -> Path:
        """Return where its report is written unless a person says otherwise."""
        return Path(f"{self._name}.html")

    def look(self) -> tuple[Experiment, Status]:
        """Return the experiment and its status."""
        return asyncio.run(self._look())

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials."""
        return trials_document.trials(self._document)

    def studied(self) -> tuple[Mapping[str, Architecture], tuple[Trial, ...]]:
        """Return what students start from, empty before it is prepared, and all trials."""
        return trials_document.sources(self._document), self.trials()

    def models(self) -> Mapping[int, str]:
        """Return the paths of the models in the trials' volume, by the numbers of their trials."""
        known = ((t.number, reported.model(t)) for t in trials_document.trials(self._document))
        return {number: model for number, model in known if model}

    def suggest(self, name: str, parameters: Mapping[str, object]) -> str:
        """Have a person's point run next; return a sentence that says what follows."""
        return asyncio.run(self._suggest(name, parameters))

    def copy(self, model: str, folder: Path) -> None:
        """Copy a model into a folder, which this makes."""
        asyncio.run(self._copy(model, trials_document.defaults(self._document), folder))

    async def _look(self) -> tuple[Experiment, Status]:
        async with self._reach() as api:
            found = await self._find(api)
        return parsing.parse(found), status(found)

    @functools.cached_property
    def _document(self) -> dict[str, Any]:
        return asyncio.run(self._ask_operator())

    async def _ask_operator(self) -> dict[str, Any]:
        async with self._reach() as api:
            path = (await self._find(api)).get("status", {}).get("trialsPath")
            if path is None:
                raise NotFound(
                    "the operator does not serve trials, so that only the status is known: it must"
                    " be started with --trials-service"
                )
            return trials_document.read(await _read(api, path))

    async def _suggest(self, name: str, parameters: Mapping[str, object]) -> str:
        """Add a suggestion to the spec, under a field manager of its own.

        So what Git or another person says of the spec stands, and a tool that applies a file on
        the server leaves the suggestion where it is.
        """
        async with self._reach() as api:
            for _ in range(CONFLICTS):
                found = await self._find(api)
                known = status(found) if _told(found) else None
                experiment = parsing.parse(found)
                own = {suggestion.name for suggestion in experiment.spec.suggestions}
                taken = {s.name for s in known.suggestions} - own if known else set()
                suggestion = suggesting.checked(experiment, name, parameters, taken)
                if suggestion is None:
                    return f"{name} is suggested already"
                new = {"name": name, "parameters": suggestion.parameters}
                listed = [*found["spec"].get("suggestions", []), new]
                key = Key(self._access.where(), str(self._name))
                version = found["metadata"]["resourceVersion"]
                try:
                    await api.amend(key, version, {"suggestions": listed}, MANAGER)
                except Refused as refusal:  # its status is written every few seconds
                    if refusal.reason != "Conflict":
                        raise
                    continue
                return f"{name} is suggested{suggesting.note(known) or ' and runs next'}"
        raise ApiUnavailable(f"the experiment {self._name} changes all the time; try again")

    async def _copy(self, model: str, defaults: pod_template.Defaults, folder: Path) -> None:
        async with self._reach() as api:
            experiment = parsing.parse(await self._find(api))
            name = f"{jobs.stem(experiment.metadata.name)}-reader-{secrets.token_hex(4)}"
            whole = default_template.under(experiment, defaults.template)
            pod = errands.reader(whole, defaults, name)
            async with _running(api, pod) as running:
                command = ["tar", "-C", model, "-cf", "-", "."]
                await archive.unpack(api.output(running, documents.TRAINER, command), folder)

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[Api]:
        """Connect for the length of a block."""
        api = Api(lambda *_: None)
        await api.open(self._access)
        try:
            yield api
        finally:
            await api.close()

    async def _find(self, api: Api) -> dict[str, Any]:
        """Return the experiment as the API server has it, and keep its name."""
        namespace = self._access.where()
        try:
            if self._name is None:
                self._name = _only([o async for o in api.found(Kind.EXPERIMENT, namespace, "")])
            return await api.get(Kind.EXPERIMENT, Key(namespace, self._name))
        except Refused as refusal:
            if refusal.reason != "NotFound":
                raise
            raise NotFound(await _missing(api, namespace, str(self._name))) from refusal


def status(found: Mapping[str, Any]) -> Status:
    """Return the status of an experiment as the API server has it.

    Raises:
        NotFound: there is none yet.
        Incompatible: it is not as this release knows it.
    """
    if not _told(found):
        raise NotFound(
            f"the experiment {found['metadata']['name']} has no status yet: no operator has looked"
            " at it; `distillery operator` must run and watch its namespace"
        )
    try:
        return Status.model_validate(found["status"])
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise Incompatible(
            f"the status must be as this release of distillery knows it, but {where}:"
            f" {fault['msg']}; use the release that the cluster uses"
        ) from error


def _told(found: Mapping[str, Any]) -> bool:
    """Tell whether a status says more than whose the experiment is, which is said first."""
    return bool(found.get("status", {}).keys() - {"owner"})


def _only(found: list[Mapping[str, Any]]) -> str:
    names = [o["metadata"]["name"] for o in found]
    if len(names) != 1:
        raise NotFound(
            f"an experiment must be named where there is not exactly one; known: {names}"
        )
    return str(names[0])


async def _missing(api: Api, namespace: str, name: str) -> str:
    """Say what there is instead of an experiment that is not there."""
    try:
        known = [o["metadata"]["name"] async for o in api.found(Kind.EXPERIMENT, namespace, "")]
    except Refused as refusal:
        if refusal.reason == "NotFound":
            return "the cluster knows no DistillationExperiments: Distillery is not installed in it"
        return f"there is no experiment {name!r} in namespace {namespace} (which others: {refusal})"
    return f"there is no experiment {name!r} in namespace {namespace}; known are {known}"


async def _read(api: Api, path: str) -> bytes:
    """Return the operator's document, or say which link on the way to it is broken."""
    service = path.rpartition("/proxy/v1/")[0]
    try:
        return await api.read(path, TRIALS_SECONDS)
    except Refused as refusal:
        if refusal.reason == "Forbidden":
            raise Refused(
                refusal.reason,
                f"the trials are behind a Service whose proxy you may not use: {refusal}. Whoever"
                " runs the cluster binds you to the operator's Role for it, which ends in -trials",
            ) from refusal
        raise NotFound(f"the operator does not serve the trials: {refusal}") from refusal
    except ApiUnavailable as error:
        raise ApiUnavailable(f"the operator is not reached by {service}: {error}") from error


@asynccontextmanager
async def _running(api: Api, pod: Mapping[str, Any]) -> AsyncIterator[Key]:
    """Run a pod for the length of a block."""
    metadata = pod["metadata"]
    name = Key(metadata["namespace"], metadata["name"])
    await api.create(Kind.POD, pod)
    try:
        async with asyncio.timeout(POD_SECONDS):
            while (found := await api.get(Kind.POD, name))["status"].get("phase") != "Running":
                if found["status"].get("phase") in ("Failed", "Succeeded"):
                    raise NotFound(f"the pod {name.name}, which reads the volume, ended: {found}")
                await asyncio.sleep(0.5)
        yield name
    except TimeoutError as error:
        said = found["status"].get("conditions", [])
        raise ApiUnavailable(f"the pod {name.name} did not start in time: {said}") from error
    finally:
        await api.delete(Kind.POD, name)
