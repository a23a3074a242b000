"""PURE: runs CEL as the API server does, with Kubernetes' own functions.

:mod:`distillery_operator.resource.crd.checking` asks for it; nobody else knows the library.
"""

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from distillery_operator.resource import sentences

if TYPE_CHECKING:
    import cel

Steps = tuple[str, ...]
EACH: Final = "[]"
"""The step into an item of a list, whichever."""

FUNCTIONS: Final = {
    "format": lambda template, values: template % tuple(map(_written, values)),
    "indexOf": lambda items, item: items.index(item) if item in items else -1,
    "isSorted": lambda items: items == sorted(items),
}
"""What Kubernetes adds to CEL, as far as our rules use it."""

TEXT: Final = re.compile(r"'(?:\\.|[^'\\])*'")
MACRO: Final = re.compile(r"\b(\w+)((?:\.\w+)*)\.(?:all|exists|exists_one|filter|map)\((\w+),")
MENTION: Final = re.compile(r"\b(\w+)((?:\.\w+)*)\b(\()?")


class Scope:
    """The variables of some expressions, ``self`` and maybe ``oldSelf``."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        library = _library()
        self._context = library.Context(dict(variables), FUNCTIONS)

    def value(self, expression: str) -> Any:
        """Evaluate an expression.

        Raises:
            ArithmeticError, LookupError, TypeError, ValueError: CEL's errors, such as a field that
                is not there.
        """
        return _compiled(expression).execute(self._context)


@functools.cache
def parts(expression: str) -> frozenset[Steps]:
    """Return the parts of ``self`` that an expression looks at, each as the steps to it.

    The variable of a macro stands for an item: ``self.parameters.all(p, has(p.when))`` looks at
    the steps parameters, [], when. The expressions are our own: they name no other variables.
    """
    bare = TEXT.sub("''", expression).replace("dyn(self)", "self")
    known: dict[str, Steps] = {"self": (), "oldSelf": ()}
    for name, path, variable in MACRO.findall(bare):
        if name in known:
            known[variable] = (*known[name], *_steps(path), EACH)
    return frozenset(
        (*known[name], *(_steps(path)[:-1] if called else _steps(path)))
        for name, path, called in MENTION.findall(bare)
        if name in known
    )


def _steps(path: str) -> Steps:
    return tuple(path.split(".")[1:])


@functools.cache
def _compiled(expression: str) -> "cel.Program":
    program: cel.Program = _library().compile(expression)
    return program


@functools.cache
def _library() -> Any:
    """Import the library where it is first used: its own command line takes long to import."""
    import cel

    return cel


def _written(value: object) -> str:
    match value:
        case str():
            return value
        case float():
            return sentences.number(value)
        case list():
            return f"[{', '.join(map(_written, value))}]"
    return sentences.shown(value)
