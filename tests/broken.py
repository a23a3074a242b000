"""Experiments that break rules, and what is said of each: the one table for both doors."""

import copy
from collections.abc import Callable
from typing import Any

import worlds


def parameter(**changes: Any) -> dict[str, Any]:
    made = {"name": "learning_rate", "type": "Float", "low": 0.01, "high": 0.8, **changes}
    return worlds.document(parameters=[{k: v for k, v in made.items() if v is not None}])


def data(**changes: Any) -> dict[str, Any]:
    made = {**worlds.DOCUMENT["spec"]["data"], **changes}
    return worlds.document(data={k: v for k, v in made.items() if v is not None})


def top(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    made = copy.deepcopy(worlds.DOCUMENT)
    change(made)
    return made


BROKEN: list[tuple[object, str, str]] = [
    (None, "the document", "must be of type object, but got null"),
    ([], "the document", "must be of type object, but got []"),
    (top(lambda d: d.pop("spec")), "spec", "Required value"),
    (top(lambda d: d.update(kind="Job")), "kind", 'Unsupported value: "Job"'),
    (top(lambda d: d.update(apiVersion="v1")), "apiVersion", 'Unsupported value: "v1"'),
    (
        top(lambda d: d["metadata"].update(name="Über")),
        "metadata.name",
        'at either end, but got "Über"',
    ),
    (
        top(lambda d: d["metadata"].update(name="a" * 41)),
        "metadata.name",
        "must be 1 to 40 lower-case letters",
    ),
    (
        top(lambda d: d["metadata"].update(name="../../etc")),
        "metadata.name",
        "letters, digits and dashes",
    ),
    (top(lambda d: d["metadata"].pop("name")), "metadata.name", "Required value"),
    (worlds.document(objectives=None), "spec.objectives", "Required value"),
    (worlds.document(objectives=[]), "spec.objectives", "at least 1"),
    (worlds.document(objectives=[{"metric": "exact"}]), "spec.objectives[0].direction", "Required"),
    (
        worlds.document(objectives=[{"metric": "exakt", "direction": "Maximize"}]),
        "spec.objectives[0].metric",
        'Unsupported value: "exakt": supported values: "exact", "f1", "HasAns_exact"',
    ),
    (
        worlds.document(objectives=[{"metric": "exact", "direction": "Minimize"}]),
        "spec.objectives[0].direction",
        "must be Maximize for exact, but got Minimize",
    ),
    (
        worlds.document(objectives=[{"metric": "best_exact_thresh", "direction": "Maximize"}]),
        "spec.objectives[0].metric",
        'Unsupported value: "best_exact_thresh"',
    ),
    (
        worlds.document(objectives=[{"metric": "f1", "direction": "Maximize"}] * 2),
        "spec.objectives[1]",
        'Duplicate value: {"metric":"f1"}',
    ),
    (
        worlds.document(objectives=[{"metric": "f1", "direction": "Maximize", "threshold": "50"}]),
        "spec.objectives[0].threshold",
        'must be of type number, but got "50"',
    ),
    (
        worlds.document(
            objectives=[{"metric": "f1", "direction": "Maximize", "threshold": float("nan")}]
        ),
        "spec.objectives[0].threshold",
        "must be of type number, but got NaN",
    ),
    (worlds.document(constraints=[{"metric": "exact"}]), "spec.constraints[0]", "got neither"),
    (
        worlds.document(constraints=[{"metric": "f1", "minimum": 9, "maximum": 3}]),
        "spec.constraints[0]",
        "minimum <= maximum must hold, but got (9, 3)",
    ),
    (
        worlds.document(constraints=[{"metric": "speed", "minimum": 9}]),
        "spec.constraints[0].metric",
        'Unsupported value: "speed"',
    ),
    (worlds.document(parameters=[]), "spec.parameters", "at least 1"),
    (parameter(name="warmth"), "spec.parameters[0].name", 'Unsupported value: "warmth"'),
    (parameter(low=None), "spec.parameters[0].low", "must be given for type Float"),
    (parameter(low=0.9), "spec.parameters[0]", "low <= high must hold, but got (0.9, 0.8)"),
    (parameter(low=-1), "spec.parameters[0].low", "in [0, 1] for learning_rate, but got -1"),
    (parameter(low=0, log=True), "spec.parameters[0].low", "must be above 0 if log is true"),
    (parameter(step=-0.1), "spec.parameters[0].step", "should be greater than 0, but got -0.1"),
    (parameter(step=0.1, log=True), "spec.parameters[0].step", "absent if log is true"),
    (parameter(choices=[1]), "spec.parameters[0].choices", "absent for type Float"),
    (parameter(type="Double"), "spec.parameters[0].type", 'Unsupported value: "Double"'),
    (parameter(low="2e-6"), "spec.parameters[0].low", 'of type number, but got "2e-6"'),
    (parameter(log="yes"), "spec.parameters[0].log", 'of type boolean, but got "yes"'),
    (parameter(scale="ln"), "spec.parameters[0].scale", "unknown field"),
    (parameter(name="n_layers"), "spec.parameters[0].type", "must be Int for n_layers"),
    (
        parameter(name="n_layers", type="Int", low=1, high=3.5),
        "spec.parameters[0].high",
        "must be an integer for type Int, but got 3.5",
    ),
    (
        parameter(name="layer_selection"),
        "spec.parameters[0].type",
        "must be Categorical for layer_selection",
    ),
    (
        worlds.document(parameters=[{"name": "layer_selection", "type": "Categorical"}]),
        "spec.parameters[0].choices",
        "at least one value",
    ),
    (
        worlds.document(
            parameters=[{"name": "layer_selection", "type": "Categorical", "choices": ["Last"]}]
        ),
        "spec.parameters[0].choices[0]",
        "must be one of First, EvenlySpaced, but got 'Last'",
    ),
    (
        worlds.document(
            parameters=[
                {"name": "layer_selection", "type": "Categorical", "choices": ["First"], "low": 1}
            ]
        ),
        "spec.parameters[0].low",
        "must be absent for type Categorical",
    ),
    (
        worlds.document(parameters=worlds.DOCUMENT["spec"]["parameters"][:1] * 2),
        "spec.parameters[1]",
        'Duplicate value: {"name":"learning_rate"}',
    ),
    (worlds.document(training={"n_layers": 3}), "spec.training.n_layers", "must be absent"),
    (
        worlds.document(training={"warmth": 3}),
        "spec.training.warmth",
        "unknown hyperparameter; known",
    ),
    (
        worlds.document(training={"epochs": "many"}),
        "spec.training.epochs",
        "must be of type number",
    ),
    (
        worlds.document(training={"dropout": True}),
        "spec.training.dropout",
        "must be of type number",
    ),
    (
        worlds.document(training={"dropout": {}}),
        "spec.training.dropout",
        "of type number, but got {}",
    ),
    (
        worlds.document(training={"hidden_size": 64}),
        "spec.parameters",
        "hidden_size is consumed only if initialization can be Scratch",
    ),
    (
        worlds.document(training={"initialization": "Pretrained"}),
        "spec.student.model",
        "must be given if initialization can be Pretrained",
    ),
    (
        worlds.document(baselines=[{"name": "a"}, {"name": "a"}]),
        "spec.baselines[1]",
        'Duplicate value: {"name":"a"}',
    ),
    (
        worlds.document(baselines=[{"name": "a", "parameters": {"n_layers": 0}}]),
        "spec.baselines[0].parameters.n_layers",
        "should be greater than or equal to 1, but got 0",
    ),
    (
        worlds.document(baselines=[{"name": "A b"}]),
        "spec.baselines[0].name",
        "should match '^[a-z0-9]",
    ),
    (data(train=None), "spec.data", "must have name, or both train and validation"),
    (data(name="squad_v2"), "spec.data", "but got both"),
    (data(stride=64), "spec.data.stride", "= 45 must hold, but got 64"),
    (data(maxQueryLength=64), "spec.data.maxLength", "must hold, but got (64, 64)"),
    (data(maxLength=True), "spec.data.maxLength", "must be of type integer, but got true"),
    (worlds.document(teacher={}), "spec.teacher.model", "Required value"),
    (
        worlds.document(teacher={"model": "t", "floor": {"exakt": 60}}),
        "spec.teacher.floor.exakt",
        "unknown metric; known are exact, f1",
    ),
    (worlds.document(parallelism=9), "spec.parallelism", "<= maxTrials must hold, but got (9, 8)"),
    (worlds.document(parallelism=0), "spec.parallelism", "greater than or equal to 1"),
    (worlds.document(maxTrials="8"), "spec.maxTrials", 'must be of type integer, but got "8"'),
    (worlds.document(sampler={"type": "Grid"}), "spec.sampler.type", 'values: "TPE", "Random"'),
    (worlds.document(maxTrails=8), "spec.maxTrails", "unknown field"),
    (
        worlds.document(teacher={"model": "<script>" * 200}),
        "spec.teacher.model",
        "may not be more than 1024 bytes",
    ),
]
