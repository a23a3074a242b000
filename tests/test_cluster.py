"""The clusters that other tests run on: they start, do their work and leave nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cluster

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "hello"},
    "spec": {
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "hello"}]}
        }
    },
}
STARTER = """
import sys, time
from pathlib import Path
import cluster
with cluster.ControlPlane(Path(sys.argv[1])) as plane:
    print("ready", flush=True)
    time.sleep(600)
"""


def until(ready: Callable[[], object], seconds: float = 60) -> float:
    """Wait until something holds; return how long that took."""
    start = time.monotonic()
    while not ready():
        assert time.monotonic() < start + seconds, "took too long"
        time.sleep(0.05)
    return time.monotonic() - start


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that work in a folder or name it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            if str(folder) in command or Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append(command)
        except OSError:
            continue  # it ended meanwhile, or has no folder any more
    return found


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_job_makes_its_pod_and_takes_it_along(control_plane: cluster.Cluster) -> None:
    def pods() -> str:
        return control_plane.kubectl("get", "pods", "--selector=job-name=hello", "--output=name")

    control_plane.kubectl("create", "--filename=-", stdin=json.dumps(JOB))
    until(lambda: pods().startswith("pod/hello-"))
    control_plane.kubectl("delete", "job", "hello")
    until(lambda: pods() == "")


def test_what_the_server_refuses_is_raised_in_its_own_words(
    control_plane: cluster.Cluster,
) -> None:
    with pytest.raises(cluster.Refused, match=r'jobs.batch "nobody" not found'):
        control_plane.kubectl("get", "job", "nobody")


def test_a_restricted_namespace_refuses_a_pod_that_may_be_root(
    control_plane: cluster.Cluster,
) -> None:
    control_plane.kubectl("create", "namespace", "strict")
    label = "pod-security.kubernetes.io/enforce=restricted"
    control_plane.kubectl("label", "namespace", "strict", label)
    with pytest.raises(cluster.Refused, match="runAsNonRoot"):
        control_plane.kubectl("run", "root", "--image=hello", "--namespace=strict")
    control_plane.kubectl("delete", "namespace", "strict", "--wait=false")


def test_a_control_plane_outlives_its_api_server_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "plane"
    with cluster.ControlPlane(folder) as plane:
        plane.kubectl("create", "configmap", "kept", "--from-literal=a=b")
        assert len(processes_of(folder)) == 4
        plane.stop_apiserver()
        assert not listens(plane.port)
        with pytest.raises(cluster.Refused, match="refused"):
            plane.kubectl("get", "configmap", "kept")
        plane.start_apiserver()
        assert plane.kubectl("get", "configmap", "kept", "--output=jsonpath={.data.a}") == "b"
        requests = [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
        assert {"verb": "create", "user": "admin", "resource": "configmaps"} in [
            {
                "verb": request["verb"],
                "user": request["user"]["username"],
                "resource": request.get("objectRef", {}).get("resource"),
            }
            for request in requests
        ]
    assert processes_of(folder) == []
    assert not listens(plane.port)
    assert not folder.exists()


def test_a_control_plane_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    folder = tmp_path / "plane"
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, folder], cwd=Path(__file__).parent, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"ready\n"
        assert len(processes_of(folder)) == 5
        starter.send_signal(signal.SIGKILL)
    until(lambda: processes_of(folder) == [])
