"""How servers listen: on IPv6 and on IPv4, for a cluster may have either, or both.

The operator's servers listen so, and the trainer's ``/metrics``.
"""

import socket
from typing import Final

ALL_IPV4: Final = "0.0.0.0"
ALL: Final = "::"


def every_address() -> str:
    """Return the address of one socket that takes whatever reaches this machine.

    That is the one of IPv6, which takes IPv4 as well, unless this machine has no IPv6 or keeps both
    apart (``net.ipv6.bindv6only``).
    """
    try:
        with socket.socket(socket.AF_INET6) as probe:
            apart = probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            probe.bind((ALL, 0))
    except OSError:
        return ALL_IPV4
    return ALL_IPV4 if apart else ALL


def listener(port: int) -> socket.socket:
    """Return a socket that listens on a port, by IPv6 and IPv4 where this machine has both.

    Raises:
        OSError: another server listens on it, or this user may not.
    """
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                (ALL, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
            )
        except OSError:
            if every_address() == ALL:
                raise
    return socket.create_server((ALL_IPV4, port), backlog=128)
