"""Trainers as forks of one process that has imported what they need, on one machine.

An import of torch and transformers takes seconds and hundreds of megabytes, which forks share. A
trainer's fork server imports them, runs nothing, and calls :func:`serve`. The operator gives it one
end of a socket of type ``SOCK_SEQPACKET`` as standard input, and sends a :class:`Start` for each
attempt. The server ends when nobody can send any more; its forks live on, as they do when it dies.

Python's own ``multiprocessing`` has a fork server, too: there who starts a process waits until the
server has imported everything, and nobody writes down how it ended once that one is gone.
"""

import gc
import json
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from distillery_contract import attendant

LIMIT: Final = 2**20
"""Bytes of a message at most; Linux allows fewer on such a socket."""


@dataclass(frozen=True)
class Start:
    """Asks for one attempt.

    Attributes:
        folder: of the attempt, see :mod:`distillery_contract.attendant`.
        workspace: working directory of the trainer.
        environment: variables, besides those that the server has.
    """

    folder: str
    workspace: str
    environment: Mapping[str, str]


def send(channel: socket.socket, start: Start, lock: int) -> None:
    """Ask for an attempt, and hand over the lock that tells that it lives.

    The lock is held from now on, even if the server is still busy with its imports.

    Raises:
        OSError: the server is dead.
    """
    socket.send_fds(channel, [json.dumps(asdict(start)).encode()], [lock])


def serve() -> bool:
    """Fork for whatever comes by standard input.

    Returns:
        True in each fork, which is to be the trainer then; False in the server, at its end.
    """
    gc.freeze()  # a collection in a fork would copy the pages that they share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.socket(fileno=os.dup(0)) as channel:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        while True:
            message, locks, *_ = socket.recv_fds(channel, LIMIT, 1)
            if not message:
                return False
            if os.fork() == 0:
                break
            os.close(locks[0])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    start = Start(**json.loads(message))
    os.environ.update(start.environment)
    os.setsid()
    os.chdir(start.folder)
    attendant.attend(start.workspace)
    return True
