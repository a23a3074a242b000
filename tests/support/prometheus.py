"""A Prometheus server of the tests' own; it ends with the process that started it."""

import json
import signal
import socket
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

from support import programs
from support.cluster import processes


class Prometheus:
    """One server on a free loopback port; what it scraped outlives :meth:`stop`."""

    def __init__(self, folder: Path, config: str) -> None:
        """Keep the server's files in a folder; ``config`` is its YAML."""
        (self._binary,) = programs.locate("prometheus")
        self._folder = folder
        self._process: processes.Process | None = None
        folder.mkdir(exist_ok=True)
        (folder / "prometheus.yml").write_text(config)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        log = self._folder / "log"
        self._process = processes.start([self._binary, *options], log)
        processes.until(self._ready, "Prometheus", self._process, log)

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        if self._process:
            processes.stop(self._process, sign)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def query(self, query: str) -> list[Any]:
        """Return what an instant query finds."""
        words = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{words}") as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready"):
                return True
        except OSError:
            return False
