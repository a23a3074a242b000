"""Servers take what comes by IPv6 and by IPv4."""

import socket
import threading
from collections.abc import Callable

import pytest

from distillery_contract import listening

BOTH = ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",)


def reached(port: int, address: str) -> bool:
    with socket.create_connection((address, port), timeout=10) as client:
        return client.recv(2) == b"ok"


@pytest.mark.parametrize("address", BOTH)
def test_a_listener_is_reached_by_either_protocol(address: str) -> None:
    with listening.listener(0) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"ok")

        thread = threading.Thread(target=answer)
        thread.start()
        assert reached(port, address)
        thread.join()


def test_a_port_that_is_taken_on_either_protocol_is_refused() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(OSError, match="in use"):
        listening.listener(other.getsockname()[1])


def no_socket(*_: object, **__: object) -> socket.socket:
    raise OSError("address family not supported")


class Apart(socket.socket):
    """A socket of a machine that keeps IPv6 and IPv4 apart."""

    def getsockopt(self, *_: object) -> int:  # type: ignore[override]
        return 1


@pytest.mark.parametrize("made", [no_socket, Apart])
def test_a_machine_without_both_listens_on_ipv4(
    monkeypatch: pytest.MonkeyPatch, made: Callable[..., socket.socket]
) -> None:
    monkeypatch.setattr("socket.socket", made)
    assert listening.every_address() == "0.0.0.0"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_machine_with_both_listens_on_both() -> None:
    assert listening.every_address() == "::"
