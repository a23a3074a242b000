"""Searches of other libraries in processes of their own."""

import sys

import numpy as np

from contest import environments, peer
from contest.peer import Nehvi, Peer
from contest.problems import Training
from contest.synthetic import Synthetic

PROBLEM = Synthetic()


def test_the_acquisition_prefers_what_is_good_for_its_size() -> None:
    places = np.linspace(-0.5, 0.5, 21)
    points = [[float(place), 0.5] for place in places]
    values = [90 - 60 * abs(place - 0.2) for place in places]
    asked = {"points": points, "values": values, "pending": []}
    environment = {"PYTHONPATH": str(environments.botorch())}
    with Peer([sys.executable, peer.HERE / "nehvi.py"], environment) as process:
        process.ask({"seed": 1, "threshold": 60.0})
        candidates = [[0.2, 0.3], [-0.1, 0.3], [0.2, 0.5], [0.2, 0.9], [0.2, 1.1]]
        gains = process.ask({**asked, "candidates": candidates})
        assert [*np.argsort(gains)[::-1][:2]] == [0, 1]
        smaller, good = gains[1], gains[0]
        # While the best one is being trained, it gains less to train it once more.
        pending = {**asked, "pending": [candidates[0]], "candidates": candidates}
        assert process.ask(pending)[0] < smaller < good


def test_its_suggestions_are_points_of_the_space_and_repeat_themselves() -> None:
    found = []
    for _ in range(2):
        with Nehvi(PROBLEM, 3) as contestant:
            for number in range(peer.STARTUP + 2):
                training = Training(PROBLEM, contestant.suggest(), 3)
                contestant.end(number, training.at(1.0))
            found.append(contestant.suggest())
    assert found[0] == found[1]
    for parameter in PROBLEM.experiment.spec.parameters:
        value = found[0][parameter.name]
        if parameter.choices:
            assert value in parameter.choices
        else:
            assert (parameter.low or 0) <= float(value) <= (parameter.high or 0)
