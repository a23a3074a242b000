"""``distillery prune``: what nobody owns, and its removal."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distillery_operator.cli import options, output
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import NotFound

if TYPE_CHECKING:  # what takes long to import is imported where it is used
    from distillery_operator.cluster.pod_template import Defaults

Say = Callable[[str], None]


@click.command("prune")
@click.argument("names", nargs=-1, metavar="[STUDY]...")
@click.option("--yes", is_flag=True, help="remove what is listed")
@click.option(
    "--cluster",
    is_flag=True,
    help="look at the studies of DISTILLERY_DATABASE_URL and at the experiments of a cluster, as in"
    " the operator's pod",
)
@click.option(
    "--trainer-image",
    envvar="DISTILLERY_TRAINER_IMAGE",
    default="",
    help="image of the Jobs that remove files (with --cluster)",
)
@click.option(
    "--workspace-claim",
    envvar="DISTILLERY_WORKSPACE_CLAIM",
    default="",
    help="PersistentVolumeClaim of the trials' workspace (with --cluster)",
)
@click.option(
    "--template",
    envvar="DISTILLERY_TEMPLATE",
    default="",
    metavar="JSON",
    help="PodTemplateSpec below the template of every experiment (with --cluster)",
)
@click.pass_obj
def command(
    place: options.Place,
    names: Sequence[str],
    yes: bool,
    cluster: bool,
    trainer_image: str,
    workspace_claim: str,
    template: str,
) -> Exit:
    """List what no experiment owns; with --yes, remove it.

    On this machine: prepared data that no experiment of the workspace uses, models and checkpoints
    of failed trials, and what was put aside. With --cluster: studies of experiments that are gone,
    with their results folders and prepared data, and files of failed trials. If studies are named,
    only what is theirs.
    """
    from distillery_operator.cli import terminal
    from distillery_operator.cluster import default_template
    from distillery_operator.cluster.pod_template import Defaults

    console = terminal.console()

    def say(line: str) -> None:
        terminal.say(console, line)

    if not cluster:
        if names:
            raise NotFound("studies can be named only with --cluster")
        return _prune_workspace(place.workspace, yes, say)
    if yes and not trainer_image:
        raise NotFound("the Jobs that remove files need --trainer-image")
    logging.getLogger("kubernetes").setLevel(logging.ERROR)
    below = default_template.read(template)
    defaults = Defaults(trainer_image, workspace_claim, template=below)
    return asyncio.run(_prune_cluster(names, yes, defaults, say))


def _prune_workspace(workspace: Path, yes: bool, say: Say) -> Exit:
    from distillery_operator.local import pruning

    found, faults = pruning.look(workspace)
    for fault in faults:
        output.complain(fault)
    for unowned in found:
        what = f"{unowned.folder.relative_to(workspace)}: {unowned.why}"
        megabytes = pruning.size(unowned.folder) / 1e6
        if not yes:
            say(f"{what}, {megabytes:.1f} MB")
        elif pruning.remove(workspace, unowned):
            say(f"{what}, {megabytes:.1f} MB: removed")
        else:
            say(f"{what}: somebody uses it now, so it stays")
    _end(len(found), yes, say)
    return Exit.REFUSED if faults else Exit.DONE


async def _prune_cluster(names: Sequence[str], yes: bool, defaults: "Defaults", say: Say) -> Exit:
    from distillery_operator.cluster.api import Api
    from distillery_operator.controller import pruning
    from distillery_operator.study.database import Database

    api = Api(lambda *_: None)
    await api.open()
    try:
        with closing(Database(options.database(), 1)) as database:
            unowned = await pruning.look(api, database)
            known = {study.key for study in (*unowned.gone, *unowned.unknown, *unowned.failed)}
            if strange := sorted({*names} - known):
                raise NotFound(f"{strange[0]} is no study that has anything to remove")
            faults = list(unowned.faults)
            if not yes:
                listed = [*pruning.lines(unowned)]
                for line in listed:
                    say(line)
                _end(len(listed), yes, say)
            else:
                async for done, fault in pruning.remove(api, unowned, names, defaults):
                    if done:
                        say(done)
                    faults += [fault] if fault else []
            for fault in faults:
                output.complain(fault)
            return Exit.REFUSED if faults else Exit.DONE
    finally:
        await api.close()


def _end(count: int, yes: bool, say: Say) -> None:
    if not count:
        say("everything here is owned by an experiment")
    elif not yes:
        say("nothing was removed; --yes removes it")
