"""Texts that are no experiment, however they are: refused with a sentence, and soon."""

import contextlib
import itertools
import random
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_operator.errors import DistilleryError, InvalidExperiment, Unusable
from distillery_operator.resource import yaml_files
from support import worlds

SOUND = yaml_files.dump(worlds.document())


def nested(first: str, further: str) -> str:
    """Return lines in which each repeats the one before nine times."""
    names = string.ascii_lowercase[:12]
    lines = [f"{names[0]}: &{names[0]} {first}"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} {further.format(', '.join([f'*{before}'] * 9))}")
    return "\n".join([*lines, "spec: {template: {x: *l}}", ""])


BOMBS = {
    "lists": nested("[1, 1, 1]", "[{}]"),
    "texts": nested(f'"{"x" * 50}"', "[{}]"),
    "merges": nested("{x: 1}", "{{<<: [{}]}}"),
    "itself": "spec: &a {template: {x: *a}}",
    "merge of itself": "spec: &a {<<: *a}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_aliases_cannot_make_a_few_bytes_a_billion_values(name: str) -> None:
    assert len(BOMBS[name]) < 700
    with pytest.raises(InvalidExperiment, match=r"must be YAML, but (its|an) alias"):
        yaml_files.parse_experiment(BOMBS[name], "bomb.yaml")


def test_aliases_and_merges_of_ordinary_size_are_taken() -> None:
    wide = "&wide {low: 0.1, high: 0.5, type: Float}"
    names = ["dropout", "attention_dropout", "qa_dropout"]
    first = f"  - {{name: learning_rate, <<: {wide}}}\n"
    text = yaml_files.dump(worlds.document(parameters=None)).replace(
        "spec:\n",
        "spec:\n  parameters:\n"
        + first
        + "".join(f"  - {{name: {n}, <<: *wide}}\n" for n in names),
    )
    experiment = yaml_files.parse_experiment(text, "experiment.yaml")
    assert [(p.name, p.low, p.high) for p in experiment.spec.parameters] == [
        (name, 0.1, 0.5) for name in ("learning_rate", *names)
    ]


@pytest.mark.parametrize(
    "text", [SOUND + "---\n", "---\n---\n" + SOUND, SOUND + "---\n# no more\n"]
)
def test_a_line_of_dashes_too_many_changes_nothing(text: str) -> None:
    assert yaml_files.parse_experiment(text, "x") == yaml_files.parse_experiment(SOUND, "x")


def test_several_documents_are_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidExperiment, match="but got 2; split the file at its --- lines"):
        yaml_files.parse_experiment(f"{SOUND}---\n{SOUND}", "experiment.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "!!bool perhaps",
        "!!int many",
        "!!timestamp soon",
        "2001-99-99",
        '"\\U00110000"',
        '"\\UFFFFFFFF"',
        '"\\ud800"',
        f"a: {'9' * 9000}",
        "[" * 900,
        "%YAML 9.9\n---\na: 1",
        "? [a]\n: 1",
        "*nowhere",
        "<<: 3",
        "a: &a 1\nb: &a 2",
    ],
)
def test_a_text_that_yaml_stumbles_over_is_refused(text: str) -> None:
    with pytest.raises(InvalidExperiment) as refused:
        yaml_files.parse_experiment(text, "broken.yaml")
    assert refused.value.origin == "broken.yaml"


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.binary(max_size=6))
def test_no_file_ends_in_anything_but_an_experiment_or_a_sentence(
    place: random.Random, inserted: bytes
) -> None:
    """Cut, overwrite and repeat a sound file somewhere."""
    data = SOUND.encode()
    start, end = sorted(place.choices(range(len(data)), k=2))
    broken = place.choice(
        [
            data[:start] + inserted + data[end:],
            data[:start] + inserted + data[start:],
            data[:end] + data[start:],
        ]
    )
    with contextlib.suppress(DistilleryError):
        yaml_files.parse_experiment(yaml_files.decoded(broken, "x"), "x")


FOREIGN = {
    "empty": b"",
    "cut short": b"status:\n  observedGen",
    "another document": b"status: {a: 1}",
    "no status": b"a: 1",
    "a list": b"[1]",
    "a text": b"text",
    "bytes": bytes(range(256)),
    "latin-1": b"status: \xe9",
    "a bomb": f"{BOMBS['lists']}status: *l\n".encode(),
    "much": b"#" * 2_100_000,
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_holds_no_status_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "status.yaml"
    path.write_bytes(FOREIGN[name])
    with pytest.raises(Unusable, match=r"status\.yaml must hold a status"):
        yaml_files.read_status(path)
