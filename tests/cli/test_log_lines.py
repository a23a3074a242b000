import json
import logging
import sys

from distillery_operator.cli import log_lines
from distillery_operator.cluster.kinds import Key

KEY = Key("science", "tiny")


def record(*args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("a.b", logging.WARNING, "x.py", 1, "%s: %s", args, None)
    made.created = 1_700_000_000.25
    made.__dict__.update(extra)
    return made


def test_a_line_for_people_has_its_time_and_names_the_experiment() -> None:
    text = log_lines.Text().format(record(KEY, "it waits"))
    assert text == "2023-11-14T22:13:20.250Z WARNING a.b: science/tiny: it waits"


def test_a_line_for_programs_has_what_it_is_about_as_fields() -> None:
    line = json.loads(log_lines.Json().format(record(KEY, 'a "quoted"\nline', reason="Crashed")))
    assert line == {
        "ts": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "a.b",
        "message": 'science/tiny: a "quoted"\nline',
        "namespace": "science",
        "experiment": "tiny",
        "reason": "Crashed",
    }


def test_a_line_about_no_experiment_names_none_and_a_fault_has_its_traceback() -> None:
    try:
        raise ValueError("seven")
    except ValueError:
        made = record("the program", "a fault")
        made.exc_info = sys.exc_info()
    text = log_lines.Json().format(made)
    assert "\n" not in text
    line = json.loads(text)
    assert "namespace" not in line
    assert line["exception"].endswith("ValueError: seven")


def test_a_level_is_that_of_everything_but_kopf_which_is_never_talkative() -> None:
    root, kopf = logging.getLogger(), logging.getLogger("kopf")
    before = root.level, kopf.level, [handler.formatter for handler in root.handlers]
    try:
        for level, least in (("debug", logging.WARNING), ("error", logging.ERROR)):
            log_lines.configure(level, "json")
            assert root.level == getattr(logging, level.upper())
            assert kopf.level == least
    finally:
        root.setLevel(before[0])
        kopf.setLevel(before[1])
        for handler, formatter in zip(root.handlers, before[2], strict=True):
            handler.setFormatter(formatter)
