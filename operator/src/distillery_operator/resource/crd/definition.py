"""PURE: the whole CustomResourceDefinition, as the dictionary that is its YAML document.

It is put together from the models in :mod:`distillery_operator.resource.spec` and
:mod:`distillery_operator.resource.status` and from the rules in
:mod:`distillery_operator.resource.crd.cel_rules`. ``make generate`` writes it to
manifests/crd.yaml, which ``kubectl apply -f`` takes.
"""

from collections.abc import Mapping
from typing import Any, Final

from distillery_operator.resource.crd import cel_rules, schema
from distillery_operator.resource.experiment import API_VERSION, GROUP, KIND, PLURAL, VERSION
from distillery_operator.resource.spec import Spec
from distillery_operator.resource.status import Status

SHORT: Final = "dexp"
NAME: Final = f"{PLURAL}.{GROUP}"

Tree = dict[str, Any]


def definition() -> Tree:
    """Return the whole document."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT],
                "categories": ["distillery"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": COLUMNS,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.parallelism",
                            "statusReplicasPath": ".status.active",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {"openAPIV3Schema": _resource()},
                }
            ],
        },
    }


def _resource() -> Tree:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": DESCRIPTION,
        "required": ["spec"],
        "properties": {
            "apiVersion": text | {"description": API_VERSION},
            "kind": text | {"description": KIND},
            "metadata": {"type": "object"},
            "spec": schema.structural(Spec, "spec", MORE),
            "status": schema.structural(Status, "status", MORE),
        },
        "x-kubernetes-validations": cel_rules.RULES[""],
    }


DESCRIPTION: Final = (
    "A search for the best small model: trainings of students suggested by a study, and the Pareto"
    " front of those that are acceptable."
)


def _column(name: str, kind: str, path: str, about: str, wide: bool = False) -> Tree:
    priority = {"priority": 1} if wide else {}
    return {"name": name, "type": kind, "jsonPath": path, "description": about, **priority}


PROGRESS: Final = '.status.conditions[?(@.type=="Progressing")].message'

COLUMNS: Final = [
    _column("State", "string", ".status.state", "What the experiment does."),
    _column("Trials", "string", ".status.progress", "Ended trials of all."),
    _column("Running", "integer", ".status.trials.running", "Trials that train."),
    _column("Waiting", "integer", ".status.trials.pending", "Trials that do not train yet."),
    _column("Failed", "integer", ".status.trials.failed", "Trials that failed."),
    _column("Front", "integer", ".status.frontSize", "Points of the Pareto front."),
    _column("Hypervolume", "number", ".status.hypervolume", "Volume of the front.", wide=True),
    _column("Best", "number", ".status.best[0].value", "Best at the first objective.", wide=True),
    _column("Message", "string", PROGRESS, "What the experiment does, in a sentence.", wide=True),
    _column("Age", "date", ".metadata.creationTimestamp", "Time since it was created."),
]


def _keyed(key: str) -> Tree:
    """Make a list a map, so that the API server refuses two items with the same key."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


NODES: Final[Mapping[str, Tree]] = {
    "spec.objectives": _keyed("metric"),
    "spec.constraints": _keyed("metric"),
    "spec.parameters": _keyed("name"),
    # As a set, choices that are no scalars would be stored, and then no status could be applied.
    "spec.parameters[].choices": {"x-kubernetes-list-type": "atomic"},
    "spec.parameters[].when.values": {"x-kubernetes-list-type": "atomic"},
    "spec.baselines": _keyed("name"),
    "spec.warmStartFrom": _keyed("experiment"),
    # `kubectl scale` reads the stored value, so this is the one default that is stored.
    "spec.parallelism": {"default": Spec.model_fields["parallelism"].default},
    "status.budgets": _keyed("name"),
    "status.conditions": _keyed("type"),
    "status.conditions[].lastTransitionTime": {"format": "date-time"},
    "status.startTime": {"format": "date-time"},
    "status.completionTime": {"format": "date-time"},
}
MORE: Final = {
    path: {
        **NODES.get(path, {}),
        **({"x-kubernetes-validations": cel_rules.RULES[path]} if path in cel_rules.RULES else {}),
    }
    for path in {**NODES, **cel_rules.RULES}
}
"""What the models do not know of a node, by its path."""
