"""A real single-node Kubernetes on this machine, for the tests, the benches and the demo.

The control plane alone (etcd, API server, controllers, scheduler) is ready in some seconds::

    with cluster.ControlPlane(folder) as plane:
        plane.kubectl("apply", "--filename=-", stdin=manifest)
        plane.restart_apiserver()

It makes its folder and leaves nothing behind, also when the process that started it is killed: see
`processes`. What is missing is built (`binaries`) or installed (`packages`), or `Missing` says why
it cannot be.
"""

from cluster.access import Cluster, Given, given
from cluster.controlplane import ControlPlane
from cluster.errors import ClusterError, Missing, NotReady, Refused
from cluster.node import Node

__all__ = [
    "Cluster",
    "ClusterError",
    "ControlPlane",
    "Given",
    "Missing",
    "Node",
    "NotReady",
    "Refused",
    "given",
]
