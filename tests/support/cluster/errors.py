"""What can go wrong with a cluster.

ClusterError
├── Missing    this machine lacks something that cannot be built or installed here
├── NotReady   a process ended, or did not get ready in time
└── Refused    kubectl or Helm ended with an error
"""


class ClusterError(Exception):
    """The cluster cannot do what was asked."""


class Missing(ClusterError):
    """This machine lacks something that cannot be built or installed here."""


class NotReady(ClusterError):
    """A process ended, or did not get ready in time."""


class Refused(ClusterError):
    """Kubectl or Helm ended with an error."""
