"""The tables "What happens when ..." of docs/cluster.md: each row has a test that shows it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/cluster.md").read_text()

SHOWN = {
    "eviction, preemption": "cluster/test_attempts.py::"
    "test_what_the_infrastructure_ended_is_resumed_and_never_told",
    "the trainer has ended, but another": "engine/test_decide.py::"
    "test_a_training_that_has_ended_beside_a_sidecar_is_told_and_its_pod_ended",
    "a node does not answer": "cluster/test_nodes.py::"
    "test_a_node_that_does_not_answer_is_told_before_its_pods_are_given_up",
    "the files of trials off": "engine/test_status.py::test_files_that_are_not_removed_say_why",
    "deleted Job": "controller/test_controller.py::test_a_job_deleted_by_hand_is_made_again",
    "a training reports no further": "engine/test_decide.py::"
    "test_silence_counts_as_a_crash_and_resumes_within_that_limit",
    "crash, or": "controller/test_controller.py::test_a_crash_is_tried_again_as_another_job",
    "a training ends well": "engine/test_decide.py::"
    "test_a_success_whose_report_went_with_its_pod_is_as_good_as_interrupted",
    "divergence": "controller/test_controller.py::"
    "test_what_a_suggestion_caused_is_told_and_not_tried_again",
    "a rule of": "engine/test_decide.py::test_a_hopeless_training_is_asked_to_end_with_its_reason",
    "an image that cannot": "engine/test_status.py::"
    "test_what_only_a_person_can_end_degrades_the_experiment",
    "Kueue does not": "cluster/test_wait_reasons.py::"
    "test_a_queue_says_in_its_own_words_why_a_job_waits",
    "no room on any": "cluster/test_waiting.py::test_a_quota_says_why_a_job_has_no_pod",
    "a wait longer": "cluster/test_waiting.py::"
    "test_a_job_that_no_machine_takes_in_time_ends_and_says_so",
    "a quota, a webhook": "controller/test_controller.py::"
    "test_a_quota_holds_up_nothing_but_what_it_refuses",
    "the API server refuses": "controller/test_controller.py::"
    "test_a_template_that_the_server_refuses_starts_nothing",
    "a template asks": "cluster/test_pod_template.py::"
    "test_no_template_reaches_an_api_token_or_what_is_the_operators_own",
    "a spec wants more": "controller/test_caps.py::"
    "test_a_slip_of_the_pen_starts_no_more_than_the_caps_leave",
    "the namespace of an": "controller/test_ends.py::"
    "test_a_namespace_is_deleted_with_its_experiments",
    "a namespace of `watch": "charts/test_release.py::"
    "test_a_namespace_that_refuses_holds_up_no_other_and_comes_back_without_a_restart",
    "a namespace gets": "charts/test_release.py::"
    "test_namespaces_are_followed_by_their_labels_without_a_restart",
    "the API server answers": "controller/test_starting.py::"
    "test_an_api_server_that_is_away_is_waited_for",
    "a watch of the": "internals/test_watches_of_kopf.py::"
    "test_a_watch_that_falls_silent_is_opened_again_from_where_it_was",
    "an error comes": "internals/test_watches_of_kopf.py::"
    "test_a_watch_lists_again_after_an_error_within_its_stream",
    "the database does": "controller/test_controller.py::"
    "test_without_its_database_nothing_starts_and_with_it_everything_goes_on",
    "two operators of": "engine/test_overlap.py::Overlap",
    "the operator is killed": "controller/test_ends.py::"
    "test_an_operator_that_was_killed_goes_on_with_a_deletion",
    "the operator that works": "cluster/test_lease.py::"
    "test_a_dead_holder_is_replaced_and_a_holder_that_cannot_renew_ends",
    "another operator looks": "controller/test_owners.py::"
    "test_a_second_operator_leaves_an_experiment_alone_and_says_so",
    "the operator's own": "controller/test_faults.py::"
    "test_it_is_said_in_its_status_and_by_an_event_and_holds_up_no_other",
}
"""Beginnings of rows, each with the test that shows the row."""

NEIGHBOURS = {
    "eviction, preemption": "test_kueue.py::"
    "test_quota_decides_and_a_preempted_trial_resumes_as_if_nothing_had_happened",
    "the trainer has ended, but another": "test_node_faults.py::"
    "test_a_sidecar_in_every_pod_keeps_no_result_no_file_and_no_deletion",
    "a node does not answer": "test_node_faults.py::"
    "test_a_trial_on_a_node_that_falls_silent_holds_no_slot_and_trains_once",
    "the files of trials off": "test_kueue.py::"
    "test_a_queue_of_gpus_alone_says_what_it_never_admits_and_holds_no_file",
    "Kueue does not": "test_kueue.py::"
    "test_a_job_that_kueue_has_given_up_says_so_and_what_lets_it_try_again",
    "no room on any": "test_node_faults.py::"
    "test_a_quota_that_refuses_pods_is_told_in_its_words_and_the_search_continues",
    "the namespace of an": "test_node_faults.py::"
    "test_a_deleted_namespace_takes_its_search_along_and_holds_up_no_other",
    "a watch of the": "test_node_faults.py::test_a_watch_that_falls_silent_holds_no_search_up",
    "two operators of": "test_node_faults.py::test_two_operators_and_kills_end_each_trial_once",
}
"""Beginnings of rows, each with the test of tests/neighbours that shows it on real pods too."""


def rows() -> list[str]:
    parts = re.findall(r"^## What happens when [^\n]*\n(.*?)(?=^#)", TEXT, re.M | re.S)
    found = [line for part in parts for line in part.splitlines() if line.startswith("| ")]
    return [line.removeprefix("| ") for line in found if not line.startswith("| what happens |")]


def test_each_row_of_what_happens_names_the_test_that_shows_it() -> None:
    assert [begins for row in rows() for begins in SHOWN if row.startswith(begins)] == [*SHOWN]
    assert len(rows()) == len(SHOWN)


def test_what_real_pods_show_is_a_row() -> None:
    assert NEIGHBOURS.keys() <= SHOWN.keys()


@pytest.mark.parametrize(
    "place", [*SHOWN.values(), *(f"neighbours/{place}" for place in NEIGHBOURS.values())]
)
def test_that_test_is_there(place: str) -> None:
    file, name = place.split("::")
    assert re.search(rf"(def|class) {name}\(", (ROOT / "tests" / file).read_text())
