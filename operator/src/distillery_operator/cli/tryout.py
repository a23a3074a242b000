"""An experiment that is applied to a cluster, followed to its end and removed: `distillery try`.

It shows whether everything between the API server and a trial's last words works; the chart's test
runs it.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

from distillery_operator.cluster.api import Api
from distillery_operator.cluster.kinds import Key, Kind
from distillery_operator.errors import ApiUnavailable
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import ConditionType

POLL_SECONDS: Final = 1.0
NAME_LENGTH: Final = 31
"""Of an experiment's name, before what makes it unique."""

Say = Callable[[str], None]


async def run(experiment: Experiment, namespace: str, seconds: float, say: Say) -> bool:
    """Run an experiment, under a name of its own, on the cluster that is reached from here.

    Its study and its files stay.

    Args:
        experiment: to apply.
        namespace: to apply it to.
        seconds: within which it must end.
        say: is told each change of the status, as a line.

    Returns:
        Whether it has ended with a front.

    Raises:
        Refused: the API server does not take it.
    """
    key = Key(namespace, f"{experiment.metadata.name[:NAME_LENGTH]}-{secrets.token_hex(4)}")
    api = Api(lambda *_: None)
    await api.open()
    try:
        await api.create(Kind.EXPERIMENT, _body(experiment, key))
        try:
            say(f"{namespace}/{key.name} is applied")
            followed = asyncio.create_task(_follow(api, key, say))
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, followed.cancel)
            ended, _ = await asyncio.wait([followed], timeout=seconds)
            if not ended:
                followed.cancel()
                say(f"it must end within {seconds:.0f} s")
                return False
            return not followed.cancelled() and followed.result()
        finally:
            await api.delete(Kind.EXPERIMENT, key)
    finally:
        await api.close()


async def _follow(api: Api, key: Key, say: Say) -> bool:
    """Look at an experiment until it has ended; return whether it has a front."""
    said = ""
    while True:
        try:
            status = (await api.get(Kind.EXPERIMENT, key)).get("status", {})
        except ApiUnavailable as error:  # it may be restarting
            status, line = {}, str(error)
        else:
            line = _line(status)
        if line != said:
            said = line
            say(line)
        if status.get("state") in ("Succeeded", "Failed"):
            return bool(status["state"] == "Succeeded")
        await asyncio.sleep(POLL_SECONDS)


def _line(status: Mapping[str, Any]) -> str:
    """Say where an experiment stands, and what is in its way."""
    words = [status.get("state", "no operator has looked at it"), status.get("progress", "")]
    for condition in status.get("conditions", []):
        bad = "True" if condition["type"] == ConditionType.DEGRADED else "False"
        if condition["status"] == bad:
            words.append(f"{condition['type']}={bad}: {condition['message']}")
    return "; ".join(word for word in words if word)


def _body(experiment: Experiment, key: Key) -> dict[str, Any]:
    return {
        "apiVersion": experiment.api_version,
        "kind": experiment.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": experiment.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
    }
