"""What can go wrong with a cluster.

ClusterError
├── NotReady   a process ended, or did not get ready in time
└── Refused    kubectl or Helm ended with an error

A program that this machine cannot have is `support.programs.Missing`.
"""


class ClusterError(Exception):
    """The cluster cannot do what was asked."""


class NotReady(ClusterError):
    """A process ended, or did not get ready in time."""


class Refused(ClusterError):
    """Kubectl or Helm ended with an error."""
