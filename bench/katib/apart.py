"""A network of the bench's own, and for Katib's controller files of its own.

Katib listens at fixed ports, finds its services by the names of a cluster, and reads its
certificate from /tmp/cert. Here that reaches no other process of this machine, and no other bench.
"""

import ctypes
import os
import subprocess
from pathlib import Path

from support import programs

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of unshare(2)."""

FILES = """
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
cp -r "$1/cert" /run/upper/cert
mount -t overlay -o lowerdir=/tmp,upperdir=/run/upper,workdir=/run/work overlay /tmp
mount --bind "$1/hosts" /etc/hosts
shift
exec "$@"
"""


def leave_network() -> None:
    """Move this process, and what it starts, into a network that has loopback alone.

    Call it before there are other threads: they would stay.

    Raises:
        OSError: the kernel does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)  # os.unshare is there from Python 3.12 on
    if libc.unshare(NEW_NETWORK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    (ip,) = programs.locate("ip")
    subprocess.run([ip, "link", "set", "lo", "up"], check=True)


def with_files(folder: Path, *command: str) -> list[str]:
    """Return the command that runs a command with files of its own.

    It sees the hosts of ``folder/hosts``, and ``folder/cert`` as /tmp/cert. Other processes do not.
    """
    return ["unshare", "--mount", "sh", "-e", "-c", FILES, "sh", str(folder), *command]
