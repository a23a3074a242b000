"""One node with real pods, and its control plane, on this machine.

Pods reach this machine at `Node.host`, each other, and Services, also by their names; this machine
reaches pods at their addresses. Nothing leads further. Images are those that `Node.load` brings,
and those of a registry on this machine that `Node.trust` makes known.
The node says it has four GPUs, which the scheduler counts and no pod can use.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support import programs
from support.cluster import cgroups, controlplane, namespace, processes, slots, static
from support.cluster.errors import NotReady, Refused

NAME = "node"
OTHER = "another"
"""A node without a machine: see `Node.silent`."""
RENEW_SECONDS = 5.0
GPUS = 4
KUBELET = "/run/kubelet"
"""The kubelet's folder as the node sees it: the kernel takes no socket's path of 108 characters."""
BINARIES = ("kubelet", "kube-proxy", "coredns")
PROGRAMS = (
    *controlplane.PROGRAMS,
    *BINARIES,
    *("containerd", "host-local", "ip", "nft"),
    "gcc",  # for the first process of its namespaces: see `static`
)

# The node's bridge and this machine are joined by a link whose one end goes with the other. A
# bridge that is given no address of its own changes it with every pod, and loses packets.
OUTSIDE = """
link add {slot.name} type veth peer name uplink netns {first}
address add {slot.host}/24 dev {slot.name}
link set {slot.name} up
"""
INSIDE = """
link add cni0 address 0a:58:0a:58:{slot.number:02x}:02 type bridge
link set uplink master cni0
address add {slot.node}/24 dev cni0
link set lo up
link set uplink up
link set cni0 up
"""

CONTAINERD = """
version = 2
root = "{folder}/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true  # pods ask for more than a root in a container may give
  sandbox_image = "localhost/pause:1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/networks"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/registries"
"""

DNS = "10.89.0.10"
"""Address of the Service that answers for the names of Services; in `controlplane.SERVICES`."""
COREFILE = """
. {{
    errors
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
    }}
}}
"""


def provide() -> None:
    """Build and install all that a node needs, or raise what is missing."""
    namespace.check()
    programs.locate(*PROGRAMS)


def load(first: int, archive: Path) -> None:
    """Bring the images of a docker archive to the node whose namespace has this first process."""
    namespace.run(first, "ctr", "--namespace=k8s.io", "images", "import", str(archive.resolve()))


class Node:
    """A node in a folder of its own, which ends with the block that it is used in."""

    plane: controlplane.ControlPlane
    slot: slots.Slot
    namespace: int  # the first process of the namespaces that the node lives in

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Node:
        provide()
        self.folder.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def host(self) -> str:
        """This machine's address, as pods see it."""
        return self.slot.host

    def load(self, archive: Path) -> None:
        """Bring the images of a docker archive to the node."""
        load(self.namespace, archive)

    def trust(self, registry: str, port: int) -> None:
        """Let the node pull the images of a registry's name from a port of this machine."""
        folder = self.folder / "registries" / registry
        folder.mkdir(parents=True)
        capable = 'capabilities = ["pull", "resolve"]'
        served = f'[host."http://{self.host}:{port}"]\n{capable}\n'
        (folder / "hosts.toml").write_text(served, encoding="utf-8")

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Stop the kubelet for the length of a block: its pods live on, and nobody hears of it.

        Another node, which takes no pods, answers meanwhile: where none does, Kubernetes takes its
        own network for broken, and gives up no pod.
        """
        with self._another():
            processes.signal_inner(self._kubelet, signal.SIGSTOP)
            try:
                yield
            finally:
                processes.signal_inner(self._kubelet, signal.SIGCONT)
                self._until(self._takes_pods, "kubelet", self._kubelet)

    @contextlib.contextmanager
    def _another(self) -> Iterator[None]:
        """Have a node that is nothing but its Lease, renewed as a kubelet does."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": OTHER}}
        taken = json.dumps({**node, "spec": {"unschedulable": True}})
        self.plane.kubectl("create", "--filename=-", stdin=taken)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        status = json.dumps({"status": {"conditions": [ready]}})
        patch = ("--subresource=status", "--type=merge", f"--patch={status}")
        self.plane.kubectl("patch", "node", OTHER, *patch)
        gone = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(gone,))
        renewing.start()
        try:
            yield
        finally:
            gone.set()
            renewing.join()
            self.plane.kubectl("delete", "node", OTHER)

    def _renew(self, gone: threading.Event) -> None:
        place = {"name": OTHER, "namespace": "kube-node-lease"}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": place}
        while not gone.wait(RENEW_SECONDS):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            spec = {"holderIdentity": OTHER, "leaseDurationSeconds": 40, "renewTime": now}
            self.plane.kubectl("apply", "--filename=-", stdin=json.dumps({**lease, "spec": spec}))

    def _start(self, stack: contextlib.ExitStack) -> None:
        slot = self.slot = stack.enter_context(slots.taken())
        stack.enter_context(cgroups.made(slot.name))
        self.namespace = stack.enter_context(namespace.made(self.folder / "namespace.log"))
        (self.folder / "kubelet").mkdir()
        namespace.show(self.namespace, self.folder / "kubelet", KUBELET)
        self._connect(slot, stack)
        self._write_files(slot)
        containerd = self._run(
            stack, "containerd", "containerd", f"--config={self.folder}/containerd.toml"
        )
        # Containerd gets ready while the control plane does.
        plane = controlplane.ControlPlane(self.folder / "plane", address=self.host)
        self.plane = stack.enter_context(plane)
        self._until(self._takes_images, "containerd", containerd)
        self.load(static.image("pause", namespace.PAUSE))
        kubelet, proxy, dns = programs.locate(*BINARIES)
        name = f"--hostname-override={NAME}"
        self._run(stack, "proxy", proxy, f"--config={self.folder}/proxy.json", name)
        self._run(stack, "dns", dns, f"-conf={self.folder}/Corefile")
        self.plane.kubectl("create", "--filename=-", stdin=json.dumps(_dns(slot)))
        arguments = [
            f"--config={self.folder}/kubelet.json",
            f"--kubeconfig={self.plane.kubeconfig}",
            f"--root-dir={KUBELET}",
            f"--cert-dir={self.folder}/certificates",
            f"--node-ip={slot.node}",
            name,
        ]
        self._kubelet = self._run(stack, "kubelet", kubelet, *arguments)
        self._until(self._takes_pods, "kubelet", self._kubelet)
        self._pretend_gpus()

    def _run(self, stack: contextlib.ExitStack, name: str, *command: str) -> processes.Process:
        log = self.folder / f"{name}.log"
        process = processes.start(namespace.within(self.namespace, *command), log)
        stack.callback(processes.stop, process)
        return process

    def _until(self, ready: Callable[[], bool], name: str, process: processes.Process) -> None:
        processes.until(ready, name, process, self.folder / f"{name}.log")

    def _connect(self, slot: slots.Slot, stack: contextlib.ExitStack) -> None:
        outside = OUTSIDE.format(slot=slot, first=self.namespace)
        ip, environment = ["ip", "-batch", "-"], processes.environment()
        subprocess.run(ip, input=outside, text=True, env=environment, check=True)
        delete = ["ip", "link", "delete", slot.name]
        stack.callback(subprocess.run, delete, env=environment, check=False)
        namespace.run(self.namespace, *ip, stdin=INSIDE.format(slot=slot))

    def _write_files(self, slot: slots.Slot) -> None:
        (plugin,) = programs.locate("host-local")
        settings = CONTAINERD.format(folder=self.folder, plugins=Path(plugin).parent)
        (self.folder / "containerd.toml").write_text(settings, encoding="utf-8")
        (self.folder / "networks").mkdir()
        self._write("networks/bridge.conflist", _network(slot, self.folder))
        self._write("kubelet.json", _kubelet(slot, self.folder))
        kubeconfig = self.folder / "plane" / "kubeconfig"
        self._write("proxy.json", _proxy(slot, kubeconfig))
        corefile = COREFILE.format(kubeconfig=kubeconfig)
        (self.folder / "Corefile").write_text(corefile, encoding="utf-8")

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(content), encoding="utf-8")

    def _takes_images(self) -> bool:
        try:
            namespace.run(self.namespace, "ctr", "--namespace=k8s.io", "images", "list")
        except NotReady:
            return False
        return True

    def _takes_pods(self) -> bool:
        try:
            node = json.loads(self.plane.kubectl("get", "node", NAME, "--output=json"))
        except Refused:
            return False  # the kubelet has not made it yet
        ready = {"type": "Ready", "status": "True"}
        conditions = node.get("status", {}).get("conditions", [])
        is_ready = any(ready.items() <= condition.items() for condition in conditions)
        return is_ready and "taints" not in node["spec"]

    def _pretend_gpus(self) -> None:
        patch = [
            {"op": "add", "path": f"/status/{field}/nvidia.com~1gpu", "value": str(GPUS)}
            for field in ("capacity", "allocatable")
        ]
        status = ["--subresource=status", "--type=json", f"--patch={json.dumps(patch)}"]
        self.plane.kubectl("patch", "node", NAME, *status)


def _network(slot: slots.Slot, folder: Path) -> dict[str, Any]:
    """Return what the container network does: an address and a port of the bridge for each pod."""
    first, last = slot.pods
    pods = {
        "subnet": slot.subnet,
        "rangeStart": first,
        "rangeEnd": last,
        "gateway": slot.node,  # not this machine: the node knows the Services
    }
    addresses = {"type": "host-local", "dataDir": f"{folder}/addresses", "ranges": [[pods]]}
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "hairpinMode": True,  # a pod may be the end of its own Service
        "ipam": addresses,
    }
    return {"cniVersion": "0.4.0", "name": "bridge", "plugins": [bridge]}


def _kubelet(slot: slots.Slot, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # Only this machine and the node's pods reach the kubelet.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{slot.name}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",  # nothing that this machine asks for names can be reached
        "podLogsDir": f"{folder}/logs",
        "volumePluginDir": f"{folder}/plugins",
        "serializeImagePulls": False,
        # Images come by import alone, and a full disk of this machine is no reason to end pods.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
    }


def _dns(slot: slots.Slot) -> dict[str, Any]:
    """Return the Service of the name server, which runs beside the pods and not as one."""
    place = {"namespace": "kube-system", "name": "kube-dns"}
    ports = [{"name": p.lower(), "protocol": p, "port": 53} for p in ("UDP", "TCP")]
    labels = {"kubernetes.io/service-name": "kube-dns"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": place,
        "spec": {"clusterIP": DNS, "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**place, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [slot.node]}],
        "ports": ports,
    }
    return {"apiVersion": "v1", "kind": "List", "items": [service, endpoints]}


def _proxy(slot: slots.Slot, kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": slot.subnet,
        "mode": "nftables",
        # Pods and this machine answer each other directly: let answers pass by the node again.
        "nftables": {"masqueradeAll": True},
        "conntrack": {"maxPerCore": 0},
    }
