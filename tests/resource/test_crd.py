"""The CustomResourceDefinition on a real API server: it takes and refuses what the files do."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes import client, config
from ruamel.yaml import YAML

from distillery_contract import metrics, parameters
from distillery_operator.errors import Fault, InvalidExperiment
from distillery_operator.resource import parsing, yaml_files
from distillery_operator.resource.crd import definition
from distillery_operator.resource.experiment import GROUP, PLURAL, VERSION, Experiment
from distillery_operator.resource.status import Status
from support import broken, definitions, worlds
from support.cluster import Refused
from support.cluster.access import Cluster
from support.spaces import MANIFESTS, Space

CRD = MANIFESTS / "crd.yaml"
SAMPLES = sorted((MANIFESTS / "samples").glob("*.yaml"))
Node = dict[str, Any]
Document = dict[str, Any]


@pytest.fixture(scope="module")
def space(control_plane: Cluster) -> Iterator[Space]:
    control_plane.kubectl("apply", "--filename", str(CRD))
    definitions.wait(control_plane, CRD.read_text())
    made = Space(control_plane)
    yield made
    control_plane.kubectl("delete", "namespace", made.name, "--wait=false")


def try_on(space: Space, document: object) -> str:
    """Apply a document without keeping it; return what was said."""
    try:
        return space.kubectl(
            "apply",
            "--validate=strict",
            "--dry-run=server",
            "--filename=-",
            stdin=json.dumps(document),
        )
    except Refused as error:
        return str(error)


def named(name: str, document: Document) -> Document:
    made = copy.deepcopy(document)
    made["metadata"]["name"] = name
    return made


def faults(document: object) -> list[Fault]:
    try:
        parsing.parse(document)
    except InvalidExperiment as error:
        return error.faults
    return []


def rule(fault: Fault) -> str:
    """A fault's sentence without what the API server says in another place, or not at all."""
    said = fault.message.split(", but got ")[0]
    if "…" in said:
        said = said[said.index("supported values") :]
    return said if fault.field != "metadata.name" else f"metadata.name {said}"


def schema() -> Node:
    found: Node = definition.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def fields(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Walk over the fields below a node."""
    for name, part in node.get("properties", {}).items():
        yield f"{path}.{name}", part
        yield from fields(part, f"{path}.{name}")
    for key, step in (("items", "[]"), ("additionalProperties", ".*")):
        if key in node:
            yield from fields(node[key], path + step)


def test_the_manifest_is_what_the_code_makes() -> None:
    assert (
        YAML(typ="safe", pure=True).load(CRD.read_text(encoding="utf-8")) == definition.definition()
    )


def test_every_field_is_described_and_every_number_that_counts_is_bounded() -> None:
    parts = schema()["properties"]
    found = [f for part in ("spec", "status") for f in fields(parts[part], part)]
    assert len(found) > 150
    assert [path for path, node in found if not node.get("description")] == []
    counts = [(p, n) for p, n in found if n.get("type") == "integer" and p.startswith("spec.")]
    assert [p for p, n in counts if not {"minimum", "maximum"} <= n.keys()] == []


def test_hyperparameters_and_metrics_are_fields_of_their_own() -> None:
    spec = schema()["properties"]["spec"]["properties"]
    known = spec["baselines"]["items"]["properties"]["parameters"]
    for node in (spec["training"], known):
        assert list(node["properties"]) == list(parameters.PARAMETERS)
    assert list(spec["teacher"]["properties"]["floor"]["properties"]) == list(metrics.EVALUATIONS)


def test_the_definition_is_small_and_stored_as_it_was_written(space: Space) -> None:
    assert CRD.stat().st_size < 200_000  # apply keeps a copy in an annotation of 262,144 bytes
    stored = json.loads(space.kubectl("get", "crd", definition.NAME, "--output=json"))
    assert stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == schema()
    assert json.loads(
        stored["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    )


@pytest.mark.parametrize(("document", "field", "_"), broken.BROKEN)
def test_file_and_cluster_refuse_with_the_same_sentence(
    space: Space, document: object, field: str, _: str
) -> None:
    said = try_on(space, document)
    (fault,) = [found for found in faults(document) if found.field == field]
    assert rule(fault) in said, said
    if fault.message.startswith(("unknown hyperparameter", "unknown metric")):
        field = field.rpartition(".")[0]  # CEL does not know its name
    assert field in said, said


def test_at_least_forty_broken_documents_are_tried() -> None:
    assert len({json.dumps(document) for document, _, _ in broken.BROKEN}) >= 40


@pytest.mark.parametrize(("document", "field", "sentence"), broken.LATER)
def test_what_hangs_on_choices_is_left_to_the_operator(
    space: Space, document: object, field: str, sentence: str
) -> None:
    assert "created (server dry run)" in try_on(space, document)
    assert [f for f in faults(document) if f.field == field and sentence in f.message]


@pytest.mark.parametrize(("document", "field", "_"), broken.ELSEWHERE)
def test_what_is_no_experiment_is_refused_by_kubectl(
    space: Space, document: object, field: str, _: str
) -> None:
    assert "must succeed, but: error" in try_on(space, document)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples_are_taken(space: Space, path: Path) -> None:
    said = space.kubectl("apply", "--validate=strict", "--dry-run=server", "--filename", str(path))
    assert "created (server dry run)" in said


TAKEN: list[Document] = [
    worlds.document(),
    worlds.document(maxTrials=None, parallelism=None, training=None),
    worlds.document(maxTrials=8.0, parallelism=2.0),
    worlds.document(student={"model": None}, sampler={"seed": None}),
    worlds.document(data={"name": "squad_v2", "train": None}),
    worlds.document(student={"model": "m"}, training={"initialization": "Pretrained"}),
    worlds.document(training={"initialization": "Scratch", "hidden_size": 64}),
    worlds.document(training={"epochs": 0.001, "beta_2": 0.9999999, "n_heads": 4.0}),
    worlds.document(
        constraints=[{"metric": "f1", "maximum": 3}, {"metric": "exact", "minimum": 3}]
    ),
    worlds.document(template={"spec": {"containers": [{"name": "trainer", "image": None}]}}),
    worlds.document(stagnation={"trials": None, "gainPercent": 100}),
    broken.tied(parameter="n_layers", minimum=3),
    broken.tied(parameter="n_layers", minimum=0, maximum=50),
    broken.tied(parameter="layer_selection", values=["First"]),
    worlds.document(
        parameters=broken.tied(parameter="n_layers", values=[1, 2])["spec"]["parameters"],
        training={"dropout": 0.2},
    ),
    worlds.document(sampler={"type": "GP"}, maxTrials=500),
    worlds.document(warmStartFrom=[{"experiment": "other", "otherData": True}]),
    worlds.document(sampler={"type": "Grid"}, parameters=worlds.DOCUMENT["spec"]["parameters"][1:]),
    broken.parameter(type="Int", low=0, high=1),
    broken.parameter(low=1e-9, step=None, log=True),
    broken.parameter(low=0.1, high=0.1, step=0.05),
    broken.categorical(False, True, name="compile"),
    broken.categorical(1e-5, 1, name="learning_rate"),
    broken.categorical("Scratch", "Teacher", name="initialization"),
    broken.baseline(layer_selection="First", learning_rate=1),
]


@pytest.mark.parametrize("document", TAKEN)
def test_file_and_cluster_read_the_same(space: Space, document: Document) -> None:
    taken = json.dumps(named("taken", document))
    space.kubectl("create", "--validate=strict", "--filename=-", stdin=taken)
    stored = space.get("taken")
    space.kubectl("delete", "dexp", "taken")
    assert parsing.parse(stored).spec == parsing.parse(document).spec


def test_nothing_but_parallelism_is_added_to_what_was_written(space: Space) -> None:
    document = named("plain", worlds.document(parallelism=None))
    space.kubectl("create", "--filename=-", stdin=json.dumps(document))
    assert space.get("plain")["spec"] == {**document["spec"], "parallelism": 1}


def largest() -> Document:
    """An experiment as large as the schema lets it be, texts aside."""
    space: list[Node] = []
    known: Node = {}
    for name, p in parameters.PARAMETERS.items():
        if name == "seed":
            space.append({"name": name, "type": "Categorical", "choices": list(range(100))})
        elif p.kind == "Categorical":
            space.append({"name": name, "type": "Categorical", "choices": list(p.choices)})
        else:
            space.append({"name": name, "type": p.kind, "low": p.low, "high": p.high})
        known[name] = p.choices[0] if p.choices else p.high if name != "seed" else 1
        if name == "hidden_size":
            space[-1]["when"] = {"parameter": "initialization", "values": ["Scratch"]}
    known["initialization"] = "Scratch"
    objectives = [(n, m) for n, m in metrics.EVALUATIONS.items() if m.direction]
    twins = ("best_exact", "best_f1")
    return worlds.document(
        objectives=[
            {"metric": n, "direction": m.direction} for n, m in objectives if n not in twins
        ],
        constraints=[{"metric": n, "minimum": 0, "maximum": 9e9} for n in metrics.EVALUATIONS],
        parameters=space,
        training=None,
        baselines=[{"name": f"b{i}", "parameters": known} for i in range(32)],
        student={"model": "m"},
        teacher={"model": "t", "floor": dict.fromkeys(metrics.EVALUATIONS, 0)},
        maxTrials=100,
    )


def test_the_largest_experiment_costs_the_server_not_too_much(space: Space) -> None:
    document = named("largest", largest())
    parsing.parse(document)
    for expected in ("created", "configured"):
        said = space.kubectl("apply", "--filename=-", stdin=json.dumps(document))
        assert said.endswith(f"{expected}\n")
        document["spec"]["suspend"] = True


def changed(part: str, index: int, **changes: Any) -> Document:
    """A document with one item of a list changed; None removes a field."""
    items = copy.deepcopy(worlds.DOCUMENT["spec"][part])
    items[index] = {k: v for k, v in {**items[index], **changes}.items() if v is not None}
    return worlds.document(**{part: items})


def reordered(part: str) -> Document:
    return worlds.document(**{part: worlds.DOCUMENT["spec"][part][::-1]})


def shortened(part: str) -> Document:
    return worlds.document(**{part: worlds.DOCUMENT["spec"][part][:-1]})


def lengthened(part: str, **item: Any) -> Document:
    return worlds.document(**{part: [*worlds.DOCUMENT["spec"][part], item]})


EDITS: list[Document] = [
    changed("objectives", 0, threshold=60),
    changed("objectives", 0, threshold=None),
    changed("objectives", 1, threshold=1e6),
    worlds.document(maxTrials=20, parallelism=4),
    worlds.document(maxTrials=2),
    worlds.document(suspend=True),
    worlds.document(sampler={"type": "NSGAII", "seed": 1}),
    broken.warm("other", "another"),
    worlds.document(maxDurationSeconds=60, trialTimeoutSeconds=10, maxFailedTrials=0),
    worlds.document(constraints=[{"metric": "f1", "minimum": 10}]),
    worlds.document(baselines=[{"name": "later"}]),
    worlds.document(maxGpuHours=0.5, maxCost=9, costPerGpuHour=2.5, stagnation={}),
    worlds.document(template={"spec": {"nodeSelector": {"gpu": "large"}}}),
]
OTHER_SPACES: list[Document] = [
    changed("parameters", 0, low=0.02),
    changed("parameters", 0, high=0.9),
    changed("parameters", 0, log=None),
    changed("parameters", 0, log=False),
    changed("parameters", 0, log=None, step=0.01),
    changed("parameters", 1, step=2),
    changed("parameters", 1, name="n_heads"),
    changed("parameters", 1, type="Categorical", low=None, high=None, choices=[1, 2]),
    changed("parameters", 2, choices=["First"]),
    changed("parameters", 2, when={"parameter": "n_layers", "minimum": 2}),
    changed("parameters", 2, choices=["EvenlySpaced", "First", "Last"]),
    reordered("parameters"),
    shortened("parameters"),
    lengthened("parameters", name="dropout", type="Float", low=0, high=0.5),
]
OTHER_OBJECTIVES: list[Document] = [
    changed("objectives", 0, metric="f1"),
    reordered("objectives"),
    shortened("objectives"),
    lengthened("objectives", metric="f1", direction="Maximize"),
]
OTHER_MEANINGS: dict[str, Document] = {
    "data": worlds.document(data={**worlds.DOCUMENT["spec"]["data"], "nullThreshold": -1000}),
    "teacher": worlds.document(teacher={"model": "nowhere"}),
    "student": worlds.document(student={"model": "another"}),
}


@pytest.fixture(scope="module")
def running(space: Space) -> Space:
    """A space with an experiment called tiny, that edits are tried on."""
    space.apply()
    return space


@pytest.mark.parametrize("document", EDITS)
def test_an_experiment_can_be_edited(running: Space, document: Document) -> None:
    assert "configured (server dry run)" in try_on(running, document)
    assert parsing.changed(running.get(), document) == []


def test_a_number_in_another_form_is_no_edit(running: Space) -> None:
    same = changed("parameters", 1, low=1.0)
    assert "unchanged (server dry run)" in try_on(running, same)
    assert parsing.changed(running.get(), same) == []


@pytest.mark.parametrize("document", OTHER_SPACES)
def test_the_search_space_cannot_be_edited(running: Space, document: Document) -> None:
    said = try_on(running, document)
    assert "the search space is immutable, so give the experiment another name" in said
    (fault,) = parsing.changed(running.get(), document)
    assert fault.field in said
    assert fault.message in said


@pytest.mark.parametrize("part", OTHER_MEANINGS)
def test_what_gives_results_their_meaning_cannot_be_edited(running: Space, part: str) -> None:
    said = try_on(running, OTHER_MEANINGS[part])
    assert f"{part} is immutable, for results must stay comparable: give the experiment" in said
    (fault,) = parsing.changed(running.get(), OTHER_MEANINGS[part])
    assert fault.field == f"spec.{part}"
    assert fault.message in said


@pytest.mark.parametrize("document", OTHER_OBJECTIVES)
def test_objectives_cannot_be_edited(running: Space, document: Document) -> None:
    said = try_on(running, document)
    assert "immutable but for their thresholds, so give the experiment another name" in said
    (fault,) = parsing.changed(running.get(), document)
    assert fault.field in said
    assert fault.message in said


def test_an_edit_breaks_no_rule_either(running: Space) -> None:
    assert "must hold, but got (9, 8)" in try_on(running, worlds.document(parallelism=9))


def test_scaling_changes_the_parallelism(space: Space) -> None:
    space.apply("scaled", parallelism=None)
    space.kubectl("scale", "dexp/scaled", "--replicas=8")
    assert space.get("scaled")["spec"]["parallelism"] == 8
    with pytest.raises(Refused, match=r"parallelism <= maxTrials must hold, but got \(9, 8\)"):
        space.kubectl("scale", "dexp/scaled", "--replicas=9")
    with pytest.raises(Refused, match="should be greater than or equal to 1"):
        space.kubectl("scale", "dexp/scaled", "--replicas=0")


def report(space: Space, name: str, experiment: Experiment, **changes: Any) -> Status:
    """Write the status of an experiment with a front of two, as the operator derives it."""
    seen = worlds.observation((worlds.completed(0, 80.0, 6), worlds.completed(1, 70.0, 3)))
    made = worlds.status(experiment, seen, None).model_copy(update=changes)
    patch = json.dumps({"status": yaml_files.to_document(made)})
    space.kubectl("patch", "dexp", name, "--subresource=status", "--type=merge", "--patch", patch)
    return made


def test_a_status_is_stored_whole(space: Space) -> None:
    space.apply("told")
    written = report(space, "told", worlds.experiment(), active=2, selector="a=b")
    assert space.status("told") == yaml_files.to_document(written)
    assert Status.model_validate(space.status("told")) == written
    scale = json.loads(space.kubectl("get", "dexp/told", "--subresource=scale", "--output=json"))
    assert scale["status"] == {"replicas": 2, "selector": "a=b"}


def test_spec_and_status_are_written_apart(space: Space) -> None:
    space.apply("apart")
    report(space, "apart", worlds.experiment())
    before = space.get("apart")
    both = json.dumps({"spec": {"suspend": True}, "status": {"state": "Other"}})
    patch = ("patch", "dexp", "apart", "--type=merge", "--patch", both)
    space.kubectl(*patch, "--subresource=status")
    told = space.get("apart")
    assert (told["spec"], told["status"]["state"]) == (before["spec"], "Other")
    assert told["metadata"]["generation"] == before["metadata"]["generation"]
    space.kubectl(*patch[:-1], both.replace("Other", "Third"))
    asked = space.get("apart")
    assert (asked["spec"]["suspend"], asked["status"]["state"]) == (True, "Other")
    assert asked["metadata"]["generation"] == before["metadata"]["generation"] + 1


def test_a_status_that_is_no_status_is_refused(space: Space) -> None:
    space.apply("wrong")
    patch = json.dumps({"status": {"observedGeneration": 1, "conditions": [{"type": "Ready"}]}})
    with pytest.raises(Refused, match='type: Unsupported value: "Ready"'):
        space.kubectl("patch", "dexp", "wrong", "--subresource=status", "--type=merge", "-p", patch)


def test_a_list_tells_the_story(space: Space) -> None:
    space.apply("listed")
    report(space, "listed", worlds.experiment(), state="Running", progress="2/8")
    shown = space.kubectl("get", "dexp", "listed", "--output=wide").splitlines()
    row = dict(zip(re.split("  +", shown[0]), re.split("  +", shown[1]), strict=True))
    assert row.pop("AGE")
    assert row == {
        "NAME": "listed",
        "STATE": "Running",
        "TRIALS": "2/8",
        "RUNNING": "0",
        "WAITING": "0",
        "FAILED": "0",
        "FRONT": "2",
        "HYPERVOLUME": row["HYPERVOLUME"],
        "BEST": "80",
        "MESSAGE": "2 of 8 trials are suggested, 0 processes run",
    }
    assert float(row["HYPERVOLUME"]) > 0
    assert "HYPERVOLUME" not in space.kubectl("get", "dexp", "listed")
    assert "distillationexperiment.distillery.dev/listed" in space.kubectl(
        "get", "distillery", "--output=name"
    )


def test_explain_teaches_the_fields(space: Space) -> None:
    told = " ".join(space.kubectl("explain", "dexp.spec.training").split())
    for name, known in parameters.PARAMETERS.items():
        assert f"{name} <" in told
        assert f"{known.help[1:]}." in told
    assert "From 0.1 to 100. Default: 2.0." in told
    assert "enum: First, EvenlySpaced" in told
    low = space.kubectl("explain", "dexp.spec.parameters.low")
    assert "Lower bound, inclusive. Required for Float and Int." in low
    trials = " ".join(space.kubectl("explain", "dexp.spec.maxTrials").split())
    assert "Trials in all, baselines included. Duplicates of earlier trials do not count." in trials
    assert "From 1 to 100000. Default: 50." in trials
    every = space.kubectl("explain", "dexp.spec", "--recursive")
    assert {"floor", "parallelism", "template", "thresh"} <= set(re.findall("[a-z]+", every))


def test_server_side_apply_works_as_well(space: Space) -> None:
    server = ("apply", "--server-side", "--field-manager=pipeline", "--filename=-")
    document = named("declared", worlds.document())
    space.kubectl(*server, stdin=json.dumps(document))
    document["spec"]["objectives"][0]["threshold"] = 60
    space.kubectl(*server, stdin=json.dumps(document))
    assert space.get("declared")["spec"]["objectives"][0]["threshold"] == 60
    document["spec"]["objectives"].pop()
    with pytest.raises(Refused, match="so give the experiment another name"):
        space.kubectl(*server, stdin=json.dumps(document))


RICH = worlds.document(
    constraints=[{"metric": "f1", "minimum": 10}, {"metric": "exact", "maximum": 99.5}],
    training={"epochs": 1, "temperature": 2.0, "initialization": "Scratch", "hidden_size": 64},
    baselines=[{"name": "known", "parameters": {"n_layers": 3, "learning_rate": 0.1}}],
    sampler={"type": "TPE", "seed": 1, "startupTrials": 4, "crossover": 0.25},
    teacher={"model": "t", "revision": "main", "floor": {"exact": 60, "f1": 61.5}},
    student={"model": "s"},
    suspend=False,
    maxDurationSeconds=3600,
)
STRANGE: list[object] = [
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        8.0,
        0.5,
        -0.001,
        1e-9,
        1e6,
        2**31,
        1e30,
        [],
        {},
        [1],
        {"a": 1},
    ),
    *("", "x", "1", "exact", "f1", "Minimize", "Int", "Float", "Categorical", "n_layers", "seed"),
    *("Scratch", "Pretrained", "Random", "compile", "A b", "\n", "é", "x" * 70, "y" * 2000),
]


def places(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    steps = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for step, part in steps:
        yield from places(part, (*path, step))


@st.composite
def spoiled(draw: st.DrawFn) -> Document:
    """A sound experiment with up to three fields replaced, removed, added or repeated."""
    made = named("spoiled", RICH)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(list(places(made["spec"]))))
        parent: Any = made["spec"]
        for step in above:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "replace", "remove", "add", "repeat"])):
            case "replace":
                parent[last] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
            case "remove":
                del parent[last]
            case "add" if isinstance(last, str):
                parent[draw(st.sampled_from(NAMES))] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
            case "repeat" if isinstance(last, int):
                parent.append(copy.deepcopy(parent[last]))
    return made


NAMES = ["step", "log", "choices", "threshold", "maximum", "warmth", "seed", "maxTrials", "name"]
HANGS_ON_CHOICES = r"\.choices\[|search space's choices|if initialization can be|consumed only"


@pytest.fixture(scope="module")
def api(space: Space) -> client.CustomObjectsApi:
    """Many documents a second: kubectl takes a tenth of one for each."""
    return client.CustomObjectsApi(
        config.new_client_from_config(  # type: ignore[no-untyped-call]
            str(space.cluster.kubeconfig)
        )
    )


def sent(document: Document) -> Document:
    """A document as kubectl sends it: a number that is whole has no point."""

    def number(text: str) -> float:
        value = float(text)
        return int(value) if value.is_integer() and abs(value) < 1e21 else value

    made: Document = json.loads(json.dumps(document), parse_float=number)
    return made


def refusal(api: client.CustomObjectsApi, space: Space, document: Document) -> Document | None:
    """Try to create an experiment without keeping it; return what was said against it."""
    where = (GROUP, VERSION, space.name, PLURAL)
    try:
        api.create_namespaced_custom_object(
            *where, sent(document), dry_run="All", field_validation="Strict"
        )
    except client.ApiException as error:
        said: Document = json.loads(error.body or "")
        return said
    return None


OF_A_RULE = re.compile(
    r'(?:Invalid value: "(?:object|array|number)"|Required value|Forbidden): (.+)'
)
LEFT_OUT = re.compile("metadata.name|unknown |should be |must ascend")
"""Said of a field here: of names and bounds. And a list of numbers has six places there."""


def broken_rules(refused: Document) -> set[tuple[str, str]]:
    """Return what rules of the definition said, if no field has a wrong type or is out of bounds.

    Rules that look at such a field are skipped here, and evaluated there if its type is right.
    """
    causes = refused.get("details", {}).get("causes", [])
    if any(" in body " in cause["message"] for cause in causes):
        return set()
    said = [(cause["field"], OF_A_RULE.fullmatch(cause["message"])) for cause in causes]
    return {(field, m[1]) for field, m in said if m and not LEFT_OUT.match(m[1])}


def test_the_rules_of_the_definition_say_the_same_on_both_sides(
    api: client.CustomObjectsApi, space: Space
) -> None:
    tried = 0
    for document, _, _ in broken.BROKEN:
        if isinstance(document, dict) and "NaN" not in json.dumps(document):
            said = broken_rules(refusal(api, space, document) or {})
            assert said <= {(fault.field, fault.message) for fault in faults(document)}, document
            tried += len(said)
    assert tried > 50


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=spoiled())
def test_file_and_cluster_agree_on_any_document(
    api: client.CustomObjectsApi, space: Space, document: Document
) -> None:
    found, refused = faults(document), refusal(api, space, document)
    unseen = [fault for fault in found if re.search(HANGS_ON_CHOICES, str(fault))]
    answer = refused and refused["message"]
    assert broken_rules(refused or {}) <= {(fault.field, fault.message) for fault in found}
    if answer is None:
        assert found == unseen
    elif "strict decoding error" in answer:  # which it looks for in a value of a wrong type, too
        assert found, answer
    else:
        assert unseen or any(rule(fault) in answer for fault in found), (answer, found)
