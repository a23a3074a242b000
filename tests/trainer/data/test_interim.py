"""The part of the validation questions that evaluations before the end of a training are on."""

import random

import numpy as np
import transformers
from hypothesis import given
from hypothesis import strategies as st

from distillery_contract import request
from distillery_trainer.data import interim, windows
from distillery_trainer.data.questions import Answer, Question

CONTEXTS = st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=12)


def made(contexts: list[list[bool]]) -> list[Question]:
    """Return the questions of contexts: whether each has an answer."""
    return [
        Question(f"{place}-{number}", f"context {place}", "?", (Answer("c", 0),) if has else ())
        for place, kinds in enumerate(contexts)
        for number, has in enumerate(kinds)
    ]


@given(contexts=CONTEXTS, share=st.floats(0.01, 0.9), seed=st.integers(0, 9))
def test_it_is_made_of_whole_contexts_whatever_their_order(
    contexts: list[list[bool]], share: float, seed: int
) -> None:
    questions = made(contexts)
    chosen = interim.part(questions, share)
    assert chosen == sorted(set(chosen))
    inside = {questions[number].context for number in chosen}
    assert [n for n, q in enumerate(questions) if q.context in inside] == chosen
    assert len(chosen) >= share * len(questions)
    shuffled = random.Random(seed).sample(questions, len(questions))
    assert {shuffled[number].context for number in interim.part(shuffled, share)} == inside


@given(contexts=CONTEXTS)
def test_it_has_every_kind_of_question_that_the_whole_has(contexts: list[list[bool]]) -> None:
    questions = made(contexts)
    chosen = interim.part(questions, 0.01)
    kinds = [
        {bool(q.answers) for q in some} for some in (questions, [questions[n] for n in chosen])
    ]
    assert kinds[0] == kinds[1]


def test_a_large_set_gives_no_more_than_was_asked_for() -> None:
    questions = made([[True, False]] * 200)
    assert len(interim.part(questions, 0.25)) == 100


def test_its_windows_are_those_of_its_questions(
    tiny_questions: list[Question], tiny_tokenizer: transformers.PreTrainedTokenizerBase
) -> None:
    settings = request.Data(max_length=32, stride=8, max_query_length=12)
    whole = windows.cut(tiny_questions, tiny_tokenizer, settings)
    numbers = interim.part(tiny_questions, 0.3)
    expected = windows.cut([tiny_questions[n] for n in numbers], tiny_tokenizer, settings)
    found = whole.of_questions(numbers)
    assert 0 < len(found) < len(whole)
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(array, getattr(found, name), strict=True)
