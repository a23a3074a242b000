"""Windows against those of the tokenizer itself, and answers against their text."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_contract import request
from distillery_trainer.data import windows
from distillery_trainer.data.questions import Answer, Question

SETTINGS = request.Data(max_length=24, stride=6, max_query_length=6)


@pytest.mark.parametrize("family", ["tiny_teacher", "tiny_distilbert"])
def test_windows_are_those_of_the_tokenizers_own_overflow(
    family: str, request: pytest.FixtureRequest, tiny_questions: list[Question]
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(family))
    made = windows.cut(tiny_questions, tokenizer, SETTINGS)
    own = []
    for index, question in enumerate(tiny_questions):
        query = tokenizer.tokenize(question.question)[: SETTINGS.max_query_length]
        encoded = tokenizer(
            tokenizer.convert_tokens_to_string(query),
            question.context,
            max_length=SETTINGS.max_length,
            stride=SETTINGS.stride,
            truncation="only_second",
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for i in range(len(encoded["input_ids"])):
            inside = [part == 1 for part in encoded.sequence_ids(i)]
            spans = zip(encoded["offset_mapping"][i], inside, strict=True)
            offsets = [o if is_context else (0, 0) for o, is_context in spans]
            own.append((index, encoded["input_ids"][i], offsets, inside))
    assert len(own) == len(made) > len(tiny_questions)
    for i, (index, ids, offsets, inside) in enumerate(own):
        window = slice(made.rows[i], made.rows[i + 1])
        assert made.question[i] == index
        assert made.input_ids[window].tolist() == ids
        assert [tuple(o) for o in made.offsets[window].tolist()] == offsets
        assert np.flatnonzero(inside).tolist() == list(range(*made.context[i]))


def test_the_span_is_the_answer_or_the_cls_token(
    tiny_questions: list[Question], tiny_tokenizer: transformers.PreTrainedTokenizerBase
) -> None:
    made = windows.cut(tiny_questions, tiny_tokenizer, SETTINGS)
    shown = set()
    for i in range(len(made)):
        question = tiny_questions[made.question[i]]
        if made.span[i].any():
            first, last = made.offsets[made.rows[i] + made.span[i]]
            assert question.context[first[0] : last[1]] == question.answers[0].text
            shown.add(question.id)
    assert shown == {q.id for q in tiny_questions if q.answers}
    assert windows.lost(made, tiny_questions) == []
    assert all(not made.span[i].any() for i in range(len(made)) if made.question[i] % 3 == 2)


def test_white_space_around_an_answer_belongs_to_no_token(
    tiny_tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    question = Question("q", "People like Lima, too.", "What?", (Answer(" Lima", 11),))
    made = windows.cut([question], tiny_tokenizer, SETTINGS)
    first, last = made.offsets[made.span[0]]
    assert question.context[first[0] : last[1]] == "Lima"


def test_an_answer_longer_than_the_windows_is_lost(
    tiny_tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    context = "Lima is a city " * 9
    long = Question("long", context, "What?", (Answer(context.strip(), 0),))
    short = Question("short", context, "What?", (Answer("city", context.rindex("city")),))
    silent = Question("silent", context, "What?", ())
    made = windows.cut([long, short, silent], tiny_tokenizer, SETTINGS)
    assert windows.lost(made, [long, short, silent]) == [0]


@settings(max_examples=200, deadline=None)
@given(tokens=st.integers(0, 500), room=st.integers(1, 60), data=st.data())
def test_windows_cover_every_token_and_share_the_stride(
    tokens: int, room: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(0, room - 1))
    spans = [(s, min(s + room, tokens)) for s in windows._starts(tokens, room, stride)]
    assert spans[0][0] == 0
    assert spans[-1][1] == tokens
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end - start == stride
        assert end < tokens  # the next window was needed


def test_stored_features_come_back_as_they_were(
    tmp_path: Path,
    tiny_questions: list[Question],
    tiny_tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    made = windows.cut(tiny_questions, tiny_tokenizer, SETTINGS)
    windows.save(made, tmp_path / "train")
    read = windows.load(tmp_path / "train")
    for name, array in vars(made).items():
        np.testing.assert_array_equal(array, getattr(read, name), strict=True)
        assert not getattr(read, name).flags.writeable


def test_padding_fills_up_to_the_longest_window(
    tiny_questions: list[Question], tiny_tokenizer: transformers.PreTrainedTokenizerBase
) -> None:
    made = windows.cut(tiny_questions, tiny_tokenizer, SETTINGS)
    rows = random.Random(0).sample(range(len(made)), 9)
    padded = made.padded(made.input_ids, rows, -1)
    assert padded.shape == (9, made.lengths()[rows].max())
    for row, line in zip(rows, padded, strict=True):
        length = made.lengths()[row]
        assert (line[:length] == made.input_ids[made.rows[row] : made.rows[row + 1]]).all()
        assert (line[length:] == -1).all()
