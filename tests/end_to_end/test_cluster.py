"""The clusters that other tests run on: they start, do their work and leave nothing behind."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import cluster
from support.cluster import cgroups, static

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
from support import cluster
with cluster.{kind}(Path(sys.argv[1])) as started:
    print({shown}, flush=True)
    time.sleep(600)
"""
TESTS = Path(__file__).parents[1]
PROBE = (Path(cluster.__file__).with_name("probe.c")).read_text(encoding="utf-8")
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.05)


def processes_of(word: str | Path) -> list[str]:
    """Return processes whose command, folder or control group names something."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            command = (process / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            groups = (process / "cgroup").read_text(encoding="utf-8")
            if str(word) in f"{command} {groups} {os.readlink(process / 'cwd')}":
                found.append(command)
    return found


def control_groups(name: str) -> list[Path]:
    return list(Path("/sys/fs/cgroup").glob(f"**/{name}"))


def has_link(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def listens(plane: cluster.ControlPlane) -> bool:
    with socket.socket() as client:
        return client.connect_ex((plane.address, plane.port)) == 0


@contextlib.contextmanager
def killed(kind: str, shown: str, folder: Path) -> Iterator[str]:
    """Let another process start something, give what it shows of it, and kill that process."""
    code = STARTER.format(kind=kind, shown=shown)
    with subprocess.Popen(
        [sys.executable, "-c", code, folder], cwd=TESTS, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        try:
            yield starter.stdout.readline().decode().strip()
        finally:
            starter.kill()


def pod(name: str, *arguments: str, **container: object) -> str:
    main = {"name": "main", "image": "localhost/probe:1", "args": arguments, **container}
    spec = {"restartPolicy": "Never", "containers": [main]}
    metadata = {"name": name, "labels": {"app": name}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def last_words(node: cluster.Node, name: str) -> str:
    """Return what a pod says at its end."""
    phase = "--for=jsonpath={.status.phase}=Succeeded"
    node.plane.kubectl("wait", phase, f"pod/{name}", "--timeout=60s")
    terminated = "{.status.containerStatuses[0].state.terminated.message}"
    return node.plane.kubectl("get", "pod", name, f"--output=jsonpath={terminated}")


def served(node: cluster.Node, name: str) -> str:
    """Run a pod that answers "hello" on port 8000; return its address."""
    create(node, pod(name, "serve", "8000", "hello"))
    node.plane.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return node.plane.kubectl("get", "pod", name, "--output=jsonpath={.status.podIP}")


def create(node: cluster.Node, manifest: str) -> None:
    node.load(static.image("probe", PROBE))
    node.plane.kubectl("create", "--filename=-", stdin=manifest)


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


@pytest.mark.needs("control_plane")
def test_a_control_plane_outlives_its_api_server_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "plane"
    with cluster.ControlPlane(folder) as plane:
        plane.kubectl("create", "configmap", "kept", "--from-literal=a=b")
        assert len(processes_of(folder)) == 4
        plane.stop_apiserver()
        assert not listens(plane)
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
    assert not listens(plane)
    assert not folder.exists()


@pytest.mark.needs("control_plane")
def test_a_control_plane_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    folder = tmp_path / "plane"
    with killed("ControlPlane", "started.port", folder) as port:
        assert port.isdigit()
        assert len(processes_of(folder)) == 5
    until(lambda: processes_of(folder) == [])


def test_a_restricted_pod_tells_its_end_in_its_status(node: cluster.Node) -> None:
    create(node, pod("self", "self", securityContext=RESTRICTED))
    assert last_words(node, "self") == "user 65532: Read-only file system"


def test_pods_and_this_machine_reach_each_other(node: cluster.Node) -> None:
    address = served(node, "answering")
    with socket.create_connection((address, 8000), timeout=10) as link:
        assert link.recv(100) == b"hello"
    with socket.create_server((node.host, 0)) as server:
        create(node, pod("asking", "fetch", node.host, str(server.getsockname()[1])))
        server.settimeout(60)
        link, _ = server.accept()
        with link:
            link.sendall(b"good morning")
    assert last_words(node, "asking") == "good morning"


def test_a_service_leads_to_its_pod(node: cluster.Node) -> None:
    served(node, "behind")
    node.plane.kubectl("expose", "pod", "behind", "--port=80", "--target-port=8000")
    service = ("get", "service", "behind", "--output=jsonpath={.spec.clusterIP}")
    create(node, pod("through", "fetch", node.plane.kubectl(*service), "80"))
    assert last_words(node, "through") == "hello"


def test_a_service_is_found_by_its_name(node: cluster.Node) -> None:
    node.plane.kubectl("create", "service", "clusterip", "named", "--tcp=80")
    service = ("get", "service", "named", "--output=jsonpath={.spec.clusterIP}")
    address = socket.inet_aton(node.plane.kubectl(*service))
    name = b"named.default.svc.cluster.local"
    labels = b"".join(bytes([len(label)]) + label for label in name.split(b"."))
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
    with socket.socket(type=socket.SOCK_DGRAM) as link:
        link.settimeout(5)
        link.connect((node.slot.node, 53))

        def answer() -> bytes:
            link.send(question)
            return link.recv(512)

        until(lambda: answer().endswith(b"\0\4" + address))


def test_the_scheduler_counts_gpus(node: cluster.Node) -> None:
    def gpus(count: int) -> dict[str, object]:
        return {"limits": {"nvidia.com/gpu": str(count)}}

    create(node, pod("four", "self", resources=gpus(4)))
    create(node, pod("five", "self", resources=gpus(5)))
    assert last_words(node, "four").startswith("user 0")
    why = "--output=jsonpath={.status.conditions[?(@.type=='PodScheduled')].message}"
    until(lambda: "1 Insufficient nvidia.com/gpu" in node.plane.kubectl("get", "pod", "five", why))
    phase = node.plane.kubectl("get", "pod", "five", "--output=jsonpath={.status.phase}")
    assert phase == "Pending"


@pytest.mark.needs("node")
def test_a_node_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = [Path("/proc/sys", name) for name in ("kernel/panic", "vm/overcommit_memory")]
    left = [Path(name) for name in ("/var/lib/kubelet", "/var/lib/cni", "/run/containerd")]
    before = [setting.read_text() for setting in settings], [path.exists() for path in left]
    folder = tmp_path / "node"
    with cluster.Node(folder) as node:
        served(node, "server")
        name = node.slot.name
        assert has_link(name)
        assert control_groups(name)
        assert any("/probe serve" in command for command in processes_of(name))
    assert processes_of(folder) == processes_of(name) == []
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert not has_link(name)
    assert control_groups(name) == []
    assert not folder.exists()
    after = [setting.read_text() for setting in settings], [path.exists() for path in left]
    assert after == before


@pytest.mark.needs("node")
def test_a_node_dies_with_the_process_that_started_it_and_the_next_clears_up(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "node"
    with killed("Node", "started.slot.name", folder) as name:
        plane = cluster.Given(folder / "plane" / "kubeconfig")
        plane.kubectl("run", "sleeper", "--image=localhost/pause:1")
        plane.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")
        assert has_link(name)
        assert processes_of(name)
    until(lambda: not has_link(name) and processes_of(folder) == processes_of(name) == [])
    assert str(folder) not in Path("/proc/mounts").read_text()
    with cgroups.made(name):
        pass
    assert control_groups(name) == []


@pytest.mark.needs("node")
def test_a_node_that_is_left_running_is_found_again_until_it_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / "left"

    def run(command: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "support.cluster", f"--folder={folder}", command]
        tests = TESTS
        return subprocess.run(words, cwd=tests, capture_output=True, text=True, check=False)

    assert run("status").returncode == 1
    try:
        started = run("up")
        assert started.returncode == 0, started.stderr
        assert f"export KUBECONFIG={folder}/plane/kubeconfig\n" in started.stdout
        assert run("up").stdout == run("status").stdout == started.stdout
        plane = cluster.Given(folder / "plane" / "kubeconfig")
        assert plane.kubectl("get", "nodes", "--output=name") == "node/node\n"
    finally:
        assert run("down").returncode == 0
    assert run("down").returncode == 0
    assert run("status").returncode == 1
    assert processes_of(folder) == []
    assert not folder.exists()
