"""The lines of the operator's log: for people, or one JSON object each, for what collects logs."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from distillery_operator.cluster.kinds import Key


def configure(level: str, form: str) -> None:
    """Let the log begin at a level, in the form ``text`` or ``json``."""
    made = Json() if form == "json" else Text()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(made)
    logging.getLogger().setLevel(level.upper())
    # What kopf says below a warning is about its own workings, line after line.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))


def _when(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Text(logging.Formatter):
    """Time in UTC, level, logger, message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time of a line, in UTC."""
        return _when(record)


class Json(logging.Formatter):
    """A JSON object: ts, level, logger, message, and what the line is about where that is known.

    These are ``namespace`` and ``experiment``, ``reason`` of an event, ``exception`` with a
    traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a line."""
        line: dict[str, Any] = {
            "ts": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for given in record.args if isinstance(record.args, tuple) else ():
            if isinstance(given, Key):
                line |= {"namespace": given.namespace, "experiment": given.name}
        if reason := getattr(record, "reason", None):
            line["reason"] = reason
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
