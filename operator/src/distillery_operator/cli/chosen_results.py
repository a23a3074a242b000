"""Which experiment's results a command looks at: those of this machine, or else of a cluster."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from distillery_operator.cli import output
from distillery_operator.cli.options import Place
from distillery_operator.errors import NotFound

if TYPE_CHECKING:
    from distillery_operator.results.results import Results

LOOKING: Final = (
    "The experiment is one of the workspace, or else of the cluster that kubectl is set to."
)
ON_A_CLUSTER: Final = "With a kubeconfig, --cluster looks on the cluster"


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which experiment a command looks at; it is given its ``results``."""

    @click.pass_obj
    @functools.wraps(command)
    def called_with_results(place: Place, /, **given: Any) -> Any:
        named = {given.pop("experiment"), given.pop("name", None)} - {None}
        if len(named) > 1:
            raise click.UsageError(f"one experiment must be named, but got {sorted(named)}")
        where = {
            name: given.pop(name) for name in ("cluster", "kubeconfig", "context", "namespace")
        }
        return command(results=_results(place.workspace, next(iter(named), None), **where), **given)

    for add in reversed(OPTIONS):
        called_with_results = add(called_with_results)
    return called_with_results


def _names(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the experiments of the workspace that begin so."""
    from distillery_operator.results import local

    known = local.known(context.find_root().params.get("workspace") or Path())
    return [CompletionItem(name) for name in known if name.startswith(begun)]


experiment_name = click.argument(
    "name",
    required=False,
    metavar="[EXPERIMENT]",
    shell_complete=_names,
    help="name of the experiment; the same as --experiment",
)

OPTIONS: Final[Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]]] = (
    click.option(
        "-e",
        "--experiment",
        shell_complete=_names,
        help="name of the experiment (default: the last one that ran; on a cluster, the only one)",
    ),
    click.option(
        "--cluster", is_flag=True, help="look on the cluster; each of the next options does so too"
    ),
    click.option(
        "-n", "--namespace", help="namespace of the experiment (default: that of the context)"
    ),
    click.option("--context", help="context of the kubeconfig (default: its current one)"),
    click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path),
        help="file that says how to reach the cluster (default: KUBECONFIG, or ~/.kube/config)",
    ),
)


def _results(
    workspace: Path,
    name: str | None,
    *,
    cluster: bool,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
) -> "Results":
    """Return the results of the experiment that is meant: this machine's, or else a cluster's."""
    from distillery_operator.results import local

    known, options = local.known(workspace), (kubeconfig, context, namespace)
    if not cluster and not any(options):
        if known and name in (None, *known):
            return known[name or list(known)[-1]]
        called = f"no experiment {name!r}" if name else "no experiment"
        here = f"there is {called} in {workspace.resolve()}; known are {list(known)}"
        if name is None or not _has_kubeconfig():
            raise NotFound(f"{here}. {ON_A_CLUSTER}")
        output.complain(f"{here}; looking on the cluster")
    from distillery_operator.cluster.kubeconfig import Access
    from distillery_operator.results.cluster import Results

    return Results(Access(*options), name)


def _has_kubeconfig() -> bool:
    paths = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    return any(Path(os.path.expanduser(path)).is_file() for path in paths)
