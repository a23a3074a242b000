"""Write docs/reference.md from the code, so that it cannot drift. `make generate` runs it."""

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from distillery_contract import metrics, parameters
from distillery_contract.parameters import Kind
from distillery_operator.cli.exit_codes import MEANINGS
from distillery_operator.cli.main import distillery
from distillery_operator.resource.spec import Spec

HEAD = """# Reference

`make generate` writes this page from the code. It lists the fields of a DistillationExperiment, the
hyperparameters (for `parameters`, `training` and `baselines`), and the metrics (for `objectives`,
`constraints` and `teacher.floor`): [experiment.md](experiment.md) explains how to use them. At the
end are the commands of `distillery`, with their options and exit codes.
"""


EDITS = """
Data, teacher, student, training, search space and objectives are immutable: they give the results
their meaning, and one Pareto front must not mix results that cannot be compared. The API server
refuses such an edit, and so does the stored study. An experiment of another name searches with
other settings, and `warmStartFrom` lets it learn from this one.

What may be edited while a search runs, or after it has ended:
"""
IMMUTABLE = ("objectives", "parameters", "training", "data", "teacher", "student")
NOTES = {
    "baselines": "baselines that have not run; a baseline that has run may go, but not change",
    "suggestions": "suggestions that have not run; one that has run may go, but not change",
}


def main() -> None:
    """Write the file beside this script."""
    lines = [HEAD, *edits(), *spec(), *hyperparameters(), *evaluations(), *command()]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def edits() -> Iterator[str]:
    """Yield the list of what may be edited."""
    yield f"## What may be edited\n{EDITS}"
    yield "- the thresholds of `objectives`"
    for name, field in Spec.model_fields.items():
        if name not in IMMUTABLE:
            alias = field.alias or name
            yield f"- `{alias}`" + (f": {NOTES[name]}" if name in NOTES else "")
    yield ""


def spec() -> Iterator[str]:
    """Yield a table per model below the spec."""
    yield "## `spec`\n"
    pending: list[tuple[str, type[BaseModel]]] = [("spec", Spec)]
    while pending:
        path, model = pending.pop(0)
        if path != "spec":
            yield f"\n### `{path}`\n"
        yield "| field | default | meaning |"
        yield "| --- | --- | --- |"
        for name, field in model.model_fields.items():
            alias = field.alias or name
            yield f"| `{alias}` | {default(field)} | {field.description} |"
            if inner := nested(field.annotation):
                many = "[]" if get_origin(field.annotation) is list else ""
                pending.append((f"{path}.{alias}{many}", inner))


def nested(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, or holds many of."""
    if get_origin(annotation) in (list, Annotated, UnionType):
        return next((found for part in get_args(annotation) if (found := nested(part))), None)
    return (
        annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    )


def default(field: FieldInfo) -> str:
    """Say what a field is if it is not given."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    return (
        "none"
        if value in (None, {}, [])
        else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


def hyperparameters() -> Iterator[str]:
    """Yield the table of hyperparameters."""
    yield "\n## Hyperparameters\n"
    yield "| name | type | values | default | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for name, parameter in parameters.PARAMETERS.items():
        values = f"{parameter.low:g} to {parameter.high:g}"
        if parameter.kind is Kind.CATEGORICAL:
            values = ", ".join(str(choice) for choice in parameter.choices)
        shown = "as in the source model" if parameter.default is None else f"`{parameter.default}`"
        yield f"| `{name}` | {parameter.kind} | {values} | {shown} | {parameter.help} |"


def evaluations() -> Iterator[str]:
    """Yield the table of metrics."""
    yield "\n## Metrics\n"
    yield "| name | unit | as an objective | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, metric in metrics.EVALUATIONS.items():
        yield f"| `{name}` | {metric.unit} | {metric.direction or 'no'} | {metric.help} |"


def command() -> Iterator[str]:
    """Yield the commands with their arguments and options, and the exit codes."""
    yield "\n## The command `distillery`\n"
    yield "Options that stand before the command:\n"
    yield from options(distillery)
    for name, found in distillery.commands.items():
        yield f"\n### `distillery {name}`\n"
        yield f"{' '.join((found.help or '').split())}\n"
        yield from options(found)
    yield "\n### Exit codes\n"
    yield "| code | meaning |"
    yield "| --- | --- |"
    for code, meaning in MEANINGS.items():
        yield f"| {code} | {meaning} |"


def options(found: click.Command) -> Iterator[str]:
    """Yield the table of a command's arguments and options."""
    yield "| option | meaning |"
    yield "| --- | --- |"
    context = click.Context(found)
    for parameter in found.params:
        if record := parameter.get_help_record(context):
            name, meaning = record
            yield f"| `{name}` | {meaning} |"


if __name__ == "__main__":
    main()
