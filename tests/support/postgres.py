"""A PostgreSQL of the tests' own, in a temporary folder; it ends with who started it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from support import programs
from support.cluster import processes

USER = "postgres"
PASSWORD = "pa{ss}word?/:@ 100%"  # what a URL has to quote
MEMORY = 8 * 2**30

GONE = r"connection to server at .+ failed: (Connection refused|server closed the connection)"
"""What clients say that connect anew to a server that was stopped, as a pattern. The last words
come where the server had closed an earlier connection from the same port of the client
(TIME-WAIT): the kernel refuses later then, and libpq has begun to send meanwhile."""


class Postgres:
    """A server on a port of its own; its data and the port, which then refuses, outlive a stop."""

    def __init__(self, folder: Path, binaries: Path, of: Postgres | None = None) -> None:
        """Make the data of a server: its first, or of a standby those of another server."""
        self._data, self._log, self._binaries = folder / "data", folder / "log", binaries
        self._server: processes.Process | None = None
        self._held = socket.socket()  # bound for ever: nobody else gets the port meanwhile
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # but the server does
        self._held.bind(("127.0.0.1", 0))
        self.port: int = self._held.getsockname()[1]
        password = folder / "password"
        password.write_text(PASSWORD)
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:  # the server refuses to run as root
            folder.chmod(0o755)
            for path in (self._data, password):
                shutil.chown(path, USER, USER)
        if of is None:
            options = ["--no-sync", "--auth=scram-sha-256", f"--username={USER}"]
            self._run("initdb", *options, f"--pwfile={password}", f"--pgdata={self._data}")
        else:
            options = ["--no-sync", "--checkpoint=fast", "--write-recovery-conf"]
            self._run("pg_basebackup", *options, f"--dbname={of.url()}", f"--pgdata={self._data}")

    def start(self, *options: str) -> None:
        """Start the server, with further options, and wait until it answers."""
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        settings += ["max_wal_size=128MB", *options]  # it may be in memory
        command = [*as_user(), str(self._binaries / "postgres"), f"-D{self._data}"]
        command += [f"-p{self.port}", *(f"-c{setting}" for setting in settings)]
        self._server = processes.start(command, self._log)
        processes.until(self._answers, "PostgreSQL", self._server, self._log)

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """Stop the server; whoever is connected is cut off. SIGQUIT is as good as a crash."""
        if self._server is not None:
            processes.stop(self._server, sign)
            self._server = None

    def close(self) -> None:
        """Stop the server for good; its port is free again."""
        self.stop(signal.SIGQUIT)  # at once: nobody needs what it has
        self._held.close()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, which is made if it is not there."""
        with self.connect() as connection:
            known = "SELECT FROM pg_database WHERE datname = %s"
            if not connection.execute(known, [database]).rowcount:
                connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, autocommit=True
        )

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute statements as who may do everything; return what the last one gives."""
        with self.connect() as connection:
            *_, last = (connection.execute(statement.encode()) for statement in statements)
            return last.fetchall() if last.description else []

    def configure(self, change: str) -> None:
        """Change a setting, as ``SET name = value`` or ``RESET name``, for all connections.

        The server signals its connections before it takes another one. So whoever sent a command
        later than this returns is served with the change.
        """
        loaded = "SELECT pg_conf_load_time()"
        before = self.execute(loaded)
        self.execute(f"ALTER SYSTEM {change}", "SELECT pg_reload_conf()")
        while self.execute(loaded) == before:
            time.sleep(0.01)

    def encrypt(self, certificate: Path, key: Path) -> None:
        """Offer TLS with a certificate from now on."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            shutil.copy(source, self._data / name)
            (self._data / name).chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(self._data / name, USER, USER)
        self.configure("SET ssl = on")

    def dump(self, url: str) -> str:
        """Return a backup of a database, as SQL that :func:`restore` takes."""
        text = self._run("pg_dump", "--inserts", "--no-owner", "--no-privileges", url)
        return "\n".join(line for line in text.splitlines() if not line.startswith("\\"))

    def catch_up(self, primary: Postgres) -> None:
        """Wait until this standby has all that another server has."""
        ((there,),) = primary.execute("SELECT pg_current_wal_flush_lsn()")
        behind = f"SELECT coalesce(pg_last_wal_replay_lsn(), '0/0') < '{there}'"
        while self.execute(behind) == [(True,)]:
            time.sleep(0.02)

    def _run(self, name: str, *arguments: str) -> str:
        """Run a program of PostgreSQL, and return what it prints."""
        program = (self._binaries / "postgres").resolve().parent / name
        return subprocess.run(
            [*as_user(), str(program), *arguments],
            check=True, capture_output=True, text=True, cwd=self._data.parent,
        ).stdout  # fmt: skip

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def restore(url: str, backup: str) -> None:
    """Bring a database back to a backup: what came later is gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'exp\\_%'"
        for (name,) in connection.execute(known).fetchall():
            connection.execute(f"DROP SCHEMA {name} CASCADE".encode())
        connection.execute(backup.encode())


@contextmanager
def running(of: Postgres | None = None) -> Iterator[Postgres]:
    """Run a server for the length of a block: of its own, or a standby of another one."""
    (binary,) = programs.locate("postgres")
    # Not pytest's folder: that is 0700. Each test's database is a thousand files.
    with tempfile.TemporaryDirectory(prefix="postgres-", dir=_memory()) as folder:
        server = Postgres(Path(folder), Path(binary).parent, of)
        try:
            server.start()
            yield server
        finally:
            server.close()


def _memory() -> str | None:
    """Return a folder in memory, if there is plenty of it."""
    folder = Path("/dev/shm")
    plenty = folder.is_dir() and shutil.disk_usage(folder).free > MEMORY
    return str(folder) if plenty else None


def as_user() -> list[str]:
    """Return what runs a command as an ordinary user, who ends with the process that starts it."""
    if os.geteuid() != 0:
        return []
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
    return [*user, "--pdeathsig=INT", "--"]  # again: the kernel forgets it when the user changes
