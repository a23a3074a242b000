"""Experiments that break rules, with the field and a part of what is said of it.

Both doors are tested by these tables: the command line, and the API server with kubectl before it.
"""

import copy
from collections.abc import Callable
from typing import Any

from support import worlds


def parameter(**changes: Any) -> dict[str, Any]:
    made = {"name": "learning_rate", "type": "Float", "low": 0.01, "high": 0.8, **changes}
    return worlds.document(parameters=[{k: v for k, v in made.items() if v is not None}])


def data(**changes: Any) -> dict[str, Any]:
    made = {**worlds.DOCUMENT["spec"]["data"], **changes}
    return worlds.document(data={k: v for k, v in made.items() if v is not None})


def categorical(*choices: object, name: str = "layer_selection", **changes: Any) -> dict[str, Any]:
    made = {"name": name, "type": "Categorical", "choices": list(choices), **changes}
    return worlds.document(parameters=[{k: v for k, v in made.items() if v is not None}])


def tied(first: bool = False, **when: object) -> dict[str, Any]:
    """Return an experiment with a parameter that depends on another."""
    dropout = {"name": "dropout", "type": "Float", "low": 0, "high": 0.5, "when": when}
    others = worlds.DOCUMENT["spec"]["parameters"]
    return worlds.document(parameters=[dropout, *others] if first else [*others, dropout])


def warm(*names: str) -> dict[str, Any]:
    return worlds.document(warmStartFrom=[{"experiment": name} for name in names])


def training(**parameters: object) -> dict[str, Any]:
    return worlds.document(training=parameters)


def baseline(**parameters: object) -> dict[str, Any]:
    return worlds.document(baselines=[{"name": "known", "parameters": parameters}])


def suggestion(**parameters: object) -> dict[str, Any]:
    return worlds.document(suggestions=[{"name": "mine", "parameters": parameters}])


def widths(*choices: str, size: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return an experiment that searches initialization, and with `size` hidden_size."""
    first = {"name": "initialization", "type": "Categorical", "choices": list(choices)}
    second = {"name": "hidden_size", "type": "Int", "low": 48, "high": 96, "step": 12}
    both = [first] if size is None else [first, {**second, **size}]
    return worlds.document(parameters=both, **spec)


def top(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    made = copy.deepcopy(worlds.DOCUMENT)
    change(made)
    return made


BROKEN: list[tuple[object, str, str]] = [
    (top(lambda d: d.pop("spec")), "spec", "Required value"),
    (
        top(lambda d: d["metadata"].update(name="Über")),
        "metadata.name",
        'at either end, but got "Über"',
    ),
    (
        top(lambda d: d["metadata"].update(name="a" * 64)),
        "metadata.name",
        "must be 1 to 63 lower-case letters",
    ),
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
    (
        worlds.document(
            objectives=[
                {"metric": name, "direction": "Maximize"} for name in ("best_exact", "f1", "exact")
            ]
        ),
        "spec.objectives",
        "exact and best_exact measure the same, so they trade off nothing",
    ),
    (
        worlds.document(objectives=[{"metric": "parameter_count", "direction": "Maximize"}]),
        "spec.objectives[0].direction",
        "must be Minimize for parameter_count, but got Maximize",
    ),
    (worlds.document(objectives={}), "spec.objectives", "must be of type array, but got {}"),
    (worlds.document(objectives=[None]), "spec.objectives[0]", "must be of type object, but got"),
    (
        worlds.document(earlyStopping={"rungs": [0.5, 0.25]}),
        "spec.earlyStopping.rungs",
        "must ascend, but got [0.5, 0.25]",
    ),
    (
        worlds.document(earlyStopping={"rungs": [0.5, 0.5]}),
        "spec.earlyStopping.rungs",
        "must ascend, but got [0.5, 0.5]",
    ),
    (worlds.document(earlyStopping={"rungs": []}), "spec.earlyStopping.rungs", "at least 1"),
    (
        worlds.document(earlyStopping={"rungs": [0]}),
        "spec.earlyStopping.rungs[0]",
        "should be greater than or equal to 0.01, but got 0",
    ),
    (
        worlds.document(earlyStopping={"rungs": [1.5]}),
        "spec.earlyStopping.rungs[0]",
        "should be less than or equal to 0.99, but got 1.5",
    ),
    (
        worlds.document(earlyStopping={"type": "Median"}),
        "spec.earlyStopping.type",
        'Unsupported value: "Median": supported values: "FrontAware", "ASHA", "None"',
    ),
    (
        worlds.document(earlyStopping={"type": "ASHA", "reductionFactor": 1}),
        "spec.earlyStopping.reductionFactor",
        "should be greater than or equal to 2, but got 1",
    ),
    (
        worlds.document(earlyStopping={"confidence": -1}),
        "spec.earlyStopping.confidence",
        "should be greater than or equal to 0, but got -1",
    ),
    (
        worlds.document(earlyStopping={"pause": True}),
        "spec.earlyStopping.pause",
        "must be absent for type FrontAware, but got true",
    ),
    (
        worlds.document(earlyStopping={"type": "ASHA", "minTrials": 10, "confidence": 1}),
        "spec.earlyStopping.confidence",
        "must be absent for type ASHA, but got 1",
    ),
    (
        worlds.document(earlyStopping={"type": "None", "confidence": 0.25}),
        "spec.earlyStopping.confidence",
        "must be absent for type None, but got 0.25",
    ),
    (
        worlds.document(sampler={"type": "Random", "startupTrials": 6}),
        "spec.sampler.startupTrials",
        "must be absent for type Random, but got 6",
    ),
    (
        worlds.document(sampler={"type": "GP", "startupTrials": 6, "crossover": 0.25}),
        "spec.sampler.crossover",
        "must be absent for type GP, but got 0.25",
    ),
    (worlds.document(constraints=[{"metric": "exact"}]), "spec.constraints[0]", "got neither"),
    (
        worlds.document(constraints=[{"metric": "f1", "minimum": 9, "maximum": 3}]),
        "spec.constraints[0]",
        "minimum <= maximum must hold, but got (9, 3)",
    ),
    (
        worlds.document(constraints=[{"metric": "f1", "minimum": i} for i in (9, 10)]),
        "spec.constraints[1]",
        'Duplicate value: {"metric":"f1"}',
    ),
    (
        worlds.document(constraints=[{"metric": "f1", "minimum": 1234567.5, "maximum": 1e-5}]),
        "spec.constraints[0]",
        "but got (1.2345675e+06, 1e-05)",
    ),
    (
        worlds.document(constraints=[{"metric": "speed", "minimum": 9}]),
        "spec.constraints[0].metric",
        'Unsupported value: "speed"',
    ),
    (worlds.document(parameters=[]), "spec.parameters", "at least 1"),
    (parameter(name="warmth"), "spec.parameters[0].name", 'Unsupported value: "warmth"'),
    (parameter(low=None), "spec.parameters[0].low", "must be given for type Float"),
    (parameter(high=None), "spec.parameters[0].high", "must be given for type Float"),
    (parameter(high=7), "spec.parameters[0].high", "in [0, 1] for learning_rate, but got 7"),
    (parameter(step=0), "spec.parameters[0].step", "should be greater than 0, but got 0"),
    (parameter(low=0.9), "spec.parameters[0]", "low <= high must hold, but got (0.9, 0.8)"),
    (parameter(low=-1), "spec.parameters[0].low", "in [0, 1] for learning_rate, but got -1"),
    (parameter(low=0, log=True), "spec.parameters[0].low", "must be above 0 if log is true"),
    (parameter(step=-0.1), "spec.parameters[0].step", "should be greater than 0, but got -0.1"),
    (
        parameter(step=1e-8),
        "spec.parameters[0].step",
        "high / step <= 10000000 must hold for type Float, but got (0.8, 1e-08)",
    ),
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
        parameter(name="n_layers", type="Int", low=1, high=3, step=0.5),
        "spec.parameters[0].step",
        "must be an integer for type Int, but got 0.5",
    ),
    (
        parameter(name="n_layers", type="Int", low=1, high=1e300),
        "spec.parameters[0].high",
        "must lie in [1, 48] for n_layers, but got 1e+300",
    ),
    (
        parameter(name="layer_selection"),
        "spec.parameters[0].type",
        "must be Categorical for layer_selection",
    ),
    (categorical(choices=None), "spec.parameters[0].choices", "must list at least one value"),
    (categorical(), "spec.parameters[0].choices", "at least one value for type Categorical"),
    (
        categorical("First", low=1),
        "spec.parameters[0].low",
        "absent for type Categorical, but got 1",
    ),
    (
        categorical("First", high=1),
        "spec.parameters[0].high",
        "absent for type Categorical, but got 1",
    ),
    (
        categorical("First", step=1),
        "spec.parameters[0].step",
        "absent for type Categorical, but got 1",
    ),
    (
        categorical("First", log=True),
        "spec.parameters[0].log",
        "absent for type Categorical, but got true",
    ),
    (
        worlds.document(parameters=worlds.DOCUMENT["spec"]["parameters"][:1] * 2),
        "spec.parameters[1]",
        'Duplicate value: {"name":"learning_rate"}',
    ),
    (training(n_layers=3), "spec.training.n_layers", "must be absent, because the search space"),
    (training(warmth=3), "spec.training.warmth", "unknown hyperparameter; known are"),
    (training(epochs="many"), "spec.training.epochs", 'of type number, but got "many"'),
    (training(epochs=0), "spec.training.epochs", "should be greater than or equal to 0.001, but"),
    (training(epochs=1e4), "spec.training.epochs", "should be less than or equal to 1000, but"),
    (training(temperature=0), "spec.training.temperature", "than or equal to 0.1, but got 0"),
    (training(beta_2=1), "spec.training.beta_2", "less than or equal to 0.9999999, but got 1"),
    (training(adam_epsilon=0), "spec.training.adam_epsilon", "to 1e-16, but got 0"),
    (training(dropout=True), "spec.training.dropout", "must be of type number, but got true"),
    (training(dropout={}), "spec.training.dropout", "of type number, but got {}"),
    (training(dropout=1.5), "spec.training.dropout", "less than or equal to 1, but got 1.5"),
    (training(max_grad_norm=2_000_000), "spec.training.max_grad_norm", "equal to 1000000, but"),
    (training(seed=2**31), "spec.training.seed", "less than or equal to 2147483647, but got 214"),
    (training(warm_up_steps=0.5), "spec.training.warm_up_steps", "must be of type integer, but"),
    (training(initialization="Fresh"), "spec.training.initialization", 'value: "Fresh": supported'),
    (training(compile="yes"), "spec.training.compile", 'of type boolean, but got "yes"'),
    (worlds.document(training=[]), "spec.training", "must be of type object, but got []"),
    (training(hidden_size=64), "spec.parameters", "hidden_size is consumed only if init"),
    (
        parameter(name="hidden_size", type="Int", low=64, high=128),
        "spec.parameters",
        "initialization can be Scratch, but it never is",
    ),
    (training(initialization="Pretrained"), "spec.student.model", "if initialization can be Pre"),
    (baseline(initialization="Pretrained"), "spec.student.model", "if initialization can be Pre"),
    (
        worlds.document(baselines=[{"name": "a"}, {"name": "a"}]),
        "spec.baselines[1]",
        'Duplicate value: {"name":"a"}',
    ),
    (
        baseline(n_layers=0),
        "spec.baselines[0].parameters.n_layers",
        "should be greater than or equal to 1, but got 0",
    ),
    (baseline(epochs=0), "spec.baselines[0].parameters.epochs", "than or equal to 0.001, but"),
    (baseline(warmth=1), "spec.baselines[0].parameters.warmth", "unknown hyperparameter; known"),
    (baseline(seed="1"), "spec.baselines[0].parameters.seed", 'of type integer, but got "1"'),
    (
        worlds.document(baselines=[{"name": f"b{i}"} for i in range(9)]),
        "spec.baselines",
        "at most maxTrials must be listed, but got 9 of 8",
    ),
    (
        worlds.document(baselines=[{"name": f"b{i}"} for i in range(33)], maxTrials=50),
        "spec.baselines",
        "must have at most 32 items",
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
    (
        data(name="squad_v2", train=None, validation=None, test="test.json"),
        "spec.data.test",
        "must be absent if name is given",
    ),
    (
        data(test="test.json", testShare=0.5),
        "spec.data.testShare",
        "must be absent if test is given",
    ),
    (data(interimShare=1), "spec.data.interimShare", "should be less than or equal to 0.9"),
    (data(testShare=1), "spec.data.testShare", "should be less than or equal to 0.9"),
    (data(faults="Skip"), "spec.data.faults", 'supported values: "Refuse", "Drop"'),
    (data(maxDroppedPercent=3), "spec.data.maxDroppedPercent", "absent unless faults is Drop"),
    (
        data(faults="Drop", maxDroppedPercent=101),
        "spec.data.maxDroppedPercent",
        "should be less than or equal to 100",
    ),
    (data(maxUnknownPercent=-1), "spec.data.maxUnknownPercent", "greater than or equal to 0"),
    (data(maxLength=True), "spec.data.maxLength", "must be of type integer, but got true"),
    (data(stride=None, maxLength=100), "spec.data.stride", "= 81 must hold, but got 128"),
    (data(train=""), "spec.data.train", "should be at least 1 chars long"),
    (data(nullThreshold="0"), "spec.data.nullThreshold", 'of type number, but got "0"'),
    (worlds.document(data="squad_v2"), "spec.data", 'of type object, but got "squad_v2"'),
    (worlds.document(teacher=None), "spec.teacher", "Required value"),
    (worlds.document(teacher={}), "spec.teacher.model", "Required value"),
    (worlds.document(teacher={"model": None}), "spec.teacher.model", "Required value"),
    (worlds.document(teacher={"model": 5}), "spec.teacher.model", "of type string, but got 5"),
    (
        worlds.document(teacher={"model": "t", "floor": {"exakt": 60}}),
        "spec.teacher.floor.exakt",
        "unknown metric; known are exact, f1",
    ),
    (worlds.document(parallelism=9), "spec.parallelism", "<= maxTrials must hold, but got (9, 8)"),
    (worlds.document(parallelism=0), "spec.parallelism", "greater than or equal to 1"),
    (
        worlds.document(parallelism=51, maxTrials=None),
        "spec.parallelism",
        "parallelism <= maxTrials must hold, but got (51, 50)",
    ),
    (worlds.document(maxTrials=8.5), "spec.maxTrials", "must be of type integer, but got 8.5"),
    (worlds.document(maxTrials=100_001), "spec.maxTrials", "less than or equal to 100000, but"),
    (worlds.document(maxDurationSeconds=0), "spec.maxDurationSeconds", "than or equal to 1, but"),
    (worlds.document(maxGpuHours=0), "spec.maxGpuHours", "should be greater than 0, but got 0"),
    (worlds.document(maxGpuHours="2 h"), "spec.maxGpuHours", 'of type number, but got "2 h"'),
    (worlds.document(maxCost=9), "spec.costPerGpuHour", "must be given if maxCost is"),
    (worlds.document(costPerGpuHour=-1), "spec.costPerGpuHour", "greater than 0, but got -1"),
    (worlds.document(stagnation={"trials": 0}), "spec.stagnation.trials", "or equal to 1, but"),
    (
        worlds.document(stagnation={"gainPercent": 0}),
        "spec.stagnation.gainPercent",
        "should be greater than 0, but got 0",
    ),
    (warm("tiny"), "spec.warmStartFrom", "must not name the experiment itself"),
    (warm("other", "other"), "spec.warmStartFrom[1]", 'Duplicate value: {"experiment":"other"}'),
    (warm("Other"), "spec.warmStartFrom[0].experiment", "should match '^[a-z0-9]"),
    (warm("a" * 64), "spec.warmStartFrom[0].experiment", "may not be more than 63 bytes"),
    (
        worlds.document(warmStartFrom=[{"experiment": "other"}], sampler={"type": "Random"}),
        "spec.warmStartFrom",
        "must be absent for sampler Random, which looks at no result",
    ),
    (worlds.document(suspend=1), "spec.suspend", "must be of type boolean, but got 1"),
    (worlds.document(template="pod"), "spec.template", 'of type object, but got "pod"'),
    (worlds.document(sampler="TPE"), "spec.sampler", 'must be of type object, but got "TPE"'),
    (worlds.document(checkpointRetention="Best"), "spec.checkpointRetention", '"Front", "All"'),
    (worlds.document(maxTrials="8"), "spec.maxTrials", 'must be of type integer, but got "8"'),
    (worlds.document(sampler={"type": "CMAES"}), "spec.sampler.type", 'values: "TPE", "EHVI"'),
    (
        worlds.document(sampler={"type": "Grid"}),
        "spec.sampler.type",
        "must not be Grid where a Float has no step, as learning_rate has none",
    ),
    (
        worlds.document(sampler={"type": "GP"}, maxTrials=501),
        "spec.sampler.type",
        "must not be GP with maxTrials above 500, but got 501",
    ),
    (
        tied(parameter="n_heads", values=[3]),
        "spec.parameters",
        "dropout must depend on a parameter that is listed before it, but got n_heads",
    ),
    (
        tied(parameter="dropout", minimum=0.1),
        "spec.parameters",
        "dropout must depend on a parameter that is listed before it, but got dropout",
    ),
    (
        tied(first=True, parameter="n_layers", minimum=3),
        "spec.parameters",
        "dropout must depend on a parameter that is listed before it, but got n_layers",
    ),
    (
        tied(parameter="n_layers"),
        "spec.parameters[3].when",
        "must have either values or a bound, minimum or maximum",
    ),
    (
        tied(parameter="n_layers", values=[3], minimum=3),
        "spec.parameters[3].when",
        "must have either values or a bound, minimum or maximum",
    ),
    (
        tied(parameter="n_layers", minimum=3, maximum=2),
        "spec.parameters[3].when",
        "minimum <= maximum must hold, but got (3, 2)",
    ),
    (tied(parameter="warmth", values=[1]), "spec.parameters[3].when.parameter", "Unsupported"),
    (tied(parameter="n_layers", values=[]), "spec.parameters[3].when.values", "at least 1"),
    (tied(values=[1]), "spec.parameters[3].when.parameter", "Required value"),
    (worlds.document(maxTrails=8), "spec.maxTrails", "unknown field"),
    (
        worlds.document(teacher={"model": "<script>" * 200}),
        "spec.teacher.model",
        "may not be more than 1024 bytes",
    ),
    (
        worlds.document(teacher={"model": "x" * 1_000_000}),
        "spec.teacher.model",
        "may not be more than 1024 bytes",
    ),
]
"""Refused by both with the same sentence."""

LATER: list[tuple[object, str, str]] = [
    (
        categorical("First", "First"),
        "spec.parameters[0].choices[1]",
        'Duplicate value: "First"',
    ),
    (
        categorical("Last"),
        "spec.parameters[0].choices[0]",
        "must be one of First, EvenlySpaced, but got 'Last'",
    ),
    (
        categorical(8, 9000, name="per_device_train_batch_size"),
        "spec.parameters[0].choices[1]",
        "must lie in [1, 4096], but got 9000",
    ),
    (
        categorical({}),
        "spec.parameters[0].choices[0]",
        "must be a number, true, false or a text of at most 256 characters, but got {}",
    ),
    (
        worlds.document(
            parameters=categorical("First")["spec"]["parameters"],
            baselines=baseline(layer_selection="EvenlySpaced")["spec"]["baselines"],
        ),
        "spec.baselines[0].parameters.layer_selection",
        'one of the search space\'s choices "First", but got "EvenlySpaced"',
    ),
    (
        suggestion(n_layers=7),
        "spec.suggestions[0].parameters.n_layers",
        "must be a value of the search space, from 1 to 6, but got 7",
    ),
    (
        suggestion(layer_selection="First", dropout=0.1),
        "spec.suggestions[0].parameters.dropout",
        "is not in the search space, which has learning_rate, n_layers, layer_selection",
    ),
    (
        worlds.document(
            parameters=[
                {
                    "name": "initialization",
                    "type": "Categorical",
                    "choices": ["Teacher", "Scratch"],
                },
                {
                    **{"name": "hidden_size", "type": "Int", "low": 48, "high": 96, "step": 12},
                    "when": worlds.SCRATCH,
                },
            ],
            suggestions=suggestion(initialization="Teacher", hidden_size=48)["spec"]["suggestions"],
        ),
        "spec.suggestions[0].parameters.hidden_size",
        "is searched only with certain values of initialization, so one of them must be given",
    ),
    (
        tied(parameter="layer_selection", values=["First", "Last"]),
        "spec.parameters[3].when.values[1]",
        'must be a value of layer_selection, but got "Last"',
    ),
    (
        tied(parameter="n_layers", values=[3, 2.5]),
        "spec.parameters[3].when.values[1]",
        "must be a value of n_layers, but got 2.5",
    ),
    (
        tied(parameter="n_layers", minimum=7),
        "spec.parameters[3].when",
        "must hold for a value of n_layers, but got minimum 7",
    ),
    (
        tied(parameter="n_layers", minimum=2.1, maximum=2.9),
        "spec.parameters[3].when",
        "must hold for a value of n_layers, but got minimum 2.1 and maximum 2.9",
    ),
    (
        tied(parameter="learning_rate", minimum=0.3, maximum=0.3),
        "spec.parameters[3].when",
        "must hold for a value of learning_rate, but got minimum 0.3 and maximum 0.3",
    ),
    (
        tied(parameter="learning_rate", values=[0.3, 0.5]),
        "spec.parameters[3].when.values",
        "must be a minimum and a maximum where learning_rate is a Float without step",
    ),
    (
        tied(parameter="layer_selection", maximum=7),
        "spec.parameters[3].when.maximum",
        "must be absent where layer_selection is Categorical",
    ),
    (
        worlds.document(
            sampler={"type": "Grid"},
            parameters=[
                {"name": name, "type": "Float", "low": 0, "high": 1, "step": 0.001}
                for name in ("dropout", "qa_dropout")
            ],
        ),
        "spec.sampler.type",
        "must not be Grid with more than 100000 combinations, but got 1.002001e+06",
    ),
    (
        categorical("Teacher", "Pretrained", name="initialization"),
        "spec.student.model",
        "must be given if initialization can be Pretrained",
    ),
    (
        worlds.document(
            parameters=categorical("Teacher", name="initialization")["spec"]["parameters"],
            training={"hidden_size": 64},
        ),
        "spec.parameters",
        "hidden_size is consumed only if initialization can be Scratch, but it never is",
    ),
    (
        widths("Teacher", "Scratch", size={}),
        "spec.parameters[1].when",
        "must be {parameter: initialization, values: [Scratch]}, because hidden_size is consumed"
        " only there, but initialization can be Teacher",
    ),
    (
        widths(
            "Teacher",
            "Scratch",
            size={"when": {"parameter": "initialization", "values": ["Scratch", "Teacher"]}},
        ),
        "spec.parameters[1].when",
        "but initialization can be Teacher",
    ),
    (
        baseline(hidden_size=48),
        "spec.baselines[0].parameters.hidden_size",
        "is consumed only if initialization is Scratch, but it is Teacher",
    ),
    (
        worlds.document(
            training={"initialization": "Scratch"},
            baselines=baseline(initialization="Teacher", hidden_size=48)["spec"]["baselines"],
        ),
        "spec.baselines[0].parameters.hidden_size",
        "is consumed only if initialization is Scratch, but it is Teacher",
    ),
]
"""Taken by the API server and refused by the operator: what hangs on the values in choices, which
have no type in the schema, so that CEL does not see them, and what CEL cannot reckon."""

ELSEWHERE: list[tuple[object, str, str]] = [
    (None, "the document", "must be of type object, but got null"),
    ([], "the document", "must be of type object, but got []"),
    (top(lambda d: d.update(kind="Job")), "kind", 'Unsupported value: "Job"'),
    (top(lambda d: d.update(apiVersion="v1")), "apiVersion", 'Unsupported value: "v1"'),
    (top(lambda d: d["metadata"].pop("name")), "metadata.name", "Required value"),
    (
        top(lambda d: d["metadata"].update(name="../../etc")),
        "metadata.name",
        "letters, digits and dashes",
    ),
]
"""Refused by kubectl in words of its own: what shows it that this is no experiment with a name."""
