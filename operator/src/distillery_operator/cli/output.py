"""EDGE: standard output, whatever it is: a terminal, a pipe, a file on a full disk, nothing."""

import io
import os
import sys

from distillery_operator.errors import Unusable


def open_up() -> None:
    """Let every text be written: where the encoding lacks a character, as an escape."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the shell has closed it
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write a text, as far as somebody reads it.

    Raises:
        Unusable: it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        drop()
    except OSError as error:
        drop()
        raise Unusable(f"standard output cannot be written: {error.strerror}") from error


def finish() -> None:
    """Write what is still to be written; raises as :func:`write` does."""
    write("")


def drop() -> None:
    """Let what is written from now on go nowhere: nobody reads, as after ``| head``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def complain(text: str) -> None:
    """Write a text to standard error; what it repeats of files and programs moves no cursor."""
    shown = (c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    print("".join(shown), file=sys.stderr)
