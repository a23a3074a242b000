"""An experiment's attempts as batch/v1 Jobs of a cluster.

A Job is created once and never applied again, for queues such as Kueue own parts of it.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import is_
from typing import Any, Final

from distillery_contract.request import Request, Stage
from distillery_operator.cluster import (
    attempts,
    default_template,
    errands,
    jobs,
    nodes,
    objects,
    pod_template,
    template_faults,
)
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import JOB_NAME, Cache
from distillery_operator.cluster.fresh import Fresh
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.cluster.wait_reasons import WaitReasons
from distillery_operator.engine.actions import Launch
from distillery_operator.errors import Refused
from distillery_operator.resource import label_names
from distillery_operator.resource.experiment import Experiment, study_of
from distillery_operator.trials.attempt import Attempt, AttemptKey, Removal
from distillery_operator.trials.provenance import Provenance

SELECTOR: Final = f"{label_names.EXPERIMENT_UID},!{label_names.TOLD}"
"""Jobs and pods of attempts that matter."""

UNSEEN_SECONDS: Final = 30.0
"""Time that a created Job counts though no watch has shown it: watches may be late."""

UNHELD: Final = {"$deleteFromPrimitiveList/finalizers": [label_names.METRICS]}
"""What removes our finalizer from the metadata of a pod, and no other."""

TERMINATING: Final = "being terminated"
"""In the API server's words, where it creates nothing because the namespace is being deleted."""

Objects = Sequence[Mapping[str, Any]]


class Runner:
    """The attempts of one experiment, as Jobs."""

    def __init__(
        self, api: Api, cache: Cache, experiment: Experiment, defaults: pod_template.Defaults
    ) -> None:
        """Look after the attempts of an experiment.

        Args:
            api: the API server.
            cache: what the watches have shown.
            experiment: whose attempts.
            defaults: what the pod template need not say.
        """
        self._api = api
        self._cache = cache
        self._defaults = defaults
        self._unseen: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._read: dict[str, tuple[Objects, Attempt]] = {}
        self._removals: Sequence[Removal] = ()
        self._wait_reasons = WaitReasons(api, experiment.metadata.namespace)
        self.follow(experiment)
        self._fresh = Fresh(api, cache, self._key, experiment.metadata.study)

    def follow(self, experiment: Experiment) -> None:
        """Go on with the experiment as it was edited."""
        self.experiment = default_template.under(experiment, self._defaults.template)
        self._digest = pod_template.digest(self.experiment, self._defaults)
        self._read.clear()

    @property
    def gpus(self) -> float:
        """How many GPUs each attempt gets."""
        return pod_template.gpus(self.experiment)

    @property
    def upcoming(self) -> Provenance:
        """What is known of the trainer that the next attempt gets: the name of its image."""
        return Provenance(image=pod_template.image(self.experiment, self._defaults))

    async def look_for(self, begun: Mapping[str, AttemptKey]) -> None:
        """See to it that attempts which have begun are listed, if they are still there."""
        of = self.experiment
        names = {uid: jobs.name(of, Launch(*attempt)) for uid, attempt in begun.items()}
        await self._fresh.begun(names)

    async def list(self) -> Sequence[Attempt]:
        """Return every attempt of the experiment, live or ended, that was not released."""
        key, uid = self._key, self.experiment.metadata.study
        listed = {job["metadata"]["name"]: job for job in self._cache.jobs(key, uid)}
        late = time.monotonic() - UNSEEN_SECONDS
        self._unseen = {
            name: (when, job)
            for name, (when, job) in self._unseen.items()
            if name not in listed and when > late
        }
        listed.update({name: job for name, (_, job) in self._unseen.items()})
        pods: dict[str, Objects] = defaultdict(tuple)
        for pod in self._cache.pods(key, uid):
            name = pod["metadata"]["labels"].get(JOB_NAME, "")
            pods[name] = (*pods[name], pod)
        for name, job in listed.items():
            if not pods[name] and objects.finished(job):
                pods[name] = await self._fresh.pods(name)
        self._read = {name: self._attempt(name, job, pods[name]) for name, job in listed.items()}
        now = time.time()
        known = await self._wait_reasons.explained(self._read.values(), now)
        everything = [
            (job, nodes.noted(attempt, pods, now))
            for ((job, *pods), _), attempt in zip(self._read.values(), known, strict=True)
        ]
        self._removals = errands.removals(everything)
        found = [attempt for _, attempt in everything]
        for name in pods.keys() - listed.keys():
            live = [attempts.orphan(pod) for pod in pods[name]]
            orphans = zip(live, pods[name], strict=True)
            found += [nodes.noted(attempt, [pod], now) for attempt, pod in orphans if attempt]
            ended = (p for p, o in zip(pods[name], live, strict=True) if o is None)
            self._cache.forget_pods(key, [p["metadata"]["name"] for p in ended])
        await self._let_go_with_namespace()
        return [attempt for attempt in found if attempt.stage is not Stage.COLLECT]

    async def _let_go_with_namespace(self) -> None:
        """Let go of pods that have ended, where their namespace is being deleted.

        Kubernetes deletes the pods of a namespace before all else, also before experiments: what
        the next attempt would set free is never free. What was listed is read all the same.
        """
        held = [pod for pod in self._cache.held(self._key) if objects.terminal(pod)]
        deleted = [pod for pod in held if objects.due(pod) is not None]
        if deleted and await self._namespace_goes():
            for pod in deleted:
                await self._mark(Kind.POD, pod, {"metadata": UNHELD})

    async def _namespace_goes(self) -> bool:
        try:
            await self._api.dry_run(Kind.JOB, jobs.trial(self.experiment, self._defaults))
        except Refused as refusal:
            return TERMINATING in str(refusal)
        return False

    def _attempt(self, name: str, job: Mapping[str, Any], pods: Objects) -> tuple[Objects, Attempt]:
        """Return what a Job and its pods are as an attempt, read once as long as they stay."""
        shown = (job, *pods)
        known = self._read.get(name)
        if known and len(known[0]) == len(shown) and all(map(is_, known[0], shown)):
            return known
        return shown, attempts.attempt(job, pods, self._digest)

    async def start(self, launch: Launch, request: Request) -> None:
        """Start an attempt; one that exists already stays as it is."""
        job = jobs.job(self.experiment, launch, request, self._defaults)
        if not await self._api.create(Kind.JOB, job):
            await self._compare(job)
        self._unseen[job["metadata"]["name"]] = (time.monotonic(), job)

    async def _compare(self, job: Mapping[str, Any]) -> None:
        """See to it that the Job of a name that is taken is the one that was to be created.

        Raises:
            Refused: it is another one. Of an attempt of this experiment it is removed, so that
                the name is free at the next pass.
        """
        metadata = job["metadata"]
        name = Key(metadata["namespace"], metadata["name"])
        found = (await self._api.get(Kind.JOB, name))["metadata"]
        owner, request = label_names.EXPERIMENT_UID, label_names.REQUEST
        own = (found.get("labels") or {}).get(owner) == metadata["labels"][owner]
        started = (found.get("annotations") or {}).get(request)
        told = label_names.TOLD in (found.get("labels") or {})  # to a study that has forgotten it
        if own and not told and started in (None, metadata["annotations"][request]):
            return
        if own:
            await self._api.delete(Kind.JOB, name, found["uid"])
        whose = "of another suggestion, and is removed" if own else "of somebody else"
        raise Refused("Conflict", f"the Job {name.name} must be free, but there is one {whose}")

    async def stop(self, attempt: Attempt, reason: str) -> None:
        """Ask an attempt to write a checkpoint and end; asking again changes nothing.

        The pod is deleted, not the Job, which then says how the attempt ended. A pod that never ran
        has nothing to say: its Job goes, and the attempt may start anew.
        """
        if attempt.started is None:
            await self._cancel(attempt)
        elif not attempt.halted:
            await self._api.delete(Kind.POD, Key(self._key.namespace, attempt.pod))
            mark = {"metadata": {"annotations": {label_names.HALTED: reason}}}
            job = Key(self._key.namespace, self._name(attempt))
            await self._api.patch(Kind.JOB, job, mark)

    async def _cancel(self, attempt: Attempt) -> None:
        """Delete the Job of an attempt that waits, unless it has begun meanwhile."""
        name = self._name(attempt)
        job, pods = await self._fresh.job(name)
        if job is None:
            return
        uid, version = job["metadata"]["uid"], job["metadata"]["resourceVersion"]
        now = attempts.attempt(job, pods, self._digest)
        if now.live and now.started is None and attempt.identity in ("", uid):
            await self._api.delete(Kind.JOB, Key(self._key.namespace, name), uid, version)

    async def expire(self, attempt: Attempt) -> None:
        """Let the Job controller end a Job that waits, and say so in the Job's own condition.

        A deleted Job would not say how often its trial has waited in vain.
        """
        job = Key(self._key.namespace, self._name(attempt))
        await self._api.patch(Kind.JOB, job, {"spec": {"activeDeadlineSeconds": 1}})

    async def close(self, attempt: Attempt) -> None:
        """Delete the pod of an attempt whose trainer has ended; its Job then ends by itself."""
        await self._api.delete(Kind.POD, Key(self._key.namespace, attempt.pod))

    async def discard(self, attempt: Attempt) -> None:
        """Delete the Job of an attempt that is not of the study's trials, and its pods with it."""
        await self.free(attempt)
        name = self._name(attempt)
        for job in self._cache.jobs(self._key, self.experiment.metadata.study):
            metadata = job["metadata"]
            started = metadata.get("annotations", {}).get(label_names.REQUEST, "")
            # Another operator may have freed the name meanwhile, and may have started its own.
            if metadata["name"] == name and started == attempt.digest:
                await self._api.delete(Kind.JOB, Key(self._key.namespace, name), metadata["uid"])

    async def release(self, attempt: Attempt) -> None:
        """Stop listing an attempt that has ended; its Job stays a while for its log.

        Its pod gets the label too, for otherwise every list of pods would grow with the trials that
        have ended.
        """
        name = self._name(attempt)
        told: dict[str, Any] = {"metadata": {"labels": {label_names.TOLD: "true"}}}
        await self.free(attempt)
        life = {"spec": {"ttlSecondsAfterFinished": self._defaults.retention_seconds}}
        if attempt.pod:
            await self._mark(Kind.POD, {"metadata": {"name": attempt.pod}}, told)
        await self._mark(Kind.JOB, {"metadata": {"name": name}}, told | life)
        self._fresh.forget(name)

    async def free(self, attempt: Attempt) -> None:
        """Let go of the pods of an ended attempt: more than one where a queue has suspended it."""
        name = self._name(attempt)
        for pod in self._cache.held(self._key):
            if pod["metadata"]["labels"].get(JOB_NAME) == name and objects.terminal(pod):
                await self._mark(Kind.POD, pod, {"metadata": UNHELD})

    async def collect(self, trials: Sequence[int], runs: Sequence[tuple[int, int]] = ()) -> None:
        """Begin to remove models and checkpoints, by a pod that has the volume."""
        job = errands.collection(self.experiment, trials, self._defaults, runs)
        await self._api.create(Kind.JOB, job)
        self._unseen[job["metadata"]["name"]] = (time.monotonic(), job)

    async def forget(self, removal: Removal) -> None:
        """Delete the Job that removes files, and its pod with it."""
        name = jobs.collection_name(self.experiment, removal.trials, removal.runs)
        self._unseen.pop(name, None)
        uid = removal.attempt.identity or None  # another operator may have begun it anew
        await self._api.delete(Kind.JOB, Key(self._key.namespace, name), uid)

    async def removals(self) -> Sequence[Removal]:
        """Return the Jobs that remove files, until they are deleted, an hour after their end."""
        return self._removals

    async def check(self) -> str:
        """Return why the API server refuses the pod template; empty if it takes it."""
        own = template_faults.faults(self.experiment, self._defaults)
        if own:
            return "\n".join(own)
        job = jobs.trial(self.experiment, self._defaults)
        try:
            await self._api.dry_run(Kind.JOB, job)
            await self._api.dry_run(Kind.POD, jobs.pod(job))
        except Refused as refusal:
            if "exceeded quota" in str(refusal):  # of now: the Job waits for it
                return ""
            return str(refusal)
        return ""

    async def _mark(self, kind: Kind, known: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Patch the metadata of an object, and take that in before the watch shows it."""
        key = Key(self._key.namespace, known["metadata"]["name"])
        if marked := await self._api.patch(kind, key, body):
            self._cache.put(kind, {**known, "metadata": marked["metadata"]})

    def _name(self, attempt: Attempt) -> str:
        return jobs.name(self.experiment, Launch(*attempt.key))

    @property
    def _key(self) -> Key:
        return Key(self.experiment.metadata.namespace, self.experiment.metadata.name)


async def let_go(api: Api, cache: Cache, key: Key) -> None:
    """Let go of the pods of experiments that are gone: nobody will store their metrics.

    The API server is asked whether they are: at a start the watch of pods may be the first.
    """
    held = cache.held(key)
    if not held:
        return
    found = await api.named(key)
    lives = {study_of(metadata) for metadata in found if "deletionTimestamp" not in metadata}
    for pod in held:
        if pod["metadata"]["labels"][label_names.EXPERIMENT_UID] not in lives:
            pod_key = Key(key.namespace, pod["metadata"]["name"])
            await api.patch(Kind.POD, pod_key, {"metadata": UNHELD})
            cache.forget_pods(key, [pod_key.name])
