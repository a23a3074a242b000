"""``distillery suggest``: a point of a person's own, for a search that runs or will go on."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from distillery_operator.cli import chosen_results
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import DistilleryError, Fault, InvalidExperiment

if TYPE_CHECKING:
    from distillery_contract.parameters import Value
    from distillery_operator.results.results import Results


def _complete(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the hyperparameters that begin so; after ``NAME=`` the choices of that one."""
    return [CompletionItem(text) for text in _values(context, begun) if text.startswith(begun)]


def _values(context: click.Context, begun: str) -> Iterator[str]:
    for name, choices in _searched(context).items():
        if not begun.startswith(f"{name}="):
            yield f"{name}="
        else:
            yield from (f"{name}={_typed(choice)}" for choice in choices)


def _searched(context: click.Context) -> "Mapping[str, Sequence[Value]]":
    """Return the choices of the hyperparameters that are searched: of all, if that is not known."""
    from distillery_contract.parameters import PARAMETERS
    from distillery_operator.cli.options import Place
    from distillery_operator.results import local

    given, place = context.params, context.find_object(Place)
    known = local.known(place.workspace if place else context.find_root().params["workspace"])
    name = given.get("name") or given.get("experiment") or next(reversed(known), None)
    if name in known:
        with contextlib.suppress(DistilleryError):
            return {p.name: p.choices or () for p in known[name].experiment().spec.parameters}
    return {name: parameter.choices for name, parameter in PARAMETERS.items()}


@click.command("suggest", epilog=chosen_results.LOOKING)
@chosen_results.experiment_name
@click.option(
    "--set",
    "values",
    required=True,
    multiple=True,
    metavar="NAME=VALUE",
    shell_complete=_complete,
    help="value of a hyperparameter that is searched; may be repeated; the sampler chooses the"
    " others",
)
@click.option(
    "--as",
    "called",
    metavar="NAME",
    help="name of the suggestion in the status and in the report (default: one made of its values)",
)
@chosen_results.options
def command(results: "Results", values: Sequence[str], called: str | None) -> Exit:
    """Suggest a point of your own. It runs next, also while the search runs."""
    from distillery_operator.cli import terminal
    from distillery_operator.results import suggesting

    parameters = _parsed(values)
    name = suggesting.name_of(parameters) if called is None else called
    terminal.say(terminal.console(), results.suggest(name, parameters))
    return Exit.DONE


def _parsed(values: Sequence[str]) -> "dict[str, Value]":
    """Return hyperparameters as they were typed.

    Raises:
        InvalidExperiment: with every fault of the way in which they were typed.
    """
    from distillery_operator.results import suggesting

    faults: list[Fault] = []
    found: dict[str, Value] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not (name and equals):
            faults.append(Fault("--set", f"must be NAME=VALUE, but got {text!r}"))
        elif name in found:
            faults.append(Fault("--set", f"must give each value once, but {name} is given twice"))
        else:
            found[name] = _value(value)
    if faults:
        raise InvalidExperiment(faults, suggesting.ORIGIN)
    return found


def _value(text: str) -> "Value":
    """Return a value as YAML reads it: a number, true, false, or else a text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            number = kind(text)
            if math.isfinite(number):
                return number
    return text


def _typed(value: "Value") -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
