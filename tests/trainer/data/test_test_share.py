"""A share of the validation questions, set apart as test questions."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_contract import request
from distillery_trainer.data import dataset, test_share
from distillery_trainer.data.faults import DataError
from distillery_trainer.data.questions import Records

ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 4)), min_size=2, max_size=20)


def records(*articles: tuple[str, int]) -> Records:
    numbers = iter(range(1000))
    return [
        (str(number := next(numbers)), {"id": number, "title": title, "context": f"{title} {i}"})
        for title, count in articles
        for i in range(count)
    ]


@given(articles=ROWS, share=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_whole_articles_are_set_apart_whatever_the_order(
    articles: list[tuple[str, int]], share: float, seed: int
) -> None:
    rows = records(*articles)
    try:
        apart, left = (test_share.part(rows, share, test, "x") for test in (True, False))
    except DataError:
        return
    assert sorted(map(str, [*apart, *left])) == sorted(map(str, rows))
    assert {r["title"] for _, r in apart}.isdisjoint(r["title"] for _, r in left)
    assert len(apart) >= share * len(rows)
    shuffled = random.Random(seed).sample(rows, len(rows))
    again = test_share.part(shuffled, share, True, "x")
    assert sorted(map(str, again)) == sorted(map(str, apart))


def test_questions_without_a_title_are_parted_by_their_contexts() -> None:
    rows = [(str(i), {"id": i, "context": f"context {i // 3}"}) for i in range(30)]
    apart = {row["context"] for _, row in test_share.part(rows, 0.5, True, "x")}
    assert len(apart) == 5
    assert not apart & {row["context"] for _, row in test_share.part(rows, 0.5, False, "x")}


def test_a_share_that_leaves_no_article_is_refused() -> None:
    rule = "dev.json must have articles besides those that data.testShare sets apart"
    with pytest.raises(DataError, match=f"{rule}, but a share of 0.5 takes all 1"):
        test_share.part(records(("a", 9)), 0.5, False, "dev.json")


def test_the_splits_of_a_file_are_told_apart_by_their_fingerprints(tmp_path: Path) -> None:
    articles = [
        {
            "title": title,
            "paragraphs": [
                {"context": "Lima.", "qas": [{"id": title, "question": "?", "answers": []}]}
            ],
        }
        for title in "abcdef"
    ]
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"data": articles}))
    data = request.Data(train=str(file), validation=str(file), test_share=0.3)
    test, validation, train = (
        {q.id for q in dataset.load(data, split).questions}
        for split in ("test", "validation", "train")
    )
    assert (len(test), len(validation)) == (2, 4)
    assert test | validation == train == set("abcdef")
    assert dataset.fingerprint(data, "test") == dataset.fingerprint(data, "validation")
