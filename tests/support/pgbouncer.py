"""PgBouncer before a PostgreSQL: it gives each transaction another of a few connections."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import programs
from support.cluster import processes
from support.operators import answers, free_port
from support.postgres import PASSWORD, USER, Postgres, as_user

CONNECTIONS = 2
"""To each database: fewer than clients have, so that they share them."""


@contextmanager
def running(server: Postgres) -> Iterator[int]:
    """Run a pooler in transaction mode; yield its port.

    Other than by default it does not let clients wait two minutes for a server that is away.
    """
    (binary,) = programs.locate("pgbouncer")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        users, settings = folder / "users.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\n"
            f"pool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\n"
            "query_wait_timeout = 2\nserver_login_retry = 1\n"
        )
        if os.geteuid() == 0:  # it refuses to run as root
            for path in (folder, users, settings):
                shutil.chown(path, USER, USER)
        pooler = processes.start([*as_user(), binary, str(settings)], folder / "log")
        try:
            processes.until(lambda: answers(port), "PgBouncer", pooler, folder / "log")
            yield port
        finally:
            processes.stop(pooler)
