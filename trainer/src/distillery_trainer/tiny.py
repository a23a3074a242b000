"""Small real questions, tokenizers and models, made in seconds.

Tests use them, and ``distillery try`` to see whether a cluster runs trials:
``python -m distillery_trainer.tiny FOLDER``.
"""

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path

import torch
import transformers
from tokenizers import normalizers
from tokenizers.pre_tokenizers import BertPreTokenizer

from distillery_trainer import atomic
from distillery_trainer.data.questions import Answer, Question

QUESTIONS = {"train": 90, "validation": 30}

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 300

CITIES = ["Lima", "Oslo", "Cairo", "Quito", "Tunis", "Riga", "Accra", "Hanoi", "Sofia", "Minsk"]
FACTS = {
    "population": "people",
    "elevation": "metres",
    "area": "square miles",
    "rainfall": "inches",
}


def make_questions(count: int, seed: int) -> list[Question]:
    """Return questions about numbers in paragraphs of two cities; every third is unanswerable."""
    random_ = random.Random(seed)
    questions = []
    for i in range(count):
        city, other = random_.sample(CITIES, 2)
        stated, asked = random_.sample(list(FACTS), 2)
        value = f"{random_.randrange(1, 10**6):,} {FACTS[stated]}"
        context = f"{other} is a city. The {stated} of {city} is {value}. People like {other}, too."
        answers: tuple[Answer, ...] = (Answer(value, context.index(value)),)
        if i % 3 == 2:
            stated, answers = asked, ()
        text = f"What is the {stated} of {city}?"
        questions.append(Question(f"{seed}-{i}", context, text, answers))
    return questions


def write_squad(path: Path, questions: list[Question]) -> Path:
    """Write questions as SQuAD 2.0's official JSON, one article with a paragraph for each."""
    paragraphs = [
        {
            "context": q.context,
            "qas": [
                {
                    "id": q.id,
                    "question": q.question,
                    "answers": [{"text": a.text, "answer_start": a.start} for a in q.answers],
                    "is_impossible": not q.answers,
                }
            ],
        }
        for q in questions
    ]
    document = {"version": "v2.0", "data": [{"title": "Cities", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def make_tokenizer(texts: list[str]) -> transformers.PreTrainedTokenizerBase:
    """Make a lower-casing WordPiece tokenizer as BERT has it: of characters and frequent words.

    The same texts make the same tokenizer; the library's own trainer breaks ties at random.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), BertPreTokenizer()
    words = Counter(
        word
        for text in texts
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    characters = sorted({character for word in words for character in word})
    frequent = sorted(words, key=lambda word: (-words[word], word))
    pieces = [*SPECIAL, *characters, *(f"##{c}" for c in characters), *frequent]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    kept = {piece: number for piece, number in vocabulary.items() if number < VOCABULARY}
    return transformers.BertTokenizer(vocab=kept, do_lower_case=True)


def make_model(folder: Path, family: str, tokenizer: transformers.PreTrainedTokenizerBase) -> Path:
    """Write a random model of a family (``bert`` or ``distilbert``) with its tokenizer."""
    torch.manual_seed(0)
    common = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 128,
        "initializer_range": 0.3,  # wide, so that logits differ visibly between inputs
    }
    shapes = {
        "bert": {
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 64,
        },
        "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    }
    config = transformers.AutoConfig.for_model(family, **common, **shapes[family])
    auto = transformers.AutoModelForQuestionAnswering
    model = auto.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write(folder: Path) -> None:
    """Write train.json, validation.json and a random teacher/; what is there already stays.

    The folder is there whole or not at all, whoever else writes it.
    """
    if folder.exists():
        return
    with atomic.folder(folder, alone=False) as made:
        splits = {
            split: make_questions(count, seed)
            for seed, (split, count) in enumerate(QUESTIONS.items(), start=1)
        }
        for split, questions in splits.items():
            write_squad(made / f"{split}.json", questions)
        texts = [text for q in splits["train"] for text in (q.context, q.question)]
        make_model(made / "teacher", "bert", make_tokenizer(texts))


def main() -> int:
    """Read the command line and write; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m distillery_trainer.tiny",
        description="Write train.json, validation.json and a random teacher/ into a folder.",
    )
    parser.add_argument("folder", type=Path)
    write(parser.parse_args().folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
