"""A real single-node Kubernetes on this machine, for the tests, the benches and the demo.

The control plane alone (etcd, API server, controllers, scheduler) is ready in some seconds::

    with cluster.ControlPlane(folder) as plane:
        plane.kubectl("apply", "--filename=-", stdin=manifest)
        plane.restart_apiserver()

A node (containerd, kubelet, kube-proxy) brings its own control plane and runs real pods; it needs
root and is ready in about eight seconds::

    with cluster.Node(folder) as node:
        node.load(archive)  # a docker archive: an image of `images` or `static`
        node.plane.kubectl("apply", "--filename=-", stdin=manifest)

Both make their folder and leave nothing behind, also when the process that started them is killed:
see `processes` and `namespace`. Their programs come from `support.programs`. ``python -m
support.cluster up`` leaves a node running: see `__main__`.
"""

from support.cluster.access import Cluster, Given, given
from support.cluster.controlplane import ControlPlane
from support.cluster.errors import ClusterError, NotReady, Refused
from support.cluster.node import Node

__all__ = [
    "Cluster",
    "ClusterError",
    "ControlPlane",
    "Given",
    "Node",
    "NotReady",
    "Refused",
    "given",
]
