"""An operator that starts in a bad minute of the API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import kubelet
from support.cluster import ControlPlane
from support.operators import Operator, until
from support.spaces import Space, install

pytestmark = pytest.mark.needs("control_plane")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of our own, for its API server goes away."""
    with (
        ControlPlane(tmp_path_factory.mktemp("starting") / "plane") as made,
        kubelet.playing(kubelet.Kubelet(made.kubeconfig, 0.5)),
    ):
        yield made


@pytest.fixture
def kubeconfig(plane: ControlPlane, tmp_path: Path) -> Path:
    return install(plane, tmp_path)


@pytest.fixture
def operator(kubeconfig: Path, tmp_path: Path) -> Operator:
    database = f"sqlite:///{tmp_path}"
    return Operator(kubeconfig, database, tmp_path / "log", "--workspace-claim=work")


def runs(plane: ControlPlane) -> None:
    space = Space(plane)
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    space.kubectl("delete", "dexp", "--all")  # the next operator has another database


def test_an_api_server_that_is_away_is_waited_for(plane: ControlPlane, operator: Operator) -> None:
    plane.stop_apiserver()
    with operator:
        try:
            until(lambda: "does not answer" in operator.log.read_text())
        finally:
            plane.start_apiserver()
        runs(plane)
        assert operator.exit_code is None


def test_rights_that_are_read_late_are_waited_for(plane: ControlPlane, operator: Operator) -> None:
    """As they are by an API server that has just started."""
    role = ("clusterrolebinding", "distillery-operator")
    granted = plane.kubectl("get", *role, "--output=json")
    plane.kubectl("delete", *role)
    with operator:
        try:
            until(lambda: "is forbidden" in operator.log.read_text())
        finally:
            plane.kubectl("create", "--filename=-", stdin=granted)
        runs(plane)
        assert operator.exit_code is None
