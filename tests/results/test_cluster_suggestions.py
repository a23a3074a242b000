"""`distillery suggest` on a cluster, beside a tool that applies a file from Git."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import kubelet, worlds
from support.cluster.access import Cluster
from support.command_line import Done, call
from support.operators import Operator, until
from support.spaces import Space, install


@pytest.fixture
def space(
    control_plane: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Space]:
    """A namespace with an operator of its own; a person's shell is in an empty folder."""
    kubeconfig = install(control_plane, tmp_path)
    made = Space(control_plane)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    options = (f"--namespace={made.name}", "--workspace-claim=work")
    operator = Operator(kubeconfig, f"sqlite:///{tmp_path}", tmp_path / "log", *options)
    with kubelet.playing(kubelet.Kubelet(control_plane.kubeconfig, 0.5)), operator:
        yield made
        assert "fault of the program" not in operator.log.read_text()


def from_git(space: Space) -> None:
    """Apply the experiment as Flux and Argo CD do, on the server and by force."""
    planned = [{"name": "planned", "parameters": {"n_layers": 3}}]
    document = copy.deepcopy(worlds.document(suggestions=planned, maxTrials=6, parallelism=1))
    words = ("apply", "--server-side", "--force-conflicts", "--field-manager=git")
    space.kubectl(*words, "--filename=-", stdin=json.dumps(document))


def suggest(space: Space, *words: str) -> Done:
    where = ("--kubeconfig", space.cluster.kubeconfig, "--namespace", space.name)
    return call("suggest", "tiny", *where, *words)


def test_a_suggestion_stands_beside_what_git_says_and_runs(space: Space) -> None:
    from_git(space)
    until(lambda: space.status().get("trials", {}).get("total", 0) >= 2)
    said = suggest(space, "--set", "n_layers=5", "--as", "mine")
    assert said.out == "mine is suggested and runs next\n", said
    assert (
        suggest(space, "--set", "n_layers=5", "--as", "mine").out == "mine is suggested already\n"
    )
    refused = suggest(space, "--set", "n_layers=9", "--set", "dropout=0.5", "--as", "other")
    assert refused.refused
    assert "n_layers: must be a value of the search space, from 1 to 6, but got 9" in refused.err
    assert "dropout: is not in the search space" in refused.err
    from_git(space)
    assert [own["name"] for own in space.get()["spec"]["suggestions"]] == ["planned", "mine"]
    managed = space.kubectl("get", "dexp/tiny", "--show-managed-fields", "--output=json")
    assert '"manager": "distillery-suggest"' in managed
    until(space.reached("Succeeded"))
    shown = {own["name"]: own for own in space.status()["suggestions"]}
    assert {name: own["state"] for name, own in shown.items()} == {
        "planned": "Completed",
        "mine": "Completed",
    }
    assert shown["planned"]["trial"] == 0
    assert space.status()["trials"]["total"] == 6
    late = suggest(space, "--set", "n_layers=2")
    assert "is suggested; it waits, for all 6 trials are suggested" in late.out
    again = suggest(space, "--set", "n_layers=4", "--as", "mine")
    assert again.refused
    assert "its name: Duplicate value" in again.err
