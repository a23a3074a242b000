"""Answers and metrics against hand-made cases and against transformers 4.57.6 (see oracle/)."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distillery_contract import metrics as contract
from distillery_contract import request
from distillery_trainer import tiny
from distillery_trainer.data import windows
from distillery_trainer.data.questions import Answer, Question
from distillery_trainer.data.windows import Windows
from distillery_trainer.evaluation import answers, squad
from distillery_trainer.evaluation.answers import Answers

Oracle = Callable[[dict[str, Any]], dict[str, Any]]

PLAIN = ["lima", "oslo", "river", "of", "seven", "hills", "old", "bridge", "north", "gate", "wall"]
WORDS = [
    *PLAIN, "The", "a", "An", "the", "Café", "naïve", "Zürich", "ZÜRICH", "3,141", "(1990)", "–",
    "U.S.", "O'Neil", "北京市", "한국", "ﬁre", "☃", "Straße", "İzmir", "e\u0301t\u00e9",
    "well-known", "£5", "", "!",
]  # fmt: skip


def make_question(golds: list[str], name: str = "q") -> Question:
    return Question(name, "", "", tuple(Answer(gold, 0) for gold in golds))


def evaluated(
    golds: list[list[str]], texts: list[str], margins: list[float] | None, threshold: float = 0.0
) -> dict[str, float]:
    found = Answers(texts, None if margins is None else np.array(margins))
    return squad.metrics([make_question(g) for g in golds], found, threshold)


def test_silence_on_every_question_of_squad_scores_50_0716() -> None:
    golds = [["an answer"]] * 5928 + [[]] * 5945
    found = evaluated(golds, ["a guess"] * 11873, [1.0] * 11873)
    assert round(found["exact"], 4) == round(found["f1"], 4) == 50.0716
    assert (found["HasAns_exact"], found["NoAns_exact"]) == (0.0, 100.0)
    assert (found["HasAns_f1"], found["NoAns_f1"]) == (0.0, 100.0)
    assert round(found["best_exact"], 4) == 50.0716


def test_every_metric_is_one_of_the_contract() -> None:
    found = evaluated([["x"], []], ["x", "y"], [0.0, 1.0])
    assert set(found) == set(contract.EVALUATIONS) - {"parameter_count", "inference_seconds"}


def test_a_set_that_is_empty_has_no_metrics() -> None:
    answerable = evaluated([["x"]], ["x"], None)
    assert answerable == {"exact": 100, "HasAns_exact": 100, "f1": 100, "HasAns_f1": 100}
    assert not any(n.startswith("HasAns") for n in evaluated([[]], ["x"], [0.0]))


@pytest.mark.parametrize(
    ("gold", "text", "exact", "f1"),
    [
        ("The Old Bridge!", "old bridge", 1, 1),
        ("a-b", "ab", 1, 1),
        ("bridge of lima", "the bridge", 0, 0.5),
        ("lima lima oslo", "lima oslo oslo", 0, 2 / 3),
        ("lima", "oslo", 0, 0),
        ("the", "", 1, 1),
        ("lima", "the", 0, 0),
    ],
)
def test_answers_are_compared_as_words(gold: str, text: str, exact: float, f1: float) -> None:
    assert squad.exact(gold, text) == exact
    assert squad.f1(gold, text) == pytest.approx(f1)


def test_an_answer_is_given_unless_the_margin_is_above_the_threshold() -> None:
    found = Answers(["a", "b", "c"], np.array([-1.0, 0.5, 0.6]))
    assert found.given(0.5) == ["a", "b", ""]


def test_the_best_threshold_counts_what_answering_gains_and_loses() -> None:
    golds: list[list[str]] = [["x"], [], ["z"], []]
    found = evaluated(golds, ["x", "y", "z", ""], [-3.0, 2.0, 1.0, 0.0])
    assert (found["best_exact"], found["best_exact_thresh"]) == (100.0, 1.0)
    assert found["exact"] == 75.0


def random_text(draw: random.Random, words: list[str]) -> str:
    return " ".join(draw.choices(words, k=draw.randrange(5)))


def random_metrics_case(seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    golds, texts, margins = [], [], []
    share = draw.choice([0.0, 0.5, 0.5, 0.5, 1.0])  # of unanswerable questions
    for _ in range(draw.randrange(1, 40)):
        answers = [random_text(draw, WORDS) for _ in range(draw.randrange(1, 4))]
        golds.append([] if draw.random() < share else answers)
        given = [draw.choice(answers), draw.choice(answers).upper(), random_text(draw, WORDS), ""]
        texts.append(draw.choice(given))
        margins.append(draw.choice([-1.0, 0.0, 1.0, draw.gauss(0, 3)]))
    threshold = draw.choice([0.0, 0.0, -1.0, 2.5])
    return {"golds": golds, "texts": texts, "margins": margins, "threshold": threshold}


def test_metrics_are_those_of_squad_evaluate(oracle: Oracle) -> None:
    cases = [random_metrics_case(seed) for seed in range(300)]
    for case, official in zip(cases, oracle({"metrics": cases})["metrics"], strict=True):
        ours = evaluated(case["golds"], case["texts"], case["margins"], case["threshold"])
        wanted = {k: v for k, v in official.items() if not k.endswith("total")}
        assert ours == pytest.approx(wanted, rel=1e-12, abs=1e-12), case


def random_answers_case(seed: int, words: list[str]) -> tuple[list[Question], request.Data, Any]:
    """Return questions on random contexts, settings, and a tokenizer trained on some of them."""
    draw = random.Random(seed)
    contexts = [
        "".join(
            w + draw.choice([" ", " ", " ", "  ", "\n"] if words is WORDS else [" "]) for w in ws
        )
        for ws in (draw.choices(words, k=draw.randrange(1, 70)) for _ in range(6))
    ]
    contexts = [c.strip() for c in contexts if c.strip()]
    questions = [
        Question(str(i), context, " ".join(draw.choices(PLAIN, k=draw.randrange(1, 9))), ())
        for i, context in enumerate(contexts)
    ]
    tokenizer = tiny.make_tokenizer([*contexts[::2], *PLAIN])
    settings = request.Data(
        unanswerable=draw.random() < 0.8,
        max_length=draw.choice([24, 32, 64]),
        stride=draw.choice([0, 3, 8]),
        max_query_length=6,
        max_answer_length=draw.choice([3, 30]),
        n_best=draw.choice([4, 20]),
        null_threshold=draw.choice([0.0, 1.5]),
    )
    return questions, settings, tokenizer


def random_logits(made: Windows, seed: int) -> tuple[Any, Any]:
    """Return logits as of a model; every third time whole numbers, so that there are many ties."""
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 3, (2, len(made.input_ids))).astype(np.float32)
    start, end = np.round(logits) if seed % 3 == 0 else logits
    return start, end


def oracle_case(
    questions: list[Question], settings: request.Data, tokenizer: Any, made: Windows, logits: Any
) -> dict[str, Any]:
    start, end = (
        [flat[made.rows[i] : made.rows[i + 1]].tolist() for i in range(len(made))]
        for flat in logits
    )
    asked = []
    for index, question in enumerate(questions):
        numbers = np.flatnonzero(made.question == index)
        # run_squad's doc_stride is the advance of a window, ours is the overlap of two.
        room = settings.max_length - (made.context[numbers[0], 0] - 2) - windows.SPECIAL_TOKENS
        asked.append(
            {
                "id": question.id,
                "text": question.question,
                "context": question.context,
                "advance": int(room - settings.stride),
                "start": [start[w] for w in numbers],
                "end": [end[w] for w in numbers],
            }
        )
    vocabulary = tokenizer.get_vocab()
    return {
        "vocabulary": sorted(vocabulary, key=vocabulary.get),
        "questions": asked,
        "max_length": settings.max_length,
        "max_query_length": settings.max_query_length,
        "max_answer_length": settings.max_answer_length,
        "n_best": settings.n_best,
        "unanswerable": settings.unanswerable,
        "threshold": settings.null_threshold,
    }


def agree(ours: str, official: str, context: str) -> bool:
    """Tell whether two answers are the same tokens of a context.

    The official answer has white space squeezed. It is cut from whole words by aligning the tokens'
    text with them, and where this fails, as with an unknown token, it stays the whole words.
    """
    ours, context = " ".join(ours.split()), " ".join(context.split())
    whole_words = f" {official} " in f" {context} " and ours in official
    return ours == official or whole_words


@pytest.mark.parametrize("words", [PLAIN, WORDS], ids=["plain", "unicode"])
def test_answers_are_those_of_compute_predictions_logits(oracle: Oracle, words: list[str]) -> None:
    setups = [(seed, *random_answers_case(seed, words)) for seed in range(30)]
    cases, found = [], []
    for seed, questions, settings, tokenizer in setups:
        made = windows.cut(questions, tokenizer, settings)
        logits = random_logits(made, seed)
        cases.append(oracle_case(questions, settings, tokenizer, made, logits))
        found.append((made, answers.extract(questions, made, *logits, settings)))
    same = total = 0
    answered = oracle({"answers": cases})["answers"]
    for setup, (made, ours), official in zip(setups, found, answered, strict=True):
        _, questions, settings, tokenizer = setup
        given = ours.given(settings.null_threshold)
        for i, question in enumerate(questions):
            ids = [
                made.input_ids[made.rows[w] : made.rows[w + 1]]
                for w in np.flatnonzero(made.question == i)
            ]
            tokens = [tokenizer.convert_ids_to_tokens(w.tolist()) for w in ids]
            assert tokens == official["tokens"][i]
            if settings.unanswerable:
                assert ours.margin is not None
                assert ours.margin[i] == pytest.approx(official["margins"][question.id], abs=1e-9)
            best = official["best"][question.id]
            if best == "empty":  # no candidate at all: the official code then answers this word
                assert ours.text[i] == ""
                continue
            total += 1
            same += " ".join(ours.text[i].split()) == best
            assert agree(ours.text[i], best, question.context), (ours.text[i], best)
            assert (given[i] == "") == (official["given"][question.id] == "")
    assert total > 100
    assert same / total > (0.99 if words is PLAIN else 0.9)


def plateau(made: Windows) -> tuple[Any, Any]:
    return np.zeros(len(made.input_ids), np.float32), np.zeros(len(made.input_ids), np.float32)


SMALL = request.Data(max_length=12, stride=2, max_query_length=4, max_answer_length=3, n_best=20)


def made_of(context: str) -> tuple[list[Question], Windows]:
    questions = [Question("q", context, "old bridge", ())]
    return questions, windows.cut(questions, tiny.make_tokenizer(PLAIN), SMALL)


def test_silence_scores_the_least_of_the_windows() -> None:
    questions, made = made_of(" ".join(PLAIN))
    assert len(made) == 2
    start, end = plateau(made)
    start[made.rows[:-1]], end[made.rows[:-1]] = [3.0, 1.0], [1.0, 2.0]
    found = answers.extract(questions, made, start, end, SMALL)
    assert found.margin is not None
    assert found.margin.tolist() == [3.0]


def test_answers_end_after_their_start_and_are_not_too_long() -> None:
    questions, made = made_of("lima oslo river seven hills")
    start, end = plateau(made)
    begin = made.context[0, 0]
    start[begin + 1], end[begin], end[begin + 3], end[begin + 4] = 9, 9, 4, 8
    found = answers.extract(questions, made, start, end, SMALL)
    assert found.text == ["oslo river seven"]


def test_the_question_itself_is_never_the_answer() -> None:
    questions, made = made_of("lima oslo river")
    start, end = plateau(made)
    start[1:3], end[1:3] = 50, 50
    assert answers.extract(questions, made, start, end, SMALL).text == ["lima"]


def test_a_token_may_start_an_answer_only_where_most_context_surrounds_it() -> None:
    questions, made = made_of(" ".join(PLAIN))
    start, end = plateau(made)
    twice = made.context[1, 0]  # the second window's first token is last but one in the first
    assert made.first[1] == made.context[0, 1] - made.context[0, 0] - 2
    start[made.rows[1] + twice] = end[made.rows[1] + twice] = 50
    assert answers.extract(questions, made, start, end, SMALL).text != [PLAIN[made.first[1]]]
    start[made.context[0, 1] - 2] = end[made.context[0, 1] - 2] = 40
    assert answers.extract(questions, made, start, end, SMALL).text == [PLAIN[made.first[1]]]


def test_without_candidates_silence_is_the_answer() -> None:
    settings = request.Data(max_length=12, stride=2, max_query_length=4, n_best=1)
    questions, made = made_of("lima oslo river")
    start, end = plateau(made)
    start[0] = 5
    found = answers.extract(questions, made, start, end, settings)
    assert found.text == [""]
    assert found.margin is not None
    assert found.margin.tolist() == [5.0]
