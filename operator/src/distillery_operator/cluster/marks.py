"""EDGE: what the operator writes into the metadata of an experiment.

An annotation names its study, so that a backup of the experiment names it too. A finalizer holds it
where study and results are to be deleted with it.
"""

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Key, Kind, Object
from distillery_operator.errors import Refused
from distillery_operator.resource.experiment import STUDY, Experiment
from distillery_operator.resource.label_names import DELETION
from distillery_operator.resource.spec import DeletionPolicy


def held(found: Object) -> bool:
    """Tell whether an experiment, as the API server has it, is held by the finalizer."""
    return DELETION in found["metadata"].get("finalizers", [])


async def hold(api: Api, found: Object, experiment: Experiment) -> None:
    """Hold an experiment if its study is to be deleted with it, and let go of it if not.

    Where it has changed meanwhile, as by the claim of the same look, the watch brings another look.
    """
    wanted = experiment.spec.deletion_policy is DeletionPolicy.DELETE
    if wanted != held(found):
        try:
            await _set_finalizers(api, found, wanted)
        except Refused as refusal:
            if refusal.reason != "Conflict":
                raise


async def let_go(api: Api, found: Object) -> None:
    """Let an experiment go that was deleted."""
    if held(found):
        await _set_finalizers(api, found, False)


async def name_study(api: Api, found: Object, experiment: Experiment) -> None:
    """Let an experiment name its study, which must be there by now."""
    if STUDY not in (found["metadata"].get("annotations") or {}):
        named = {"metadata": {"annotations": {STUDY: experiment.metadata.study}}}
        await api.patch(Kind.EXPERIMENT, _key(found), named)


async def _set_finalizers(api: Api, found: Object, wanted: bool) -> None:
    """Add or remove ours; whatever else has changed since is refused as a conflict."""
    metadata = found["metadata"]
    others = [name for name in metadata.get("finalizers", []) if name != DELETION]
    body = {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "finalizers": [*others, *([DELETION] if wanted else [])],
    }
    await api.patch(Kind.EXPERIMENT, _key(found), {"metadata": body})


def _key(found: Object) -> Key:
    return Key(found["metadata"]["namespace"], found["metadata"]["name"])
