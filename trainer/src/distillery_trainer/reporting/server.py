"""Serves ``/metrics`` while the process runs. ``process`` starts it."""

import logging
from pathlib import Path

import prometheus_client

from distillery_contract.listening import EVERYWHERE
from distillery_trainer import atomic
from distillery_trainer.reporting.telemetry import Telemetry

log = logging.getLogger(__name__)


class Server:
    """Serves ``/metrics`` from a thread until closed."""

    def __init__(self, telemetry: Telemetry, port: int, port_file: str | None = None) -> None:
        self._server, self._thread = prometheus_client.start_http_server(
            port, EVERYWHERE, telemetry.registry
        )
        self.port = int(self._server.server_address[1])
        if port_file:
            atomic.file(Path(port_file), str(self.port))
        log.info("serving /metrics on port %d", self.port)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
