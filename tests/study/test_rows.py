"""Which rows are an experiment's own: whatever others do between them, numbers stay."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery_operator.study import rows
from distillery_operator.study.rows import RECORD, RUNNING, WAITING, Row

FIRST: dict[str, Any] = {"suggestion": {"parameters": {}}}
STEPS = st.lists(st.sampled_from(["add", "foreign", "enqueue", "take", "copy", "first"]))


def own(number: int, identifier: int) -> dict[str, Any]:
    return {**FIRST, RECORD: rows.record(2, number, identifier)}


@given(STEPS)
def test_a_trial_keeps_its_number_whatever_happens(steps: list[str]) -> None:
    table: list[Row] = []
    expected: list[int] = []  # rows of the trials, by their numbers
    for step in steps:
        identifier, place = 3 * len(table) + 5, len(table)
        row = Row(identifier, place, RUNNING)
        queue = [index for index, r in enumerate(table) if r.state == WAITING]
        if step == "take" and queue:
            taken = table[queue[0]]
            attributes = {"why": "a hunch", **own(len(expected), taken.id)}
            table[queue[0]] = Row(taken.id, taken.place, RUNNING, attributes, taken.fixed)
            expected.append(taken.id)
        elif step == "add":
            table.append(Row(identifier, place, RUNNING, own(len(expected), identifier)))
            expected.append(identifier)
        elif step == "first" and len(expected) == len(table):  # that release knew no others
            table.append(Row(identifier, place, RUNNING, FIRST))
            expected.append(identifier)
        elif step == "enqueue":
            table.append(Row(identifier, place, WAITING, fixed={"n_layers": 2}))
        elif step == "copy" and expected:
            copied = next(r for r in table if r.id == expected[0])
            if RECORD in copied.attributes:
                table.append(Row(identifier, place, RUNNING, copied.attributes))
        elif step == "foreign":
            table.append(row)
        found = rows.sort(table)
        assert [r.id for r in found.own] == expected
        assert len(found.own) + len(found.enqueued) + len(found.foreign) == len(table)
        assert all(r.state == WAITING for r in found.enqueued)


@pytest.mark.parametrize("numbers", [[1], [0, 2], [0, 1, 3, 4]])
def test_a_gap_in_the_numbers_is_an_error(numbers: list[int]) -> None:
    table = [Row(n + 1, n, RUNNING, own(n, n + 1)) for n in numbers]
    with pytest.raises(ValueError, match="without a gap, but"):
        rows.sort(table)


def test_a_number_that_is_there_twice_is_an_error() -> None:
    table = [Row(n, n, RUNNING, own(0, n)) for n in (1, 2)]
    with pytest.raises(ValueError, match="trial 0 is twice"):
        rows.sort(table)


@pytest.mark.parametrize(
    "attributes", [{"suggestion": "text"}, {"suggestion": {}}, {RECORD: "text"}, {RECORD: {}}]
)
def test_attributes_of_these_names_do_not_make_a_row_ones_own(attributes: dict[str, Any]) -> None:
    assert len(rows.sort([Row(1, 0, RUNNING, attributes)]).foreign) == 1
