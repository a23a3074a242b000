"""Students built from real tiny models: sizes, inherited weights, pruning, saving and loading."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from distillery_contract import request as requests
from distillery_contract import size
from distillery_contract.parameters import PARAMETERS, LayerSelection
from distillery_trainer import devices, hyperparameters
from distillery_trainer.devices import Precision
from distillery_trainer.students import building, families, heads, model_folder, sources
from distillery_trainer.students.building import InfeasibleError
from distillery_trainer.students.families import SourceError

IDS = torch.tensor([[2, 9, 8, 3, 7, 11, 3], [2, 5, 3, 6, 3, 0, 0]])
MASK = (IDS != 0).long()


def request(
    teacher: Path | None, student: Path | None = None, **parameters: Any
) -> requests.Request:
    return requests.Request(
        "test",
        requests.Stage.TRAIN,
        requests.Data(train="t.json", validation="v.json"),
        requests.Teacher(str(teacher)) if teacher else None,
        requests.Student(str(student) if student else None),
        cache="cache",
        output="output",
        parameters=parameters,
    )


def build(teacher: Path | None, student: Path | None = None, **parameters: Any) -> Any:
    asked = request(teacher, student, **parameters)
    return building.student(asked, hyperparameters.resolve(asked))


def logits(network: Any) -> torch.Tensor:
    network.eval()
    with torch.inference_mode():
        out = network(input_ids=IDS, attention_mask=MASK)
    return torch.stack([out.start_logits, out.end_logits])[:, MASK.bool()]


def count(network: Any) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_real_student_has_as_many_parameters_as_the_contract_says(
    tiny_teacher: Path, tiny_distilbert: Path
) -> None:
    """Every family, initialization, number of heads and layers, and width of a scratch student."""
    read = {
        name: families.architecture(sources.load_config(str(folder)))
        for name, folder in (("teacher", tiny_teacher), ("student", tiny_distilbert))
    }
    swapped = {"teacher": read["student"], "student": read["teacher"]}
    pairs = [(tiny_teacher, tiny_distilbert, read), (tiny_distilbert, tiny_teacher, swapped)]
    table = itertools.product(pairs, ("Teacher", "Pretrained", "Scratch"), (1, 2, 4), (1, 3, 4))
    for (teacher, student, known), initialization, layers, kept in table:
        parameters = {"initialization": initialization, "n_layers": layers, "n_heads": kept}
        if initialization == "Scratch":
            parameters["hidden_size"] = 16
        if initialization == "Teacher" and layers > known["teacher"].n_layers:
            with pytest.raises(InfeasibleError, match="n_layers <="):
                build(teacher, student, **parameters)
            continue
        assert count(build(teacher, student, **parameters)) == size.student_size(known, parameters)


def test_a_student_like_its_teacher_gives_the_teachers_logits(tiny_teacher: Path) -> None:
    torch.testing.assert_close(
        logits(build(tiny_teacher)), logits(sources.load(str(tiny_teacher))), rtol=0, atol=0
    )


def test_chosen_layers_embeddings_and_head_come_from_the_teacher(tiny_teacher: Path) -> None:
    teacher = sources.load(str(tiny_teacher))
    for selection, chosen in (("First", [0, 1]), ("EvenlySpaced", [0, 2])):
        student = build(tiny_teacher, n_layers=2, layer_selection=selection)
        for layer, number in zip(heads.layers(student), chosen, strict=True):
            expected = heads.layers(teacher)[number].state_dict()
            torch.testing.assert_close(dict(layer.state_dict()), dict(expected), rtol=0, atol=0)
        assert torch.equal(student.qa_outputs.weight, teacher.get_parameter("qa_outputs.weight"))


def test_a_pretrained_student_of_another_family_keeps_its_own_weights(
    tiny_teacher: Path, tiny_distilbert: Path
) -> None:
    student = build(tiny_teacher, tiny_distilbert, initialization="Pretrained")
    assert student.config.model_type == "distilbert"
    expected = logits(sources.load(str(tiny_distilbert)))
    torch.testing.assert_close(logits(student), expected, rtol=0, atol=0)


def test_layers_beyond_the_source_are_random_with_initializer_range(
    tiny_teacher: Path, tiny_distilbert: Path
) -> None:
    student = build(
        tiny_teacher,
        tiny_distilbert,
        initialization="Pretrained",
        n_layers=5,
        initializer_range=0.7,
    )
    source = heads.layers(sources.load(str(tiny_distilbert)))
    found = heads.layers(student)
    for number in (0, 1):
        expected = source[number].state_dict()
        torch.testing.assert_close(dict(found[number].state_dict()), dict(expected))
    spread = float(found[4].get_parameter("ffn.lin1.weight").std().detach())
    assert 0.6 < spread < 0.8


def test_a_checkpoint_without_answer_head_gets_a_random_one(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    body: Any = sources.load(str(tiny_teacher)).base_model
    body.save_pretrained(tmp_path / "body")
    wide = build(
        tiny_teacher, tmp_path / "body", initialization="Pretrained", initializer_range=0.9
    )
    narrow = build(
        tiny_teacher, tmp_path / "body", initialization="Pretrained", initializer_range=0.01
    )
    assert 0.6 < float(wide.qa_outputs.weight.std().detach()) < 1.2
    assert float(narrow.qa_outputs.weight.std().detach()) < 0.02
    kept = wide.get_parameter("bert.embeddings.word_embeddings.weight")
    assert torch.equal(kept, body.get_parameter("embeddings.word_embeddings.weight"))


def test_scratch_students_follow_seed_and_initializer_range(tiny_teacher: Path) -> None:
    def weight(**parameters: Any) -> torch.Tensor:
        student = build(tiny_teacher, initialization="Scratch", **parameters)
        found: torch.Tensor = student.qa_outputs.weight.detach()
        return found

    assert torch.equal(weight(seed=1), weight(seed=1))
    assert not torch.equal(weight(seed=1), weight(seed=2))
    assert torch.all(weight(initializer_range=0.0) == 0)


@pytest.mark.parametrize("family", ["tiny_teacher", "tiny_distilbert"])
def test_a_students_logits_are_not_rounded_by_the_precision_of_its_layers(
    family: str, request: pytest.FixtureRequest
) -> None:
    """Eight bits would let tokens tie."""
    student = build(request.getfixturevalue(family)).eval()
    hidden: list[torch.Tensor] = []
    student.qa_outputs.register_forward_pre_hook(lambda _, given: hidden.append(given[0]))
    with torch.no_grad(), devices.autocast("cpu", Precision.BF16):
        output = student(input_ids=torch.arange(40).view(2, 20))
    logits = torch.stack([output.start_logits, output.end_logits], -1)
    weight, bias = student.qa_outputs.weight, student.qa_outputs.bias
    torch.testing.assert_close(logits, hidden[0].float() @ weight.T + bias, rtol=0, atol=1e-5)
    assert not torch.equal(logits, logits.bfloat16().float())


def test_building_a_student_leaves_the_random_state_alone(tiny_teacher: Path) -> None:
    before = torch.get_rng_state()
    build(tiny_teacher, initialization="Scratch")
    assert torch.equal(before, torch.get_rng_state())


@given(st.integers(1, 48), st.integers(1, 48), st.sampled_from(LayerSelection))
def test_chosen_layers_are_distinct_ascending_and_within_the_source(
    source: int, wanted: int, selection: LayerSelection
) -> None:
    chosen = building.layer_choice(selection, source, wanted)
    assert len(chosen) == min(source, wanted)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 0
    if selection is LayerSelection.EVENLY_SPACED and wanted > 1:
        assert chosen[-1] == source - 1


def test_six_of_twelve_layers_are_spread_evenly() -> None:
    assert building.layer_choice(LayerSelection.EVENLY_SPACED, 12, 6) == [0, 2, 4, 7, 9, 11]


def test_each_layer_prunes_heads_of_its_own_choice_by_seed() -> None:
    offered = [range(12)] * 20
    kept = heads.choose(offered, kept=5, seed=42)
    assert kept == heads.choose(offered, kept=5, seed=42)
    assert kept != heads.choose(offered, kept=5, seed=43)
    assert len({tuple(layer) for layer in kept}) > 1
    assert all(len(set(layer)) == 5 and set(layer) <= set(range(12)) for layer in kept)


@pytest.mark.parametrize("family", ["tiny_teacher", "tiny_distilbert"])
@pytest.mark.parametrize("kept", [None, 1, 3])
def test_a_saved_student_answers_alike_however_it_is_loaded(
    family: str, kept: int | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(family)
    parameters: dict[str, Any] = {} if kept is None else {"n_heads": kept}
    student = build(source, n_layers=2, qa_dropout=0.3, **parameters)
    expected = logits(student)
    model_folder.save(student, source, tmp_path / "model")
    model_folder.export(tmp_path / "model", tmp_path / "out" / "exported")

    again = model_folder.load(tmp_path / "out" / "exported")
    torch.testing.assert_close(logits(again), expected, rtol=0, atol=0)
    assert count(again) == count(student)

    plain = transformers.AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / "out" / "exported"
    )
    torch.testing.assert_close(logits(plain), expected, rtol=0, atol=1e-5)
    transformers.AutoTokenizer.from_pretrained(tmp_path / "out" / "exported")
    with pytest.raises(FileExistsError):
        model_folder.export(tmp_path / "model", tmp_path / "out" / "exported")


@pytest.mark.long
def test_a_pruned_student_loads_small_without_distillery(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    student = build(tiny_teacher, n_heads=1, n_layers=1)
    model_folder.save(student, tiny_teacher, tmp_path / "model")
    program = (
        "import sys, transformers\n"
        "net = transformers.AutoModelForQuestionAnswering.from_pretrained("
        "sys.argv[1], trust_remote_code=True)\n"
        "assert not any(name.startswith('distillery') for name in sys.modules)\n"
        "print(sum(p.numel() for p in net.parameters()))\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == count(student)


@pytest.mark.parametrize("family", ["tiny_teacher", "tiny_distilbert"])
def test_a_student_of_a_pruned_source_has_the_heads_that_the_source_keeps(
    family: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(family)
    first, model = build(source, n_heads=3), tmp_path / "model"
    model_folder.save(first, source, model)
    known = {"teacher": families.architecture(sources.load_config(str(model)))}
    again = build(model)
    torch.testing.assert_close(logits(again), logits(first), rtol=0, atol=0)
    assert count(again) == count(first) == size.student_size(known, {})

    layers = getattr(first.config, heads.KEPT)
    assert getattr(build(model, n_layers=1, layer_selection="First").config, heads.KEPT) == [
        layers[0]
    ]
    narrow = build(model, n_heads=2, pruning_seed=5)
    kept = getattr(narrow.config, heads.KEPT)
    assert all(len(few) == 2 and {*few} < {*many} for few, many in zip(kept, layers, strict=True))
    assert count(narrow) == size.student_size(known, {"n_heads": 2})
    with pytest.raises(InfeasibleError, match="n_heads <= 3 must hold"):
        build(model, n_heads=4)

    scratch: dict[str, Any] = {"initialization": "Scratch"}  # of the source it has the shape alone
    assert (
        count(build(model, **scratch)) == size.student_size(known, scratch) == count(build(source))
    )
    longer: dict[str, Any] = {"initialization": "Pretrained", "n_layers": 4}
    both = {**known, "student": known["teacher"]}
    assert count(build(source, model, **longer)) == size.student_size(both, longer)


def test_a_map_of_heads_that_fits_no_model_is_refused(tiny_teacher: Path, tmp_path: Path) -> None:
    for wrong in (
        [[0]],
        [[0], [1], [0, 1]],
        [[0], [1], [4]],
        [[0, 0], [1, 2], [1, 3]],
        3,
        [1, 2, 3],
    ):
        folder = changed(tiny_teacher, tmp_path, config={heads.KEPT: wrong})
        with pytest.raises(SourceError, match=f"{heads.KEPT} must list as many distinct heads"):
            sources.load(str(folder))


Weights = dict[str, torch.Tensor]


def changed(
    source: Path,
    folder: Path,
    weights: Callable[[Weights], Weights] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """Copy a model and change its weights or its configuration."""
    copy = shutil.copytree(source, folder / "changed", dirs_exist_ok=True)
    if weights:
        file = copy / "model.safetensors"
        save_file(weights(load_file(file)), file, {"format": "pt"})
    known = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**known, **(config or {})}))
    return copy


def without(*parts: str) -> Callable[[Weights], Weights]:
    return lambda weights: {n: w for n, w in weights.items() if not any(p in n for p in parts)}


@pytest.mark.parametrize(
    ("weights", "config", "named"),
    [
        (without("layer.1."), {}, r"16 are missing: bert\.encoder\.layer\.1\."),
        (None, {"num_hidden_layers": 5}, r"32 are missing: bert\.encoder\.layer\.3\."),
        (without("layer.0."), {}, r"16 are missing: bert\.encoder\.layer\.0\."),
        (without("qa_outputs.bias"), {}, r"1 are missing: qa_outputs\.bias"),
        (None, {"vocab_size": 301}, r"word_embeddings\.weight \(265 × 32 in the files, 301 × 32"),
        (
            lambda w: {
                **w,
                "qa_outputs.weight": torch.ones(3, 32),
                "qa_outputs.bias": torch.ones(3),
            },
            {},
            r"2 have others: qa_outputs\.bias \(3 in the files, 2 wanted\)",
        ),
    ],
    ids=["layer", "more layers", "first layer", "half a head", "vocabulary", "head of three"],
)
def test_a_model_whose_files_lack_weights_is_refused_by_their_names(
    tiny_teacher: Path,
    tmp_path: Path,
    weights: Callable[[Weights], Weights] | None,
    config: dict[str, Any],
    named: str,
) -> None:
    broken = changed(tiny_teacher, tmp_path, weights, config)
    with pytest.raises(SourceError, match=named):
        sources.load(str(broken))
    with pytest.raises(SourceError, match=named):
        build(tiny_teacher, broken, initialization="Pretrained")


def test_only_a_student_may_come_without_an_answer_head_and_that_is_said(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    headless = changed(tiny_teacher, tmp_path, without("qa_outputs"))
    with pytest.raises(SourceError, match=r"2 are missing: qa_outputs\.weight, qa_outputs\.bias"):
        sources.load(str(headless))
    asked, notes = request(tiny_teacher, headless, initialization="Pretrained"), list[str]()
    building.student(asked, hyperparameters.resolve(asked), notes.append)
    assert notes == ["the student's answer head is new, for student.model has none"]


def test_the_labels_of_an_earlier_task_do_not_matter(tiny_teacher: Path, tmp_path: Path) -> None:
    labels = {"id2label": {str(i): f"L{i}" for i in range(3)}, "label2id": {}}
    classifier = changed(tiny_teacher, tmp_path, without("qa_outputs"), labels)
    assert build(tiny_teacher, classifier, initialization="Pretrained").qa_outputs.out_features == 2


@pytest.mark.parametrize("family", ["tiny_teacher", "tiny_distilbert"])
def test_every_dropout_reaches_its_place(family: str, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(family)
    names = ("dropout", "attention_dropout", "qa_dropout")
    still: dict[str, Any] = dict.fromkeys(names, 0.0)

    def trained(**shares: Any) -> torch.Tensor:
        student = build(source, **{**still, **shares})
        torch.manual_seed(3)
        with torch.no_grad():
            out = student(input_ids=IDS, attention_mask=MASK)
        found: torch.Tensor = out.start_logits
        return found

    torch.testing.assert_close(trained(), trained(), rtol=0, atol=0)
    for name in names:
        assert not torch.allclose(trained(**{name: 0.5}), trained()), name
        assert torch.all(trained(**{name: 1.0}).isfinite()), name
    student = build(source, **{**still, "qa_dropout": 1.0})
    with torch.no_grad():
        out = student(input_ids=IDS, attention_mask=MASK)
    bias = student.qa_outputs.bias[0].detach()
    assert torch.all(out.start_logits == bias)


def test_other_families_and_missing_models_are_refused_with_a_sentence(tmp_path: Path) -> None:
    config = transformers.RobertaConfig(hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    config.save_pretrained(tmp_path)
    with pytest.raises(SourceError, match="bert, distilbert, but got 'roberta'"):
        sources.load_config(str(tmp_path))
    with pytest.raises(SourceError, match="must be a model folder"):
        sources.load_config(str(tmp_path / "nowhere"))


def test_a_folder_without_readable_weights_is_refused(tiny_teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_teacher / "config.json").read_bytes())
    with pytest.raises(SourceError, match="weights of"):
        sources.load(str(tmp_path))
    weights = (tiny_teacher / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(SourceError, match="weights of"):
        sources.load(str(tmp_path))


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"n_heads": 5}, "n_heads <= 4"),
        ({"initialization": "Scratch", "hidden_size": 30}, "multiple of 4"),
        ({"n_layers": 4}, "n_layers <= 3"),
    ],
)
def test_impossible_shapes_are_infeasible(
    tiny_teacher: Path, parameters: dict[str, Any], rule: str
) -> None:
    with pytest.raises(InfeasibleError, match=rule):
        build(tiny_teacher, **parameters)


def test_settings_have_the_contracts_names_and_refuse_what_no_model_can_give() -> None:
    resolved = hyperparameters.resolve(request(Path("teacher"), temperature=3, n_layers=2))
    assert asdict(resolved).keys() == PARAMETERS.keys()
    assert isinstance(resolved.temperature, float)
    alone = hyperparameters.resolve(request(None, Path("student"), initialization="Pretrained"))
    assert alone.alpha_ce == 0
    for bad in (
        request(None, Path("student")),
        request(None, None, initialization="Scratch"),
        request(Path("teacher"), None, initialization="Pretrained"),
        request(None, Path("student"), initialization="Pretrained", alpha_ce=0.5),
        request(None, Path("student"), initialization="Pretrained", alpha_relation=0.5),
    ):
        with pytest.raises(requests.RequestError):
            hyperparameters.resolve(bad)
