import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import transformers

from distillery_contract import request
from distillery_quickstart import (
    build,
    data_set,
    facts,
    paragraphs,
    questions,
    source,
    wordings,
)
from distillery_trainer.data import checks, dataset
from distillery_trainer.data.questions import SPLITS, Question, Split

Domains = Mapping[str, list[facts.Entity]]
Made = Mapping[str, bytes]
Splits = Mapping[Split, list[Question]]

SHA256 = {
    "train": "52eadd4f86131621792c51d269da76f9baa8d19efd118c385c3a9e658ee56bcc",
    "validation": "d194c4f75a33b11ff049f04adaf34855e6a205fd89d4e8aa950cc6bcff946f62",
}


@pytest.fixture(scope="module")
def domains() -> Domains:
    return facts.domains()


@pytest.fixture(scope="module")
def made() -> Made:
    return build.documents()


@pytest.fixture(scope="module")
def splits(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("quickstart")
    for split, content in made.items():
        folder.joinpath(f"{split}.json").write_bytes(content)
    wanted = request.Data(
        train=str(folder / "train.json"), validation=str(folder / "validation.json")
    )
    return {split: dataset.load(wanted, split).questions for split in SPLITS}


def paragraphs_of(content: bytes) -> Iterator[dict[str, Any]]:
    for article in json.loads(content)["data"]:
        yield from article["paragraphs"]


def test_the_data_are_the_same_bytes_on_every_machine(made: Made) -> None:
    assert {split: hashlib.sha256(content).hexdigest() for split, content in made.items()} == SHA256


def test_another_seed_asks_other_questions(domains: Domains) -> None:
    sizes = {"train": 2, "validation": 2}
    first, same, other = (data_set.make(domains, sizes, seed) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_the_data_pass_every_check_of_prepare(splits: Splits) -> None:
    assert checks.questions(splits, request.Data()) == []


def test_half_of_the_questions_are_unanswerable(splits: Splits) -> None:
    for members in splits.values():
        assert sum(not question.answers for question in members) * 2 == len(members)


def test_every_paragraph_is_asked_with_and_without_an_answer(made: Made) -> None:
    for content in made.values():
        for paragraph in paragraphs_of(content):
            impossible = [question["is_impossible"] for question in paragraph["qas"]]
            assert sorted(impossible) == [False, False, True, True]
            assert len({question["question"] for question in paragraph["qas"]}) == len(impossible)


def test_known_facts_are_among_the_facts(domains: Domains) -> None:
    known = {
        ("country", "France", "capital", "Paris"),
        ("country", "France", "currency", "euros"),
        ("country", "Peru", "language", "Spanish"),
        ("country", "Kenya", "calling code", "+254"),
        ("country", "the United States", "internet domain", ".us"),
        ("city", "Tokyo", "country", "Japan"),
        ("city", "Nairobi", "latitude", "1.3 degrees south"),
        ("element", "iron", "symbol", "Fe"),
        ("element", "gold", "atomic number", "79"),
        ("element", "copper", "crystal structure", "face-centred cubic"),
    }
    told = {
        (domain, entity.name, attribute, value)
        for domain, entities in domains.items()
        for entity in entities
        for attribute, value in entity.facts.items()
    }
    assert known <= told


def test_every_fact_can_be_told_and_asked(domains: Domains) -> None:
    for domain, entities in domains.items():
        attributes = {attribute for entity in entities for attribute in entity.facts}
        assert attributes == set(wordings.WORDINGS[domain])
        assert len({entity.name for entity in entities}) == len(entities)
        for wording in wordings.WORDINGS[domain].values():
            assert all("{e}" in text and "{v}" in text for text in wording.told)
            assert all("{e}" not in text and "{v}" in text for text in wording.follow_up)
            assert all("{e}" in text and "{v}" not in text for text in wording.asked)
            assert all("{e}" not in text and "{v}" in text for text in wording.reverse)


def test_a_paragraph_is_about_entities_of_its_own_split_only(domains: Domains, made: Made) -> None:
    """Names are matched as whole names, the longest first: Guinea-Bissau is no Guinea."""
    kept_back = data_set.validation_groups(domains, random.Random(build.SEED))
    side = {
        entity.name: "validation" if entity.group in kept_back else "train"
        for entities in domains.values()
        for entity in entities
    }
    names = "|".join(re.escape(name) for name in sorted(side, key=len, reverse=True))
    whole = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])")
    for split, content in made.items():
        found = {n for p in paragraphs_of(content) for n in whole.findall(p["context"])}
        assert {name for name in found if side[name] != split} == set()
        assert len(found) > 50


@pytest.mark.parametrize("seed", range(20))
def test_an_answer_is_told_and_a_missing_one_is_not(domains: Domains, seed: int) -> None:
    rng = random.Random(seed)
    for domain, entities in domains.items():
        paragraph = paragraphs.write(domain, entities, rng)
        for fact in paragraph.facts:
            assert paragraph.text[fact.value_start :].startswith(fact.value)
            if fact.entity_start is not None:
                name = paragraph.text[fact.entity_start :][: len(fact.entity.name)]
                assert name.lower() == fact.entity.name.lower()
        answers = {fact.value for fact in paragraph.facts}
        answers |= {entity.name.lower() for entity in paragraph.entities()}
        for question in questions.ask(paragraph, rng):
            text = paragraph.text[question.start :][: question.length]
            assert not text or text in answers or text.lower() in answers


def test_the_trimmed_model_reads_the_data_as_the_original_does(made: Made, tmp_path: Path) -> None:
    texts = list(build._texts(made))
    source.trim(source.packaged(), texts, tmp_path)
    original = transformers.AutoTokenizer.from_pretrained(source.packaged())
    trimmed = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(trimmed) < len(original) / 5
    assert [trimmed.tokenize(text) for text in texts] == [original.tokenize(t) for t in texts]
    spelt = trimmed.tokenize("Quixotic zephyrs!")
    assert trimmed.unk_token not in spelt
    assert trimmed.convert_tokens_to_string(spelt).replace(" ", "") == "quixoticzephyrs!"

    whole = transformers.AutoModel.from_pretrained(source.packaged(), add_pooling_layer=False)
    small = transformers.AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)
    assert small.config.vocab_size == small.embeddings.word_embeddings.num_embeddings
    text = texts[0]
    theirs = whole(**original(text, return_tensors="pt", truncation=False, padding=False))
    ours = small(**trimmed(text, return_tensors="pt"))
    assert ours.last_hidden_state.allclose(theirs.last_hidden_state, atol=1e-5)


def test_the_key_changes_with_the_data(made: Made) -> None:
    changed = {**made, "train": made["train"] + b" "}
    assert build.key(made) == build.key(dict(made))
    assert build.key(made) != build.key(changed)


def test_a_teacher_in_the_cache_is_taken_as_it_is(made: Made, tmp_path: Path) -> None:
    folder, cache = tmp_path / "demo", tmp_path / "cache"
    kept = cache / build.key(made)
    kept.mkdir(parents=True)
    for content in ("first", "second"):
        kept.joinpath("config.json").write_text(content)
        build.build(folder, cache)
        assert folder.joinpath("teacher", "config.json").read_text() == content
    assert {path.name for path in folder.iterdir()} == {
        "teacher",
        "train.json",
        "validation.json",
    }
    assert {split: folder.joinpath(f"{split}.json").read_bytes() for split in made} == made
