"""``distillery try``: an experiment that is applied to a cluster, followed to its end and removed.

It shows whether everything between the API server and a trial's last words works; the chart's test
runs it.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from distillery_operator.cli import options
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import ApiUnavailable, DistilleryError

if TYPE_CHECKING:
    from distillery_operator.cluster.api import Api
    from distillery_operator.cluster.kinds import Key
    from distillery_operator.resource.experiment import Experiment

POLL_SECONDS: Final = 1.0
NAME_LENGTH: Final = 54
"""Of an experiment's name, before what makes it unique."""

Say = Callable[[str], None]


@click.command("try")
@options.experiment_file
@click.option("--namespace", default="default", help="namespace to run it in (default: default)")
@click.option(
    "--timeout-seconds",
    type=options.Seconds(),
    default=1200.0,
    help="time within which it must end (default: 1200)",
)
def command(file: str, namespace: str, timeout_seconds: float) -> Exit:
    """Run an experiment on a cluster, see it end, and remove it. Its study and its files stay."""
    from distillery_operator.cli import terminal

    _, experiment = options.read(file)
    console = terminal.console()
    return asyncio.run(
        _run(experiment, namespace, timeout_seconds, lambda line: terminal.say(console, line))
    )


async def _run(experiment: "Experiment", namespace: str, seconds: float, say: Say) -> Exit:
    """Run an experiment, under a name of its own, on the cluster that is reached from here."""
    from distillery_operator.cluster.api import Api
    from distillery_operator.cluster.kinds import Key, Kind

    key = Key(namespace, f"{experiment.metadata.name[:NAME_LENGTH]}-{secrets.token_hex(4)}")
    api = Api(lambda *_: None)
    await api.open()
    try:
        await api.create(Kind.EXPERIMENT, _body(experiment, key))
        try:
            say(f"{namespace}/{key.name} is applied")
            return await _end(api, key, seconds, say)
        finally:
            await api.delete(Kind.EXPERIMENT, key)
    finally:
        await api.close()


async def _end(api: "Api", key: "Key", seconds: float, say: Say) -> Exit:
    """Follow an experiment to its end, or to SIGTERM.

    Raises:
        DistilleryError: it does not end in time.
    """
    followed = asyncio.create_task(_follow(api, key, say))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, followed.cancel)
    ended, _ = await asyncio.wait([followed], timeout=seconds)
    if not ended:
        followed.cancel()
        raise DistilleryError(f"the experiment must end within {seconds:.0f} s, but it has not")
    if followed.cancelled():
        return Exit.INTERRUPTED
    return Exit.DONE if followed.result() else Exit.NO_FEASIBLE_TRIAL


async def _follow(api: "Api", key: "Key", say: Say) -> bool:
    """Look at an experiment until it has ended; return whether it has a front."""
    from distillery_operator.cluster.kinds import Kind

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
    from distillery_operator.resource.status import ConditionType

    words = [status.get("state", "no operator has looked at it"), status.get("progress", "")]
    for condition in status.get("conditions", []):
        bad = "True" if condition["type"] == ConditionType.DEGRADED else "False"
        if condition["status"] == bad:
            words.append(f"{condition['type']}={bad}: {condition['message']}")
    return "; ".join(word for word in words if word)


def _body(experiment: "Experiment", key: "Key") -> dict[str, Any]:
    return {
        "apiVersion": experiment.api_version,
        "kind": experiment.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": experiment.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
    }
