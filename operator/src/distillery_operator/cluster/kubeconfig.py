"""EDGE: a person's way to a cluster, as kubectl has it."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

from kubernetes.aio import client, config

from distillery_operator.errors import NotFound

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """A person's way to a cluster, as kubectl's options of the same names say it.

    Attributes:
        kubeconfig: the file; None for the usual one.
        context: of the file; None for its current one.
        namespace: None for that of the context.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None

    async def load(self, settings: client.Configuration) -> None:
        """Put server and credentials into a client's settings."""
        try:
            await config.load_kube_config(
                str(self.kubeconfig) if self.kubeconfig else None,
                self.context,
                settings,
            )  # type: ignore[no-untyped-call]
        except Exception as error:
            raise _unusable(error) from error

    def where(self) -> str:
        """Return the namespace that is meant."""
        try:
            known, current = config.list_kube_config_contexts(
                str(self.kubeconfig) if self.kubeconfig else None
            )  # type: ignore[no-untyped-call]
            named = [c for c in known if c["name"] == self.context] or [current]
            return self.namespace or named[0]["context"].get("namespace") or "default"
        except Exception as error:
            raise _unusable(error) from error


async def load_own(settings: client.Configuration) -> None:
    """Put server and credentials of this process into a client's settings: a pod's, or a person's.

    Raises:
        NotFound: there are neither.
    """
    try:
        with warnings.catch_warnings():  # it warns of what its error says as well
            warnings.simplefilter("ignore", UserWarning)
            await config.load_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> NotFound:
    # A file called kubeconfig may hold anything, and the library raises whatever it stumbles over.
    known = isinstance(error, config.ConfigException | OSError)
    said = error if known else f"what it holds is none ({error})"
    return NotFound(
        "there must be a kubeconfig that leads to the cluster (--kubeconfig, KUBECONFIG or"
        f" ~/.kube/config; --context chooses within it), but: {said}"
    )
