"""What is refused, and with which sentence."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import transformers

from distillery_contract import request
from distillery_trainer import tiny
from distillery_trainer.data import checks, windows
from distillery_trainer.data.questions import Answer, Question, Split

V2 = request.Data(unanswerable=True)
V1 = request.Data(unanswerable=False)


def question(name: str, *answers: tuple[str, int]) -> Question:
    return Question(name, "Lima is here.", "Where?", tuple(Answer(t, s) for t, s in answers))


def faults(data: request.Data, *train: Question) -> list[str]:
    sound = [question("v1", ("Lima", 0))] + ([question("v2")] if data.unanswerable else [])
    splits: dict[Split, list[Question]] = {"train": list(train), "validation": sound}
    broken = [
        f"{split}: {sentence}"
        for split, members in splits.items()
        for rule in checks.broken(members, data.unanswerable)
        for sentence in rule.sentences()
    ]
    return broken + checks.questions(splits, data)


def test_sound_questions_have_no_fault() -> None:
    assert faults(V2, question("a", ("Lima", 0)), question("b")) == []
    assert faults(V1, question("a", ("Lima", 0))) == []


def test_a_v2_experiment_needs_unanswerable_questions() -> None:
    (fault,) = faults(V2, question("a", ("Lima", 0)), question("b", ("here", 8)))
    assert fault == (
        "train: some questions must have no answer, for data.unanswerable is true, "
        "but all 2 have one"
    )


def test_a_v1_experiment_takes_no_unanswerable_questions() -> None:
    (fault,) = faults(V1, question("a", ("Lima", 0)), *(question(f"b{i}") for i in range(4)))
    assert "for data.unanswerable is false, but 4 broke this: 'b0', 'b1', 'b2', …" in fault


def test_questions_without_any_answer_are_refused() -> None:
    assert faults(V2, question("a")) == [
        "train: some questions must have an answer, but none of 1 has"
    ]


def test_an_empty_split_is_refused() -> None:
    assert any("none of 0 has" in fault for fault in faults(V2))


@pytest.mark.parametrize(
    "answer", [("Lima", 1), ("lima", 0), ("Lima", -13), ("here.!", 8), ("Lima", 99), ("", 0)]
)
def test_an_answer_must_stand_at_its_offset(answer: tuple[str, int]) -> None:
    (fault,) = faults(V2, question("a", answer), question("b"))
    assert fault.startswith("train: an answer must stand in its context at its answer_start")
    assert f"'a' ({answer[0]!r} at {answer[1]})" in fault


def test_ids_are_unique_within_and_across_splits() -> None:
    found = faults(V2, question("a", ("Lima", 0)), question("a"), question("v1"))
    assert found == [
        "train: ids must be unique, but 1 broke this: 'a'",
        "an id must not be in two splits, but 1 broke this: 'v1'",
    ]


def test_all_faults_are_told_at_once() -> None:
    found = faults(V2, question("a", ("Lima", 1)), question("a", ("Lima", 0)))
    assert len(found) == 3


def test_a_lost_answer_is_told_with_its_text(
    tiny_tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    whole = Question("b", "Lima is here.", "Where?", (Answer("Lima is here.", 0),))
    settings = request.Data(max_length=8, stride=1, max_query_length=1)
    members = [question("a", ("Lima", 0)), whole]
    broken = checks.lost(windows.cut(members, tiny_tokenizer, settings), members)
    assert broken.questions == {1: "'b' ('Lima is here.')"}
    assert broken.sentences()[0].endswith("but 1 broke this: 'b' ('Lima is here.')")


def test_more_dropped_questions_than_the_limit_are_a_fault() -> None:
    assert checks.dropped("train", 1, 100, 1.0) == []
    assert checks.dropped("train", 0, 0, 0.0) == []
    (fault,) = checks.dropped("train", 2, 100, 1.0)
    assert fault == (
        "train: at most 1 % of the questions may be dropped (data.max_dropped_percent), "
        "but 2 of 100 break a rule"
    )


def bert(words: list[str], **rules: bool) -> transformers.PreTrainedTokenizerBase:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate(special + words)}
    return transformers.BertTokenizer(vocab=vocabulary, **rules)  # type: ignore[arg-type]


def test_a_tokenizer_that_lower_cases_over_a_cased_vocabulary_is_refused() -> None:
    """The hub has cased models without tokenizer_config.json, which are lower-cased by default."""
    cased = ["Lima", "is", "here", "Oslo", "##Ab"]
    (fault,) = checks.tokenizer(bert(cased), 100, "teacher")
    assert "must have a vocabulary without capitals, but 3 of 5 tokens have some" in fault
    assert '"do_lower_case": false' in fault
    assert checks.tokenizer(bert(cased, do_lower_case=False), 100, "teacher") == []
    assert checks.tokenizer(bert([word.lower() for word in cased]), 100, "teacher") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_length": 513}, "data.max_length <= 512 must hold"),
        ({"stride": 317}, "data.stride < max_length - max_query_length - 3 must hold"),
        ({"max_query_length": 381}, "data.stride < max_length - max_query_length - 3 must hold"),
        ({"stride": -1}, "data.stride >= 0 must hold, but got -1"),
        ({"max_query_length": 0}, "data.max_query_length >= 1 must hold, but got 0"),
        ({"max_answer_length": 0}, "data.max_answer_length >= 1 must hold, but got 0"),
        ({"n_best": 0}, "data.n_best >= 1 must hold, but got 0"),
    ],
)
def test_impossible_lengths_are_refused(changes: dict[str, Any], said: str) -> None:
    assert checks.lengths(V2, 512) == []
    (fault,) = checks.lengths(dataclasses.replace(V2, **changes), 512)
    assert said in fault


def test_the_longest_stride_possible_is_taken() -> None:
    assert checks.lengths(dataclasses.replace(V2, stride=316), 512) == []


def test_a_teachers_own_tokenizer_is_the_same(tiny_teacher: Path, tiny_distilbert: Path) -> None:
    load = transformers.AutoTokenizer.from_pretrained
    assert checks.same_tokenizers(load(tiny_teacher), load(tiny_distilbert)) == []


def test_another_vocabulary_is_refused_with_examples(
    tiny_tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    other = tiny.make_tokenizer(["quite other words"])
    found = checks.same_tokenizers(tiny_tokenizer, other)
    assert len(found) == 1
    assert found[0].startswith("student.model must have the teacher's vocabulary, but ")
    assert "at the teacher" in found[0]


def test_another_case_rule_is_refused(
    tiny_tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    cased = transformers.BertTokenizer(vocab=tiny_tokenizer.get_vocab(), do_lower_case=False)
    (fault,) = checks.same_tokenizers(tiny_tokenizer, cased)
    assert fault.startswith("student.model must have the teacher's rules of tokenisation")
    assert "normalizer" in fault


def test_a_vocabulary_beyond_the_models_embeddings_is_refused(
    tiny_tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    size = max(tiny_tokenizer.get_vocab().values()) + 1
    assert checks.tokenizer(tiny_tokenizer, size, "teacher") == []
    (fault,) = checks.tokenizer(tiny_tokenizer, size - 1, "teacher")
    assert "below the model's vocab_size" in fault


def test_a_teacher_needs_an_answer_head() -> None:
    assert checks.answer_head(["BertForQuestionAnswering"]) == []
    assert checks.answer_head(None) == []
    assert checks.answer_head(["BertModel"]) == [
        "teacher.model must have been trained to answer questions, but its config names BertModel"
    ]


def test_a_teacher_below_its_floor_is_refused() -> None:
    measured = {"exact": 61.2, "HasAns_exact": 70.0}
    assert checks.floor(measured, {"exact": 61.2}) == []
    found = checks.floor(measured, {"exact": 65, "HasAns_exact": 60, "NoAns_exact": 60})
    assert len(found) == 2
    assert "exact >= 65 must hold, but the teacher has 61.20" in found[0]
    assert "NoAns_exact must be one of exact, HasAns_exact" in found[1]
    assert checks.floor({"exact": float("nan")}, {"exact": 0})
