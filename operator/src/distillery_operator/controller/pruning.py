"""What nobody owns on a cluster, and its removal. ``distillery prune --cluster`` calls it.

An experiment that is there owns its study, its results folder and its prepared data. It may be
created, restored and run meanwhile: a study goes only if nobody has written to it since the
experiments were listed, and its files go only once nobody can open it any more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pydantic

from distillery_operator.cluster import default_template, errand_jobs, errands
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.controller import api_retries
from distillery_operator.engine import requests
from distillery_operator.errors import DistilleryError, Refused
from distillery_operator.resource.experiment import API_VERSION, KIND, STUDY, Experiment, study_of
from distillery_operator.study import survey
from distillery_operator.study.database import Database
from distillery_operator.study.survey import Found

POLL_SECONDS: Final = 1.0
ERRAND_SECONDS: Final = 600.0
"""Time that a Job which removes files may take."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Unowned:
    """What a database has that nobody owns.

    Attributes:
        gone: studies whose experiment is gone from this cluster.
        unknown: studies without an experiment here, of which nobody knows whose they are: of
            another cluster, or last opened by an earlier release. They go only by name.
        failed: studies of experiments that are there, with trials that have failed.
        experiments: these experiments, by the uids that the studies are named by.
        faults: why something could not be looked at.
        used: keys of prepared data of experiments that are there.
        preparing: experiments that are there and have no prepared data yet: it may be any.
    """

    gone: list[Found] = field(default_factory=list)
    unknown: list[Found] = field(default_factory=list)
    failed: list[Found] = field(default_factory=list)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    preparing: list[str] = field(default_factory=list)

    def prepared(self, going: Sequence[Found]) -> set[str]:
        """Return the keys of prepared data that nobody uses once some studies are gone."""
        if self.preparing or self.faults:
            return set()
        stays = [f for f in (*self.gone, *self.unknown) if f not in going]
        used = {*self.used, *(f.prepared for f in stays)}
        return {f.prepared for f in going if f.prepared} - used


async def look(api: Api, database: Database) -> Unowned:
    """Find what nobody owns."""
    found = [*survey.look(database)]  # first: an experiment that comes later has a later study
    unowned, cluster = Unowned(), await api_retries.cluster(api)
    everywhere = await _listed(api, "")
    namespaces = {f.resource["namespace"] for f in found if f.resource}
    listed = {n: await _listed(api, n) if everywhere is None else everywhere for n in namespaces}
    living = dict(everywhere or {})
    for some in listed.values():
        living.update(some or {})
    for study in found:
        resource = study.resource
        if study.fault:
            unowned.faults.append(f"{study.key}: {study.fault}")
        elif study.uid in living:
            if study.prepared:
                unowned.used.append(study.prepared)
            else:
                unowned.preparing.append(study.key)
            if study.failed and (experiment := _parsed(living[study.uid])):
                unowned.failed.append(study)
                unowned.experiments[study.uid] = experiment
        elif resource is None or not cluster or resource.get("cluster") != cluster:
            unowned.unknown.append(study)
        elif listed[resource["namespace"]] is None:
            namespace = resource["namespace"]
            unowned.faults.append(f"{study.key}: the namespace {namespace} may not be listed")
        else:
            unowned.gone.append(study)
    return unowned


async def remove(
    api: Api, unowned: Unowned, named: Sequence[str], defaults: Defaults
) -> AsyncIterator[tuple[str, str]]:
    """Remove what nobody owns; yield what was removed and why it was not, if so, in sentences.

    Args:
        api: the API server.
        unowned: as :func:`look` found it.
        named: places of studies, of which alone something goes; none for all that is not unknown.
        defaults: what the Jobs that remove files need.
    """
    going = [f for f in unowned.gone if not named or f.key in named]
    going += [f for f in unowned.unknown if f.key in named]
    unused = unowned.prepared(going)
    for study in going:
        try:
            await asyncio.to_thread(study.withdraw)
            keys = {study.prepared} & unused if study.prepared else set()
            said = await _remove_files(api, study, keys, defaults)
            await asyncio.to_thread(study.storage.remove)
            yield f"{study.key}: the study is removed, {said}", ""
        except DistilleryError as error:
            yield "", f"{study.key}: {error}"
    for study in unowned.failed:
        if named and study.key not in named:
            continue
        try:
            whole = default_template.under(unowned.experiments[study.uid], defaults.template)
            made = errands.collection(whole, study.failed, defaults)
            await _run(api, made)
            await asyncio.to_thread(study.collect, study.failed)
            yield f"{study.key}: the files of {len(study.failed)} failed trials are removed", ""
        except DistilleryError as error:
            yield "", f"{study.key}: {error}"


def lines(unowned: Unowned) -> Iterator[str]:
    """Say what nobody owns, a line for each thing."""
    for study in unowned.gone:
        yield f"{study.key}: the experiment {_called(study)} is gone; {_results(study)}"
    for study in unowned.unknown:
        yield f"{study.key}: not known whose; goes only if it is named; {_results(study)}"
    for key in sorted(unowned.prepared(unowned.gone)):
        yield f"{requests.prepared(key)}: prepared data that goes with the last study that used it"
    for study in unowned.failed:
        yield f"{study.key}: {_called(study)} has files of {len(study.failed)} failed trials"


def _called(study: Found) -> str:
    return f"{study.resource['namespace']}/{study.resource['name']}" if study.resource else ""


def _results(study: Found) -> str:
    experiment = _stored(study)
    return f"folder {requests.results(experiment)}" if experiment else "no folder is known"


async def _remove_files(api: Api, study: Found, keys: set[str], defaults: Defaults) -> str:
    """Remove the results folder of a study, and prepared data; return a clause about it."""
    experiment = _stored(study)
    if experiment is None:
        return "but nobody knows its folder"
    folders = [requests.results(experiment), *(requests.prepared(key) for key in sorted(keys))]
    whole = default_template.under(experiment, defaults.template)
    try:
        await _run(api, errands.removal(whole, folders, defaults))
    except Refused as refusal:
        if refusal.reason != "NotFound":
            raise
        return f"and the volume has gone with its namespace: {refusal}"
    return f"with {', '.join(folders)}"


async def _run(api: Api, job: Mapping[str, Any]) -> None:
    """Start a Job that removes files, wait for its end, and remove it."""
    name, until = _name(job), time.monotonic() + ERRAND_SECONDS

    async def make() -> Mapping[str, Any]:
        return job

    while not await errand_jobs.done(api, name, make):
        if time.monotonic() > until:
            raise Refused("Waiting", f"the Job {name.name} has not ended in {ERRAND_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
    await api.delete(Kind.JOB, name)


def _name(job: Mapping[str, Any]) -> Key:
    return Key(job["metadata"]["namespace"], job["metadata"]["name"])


async def _listed(api: Api, namespace: str) -> dict[str, Mapping[str, Any]] | None:
    """Return the experiments by the uids that their studies are named by; None if forbidden."""
    try:
        found = [o async for o in api.found(Kind.EXPERIMENT, namespace, "")]
    except Refused:
        return None
    return {study_of(o["metadata"]): o for o in found}


def _stored(study: Found) -> Experiment | None:
    """Return the experiment of a study, as it was last seen."""
    if study.resource is None:
        return None
    metadata = {name: study.resource[name] for name in ("namespace", "name", "uid")}
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {**metadata, "annotations": {STUDY: study.uid}},
        "spec": study.resource["spec"],
    }
    return _parsed(document)


def _parsed(document: Mapping[str, Any]) -> Experiment | None:
    try:
        return Experiment.model_validate(document)
    except pydantic.ValidationError:  # a later release has written it
        return None
