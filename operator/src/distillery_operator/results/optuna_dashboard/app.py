"""EDGE: optuna-dashboard over all experiments, for looking only. Called by ``__main__``.

The dashboard has no switch for that. So what is no GET ends here, the storage refuses to write, and
so does the database, by its transactions and, if set up as documented, by its user's rights.
"""

import logging
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import optuna_dashboard
import waitress

from distillery_operator.results.optuna_dashboard.storage import Gallery
from distillery_operator.study.database import Database

log = logging.getLogger(__name__)

THREADS: Final = 4

Environment = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environment, Start], Iterable[bytes]]


def serve(database_url: Callable[[], str], port: int) -> None:
    """Serve the dashboard until a signal ends the process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    application = app(Database(database_url, THREADS))
    log.info("serving the dashboard on port %d", port)
    waitress.serve(application, listen=f"*:{port}", threads=THREADS, ident=None)


def app(database: Database) -> Application:
    """Return the dashboard over the experiments of a database."""
    return looking(optuna_dashboard.wsgi(Gallery(database)))


def looking(inner: Application) -> Application:
    """Return an application that answers requests to look, and refuses all others."""

    def answer(environment: Environment, start: Start) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] not in ("GET", "HEAD"):
            headers: Sequence[tuple[str, str]] = [("Allow", "GET, HEAD"), ("Content-Length", "0")]
            start("405 Method Not Allowed", headers)
            return []
        return inner(environment, start)

    return answer
