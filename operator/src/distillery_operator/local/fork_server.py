"""The process that forks the trainers of trials: starts it, and asks it. The runner calls it.

It is a program of the trainer, see :mod:`distillery_contract.forks`. Whenever it is found dead,
another one is started.
"""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from distillery_contract import attendant, forks


class ForkServer:
    """A fork server, from the first attempt on.

    Args:
        command: of the program.
        workspace: its working directory.
        environment: the variables that all attempts share.
        log: file that gets what it prints before it forks.
    """

    def __init__(
        self, command: Sequence[str], workspace: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        self._command, self._workspace = command, workspace
        self._environment, self._log = environment, log
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def start(self, folder: Path, environment: Mapping[str, str], lock: int) -> None:
        """Start an attempt in its folder. Its lock is held from now on, until it ends.

        Until the attempt has forked, its process group is the server's: who ends the one ends the
        other, and what else waits for it starts again as what was lost.
        """
        asked = forks.Start(str(folder), str(self._workspace), environment)
        try:
            forks.send(self._living(folder), asked, lock)
        except OSError:  # it has died just now
            self.end()
            forks.send(self._living(folder), asked, lock)

    def end(self) -> None:
        """End the server; what it has forked lives on."""
        if self._channel:
            self._channel.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None

    def _living(self, folder: Path) -> socket.socket:
        """Return the channel to a server that lives, and write its process group to a folder."""
        if self._process and self._process.poll() is not None:
            self.end()
        if not self._process or not self._channel:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=self._workspace,
                    env=dict(self._environment),
                    stdin=theirs.fileno(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        attendant.put("pid", self._process.pid, str(folder))
        return self._channel
