"""Where the servers of operator and trainers listen: at every address, of IPv4 and of IPv6."""

import socket
from typing import Final

DUAL: Final = socket.has_dualstack_ipv6()

EVERYWHERE: Final = "::" if DUAL else "0.0.0.0"
"""Every address of this machine: of IPv6, and so of IPv4 too."""


def listening(port: int) -> socket.socket:
    """Return one socket that listens everywhere; the system chooses a port for 0."""
    family = socket.AF_INET6 if DUAL else socket.AF_INET
    return socket.create_server((EVERYWHERE, port), family=family, dualstack_ipv6=DUAL)
