"""The outcome of an exchange, and how the answer arrived."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chaos.faults.exchange import exchange, http_get
from chaos.stack.base import Endpoint
from tests.faults.standins import CLOSE, GARBAGE, HANG, server


@contextmanager
def scripted(act: Callable[[socket.socket], None]) -> Iterator[Endpoint]:
    """Stands for a server that answers one connection by `act`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(4096)
                act(link)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint("127.0.0.1", listener.getsockname()[1])
        finally:
            thread.join()


def reset(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut(link: socket.socket) -> None:
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")


def trickle(link: socket.socket) -> None:
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 2\r\n\r\n", b"1", b"2"):
        link.sendall(part)
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("behaviour", "outcome", "status"),
    [
        ("200", "answered", 200),
        ("503", "answered", 503),
        (HANG, "timeout", None),
        (CLOSE, "closed", None),
    ],
)
def test_the_outcome_of_an_exchange_is_named(
    behaviour: str, outcome: str, status: int | None
) -> None:
    with server(behaviour) as endpoint:
        seen = exchange(endpoint, "/health", limit_s=1.0 if behaviour == HANG else 20)
    assert (seen.outcome, seen.status, seen.ok) == (outcome, status, status == 200)


@pytest.mark.parametrize(
    ("behaviour", "outcome", "status"),
    [
        ("200", "answered", 200),
        ("503", "answered", 503),
        (HANG, "timeout", None),
        (CLOSE, "closed", None),
        (GARBAGE, "closed", None),
    ],
)
def test_the_outcome_of_http_get_is_named(behaviour: str, outcome: str, status: int | None) -> None:
    with server(behaviour) as endpoint:
        seen = http_get(endpoint, "/health", limit_s=0.3)
    assert (seen.outcome, seen.status, seen.ok) == (outcome, status, status == 200)


def test_an_answer_that_is_no_http_has_no_status() -> None:
    with server(GARBAGE) as endpoint:
        seen = exchange(endpoint, "/health", limit_s=20)
    assert seen.status is None
    assert not seen.ok


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
    assert exchange(endpoint, "/health", limit_s=20).outcome == "refused"
    assert http_get(endpoint, "/health", limit_s=0.3).outcome == "refused"


def test_a_reset_is_not_reported_as_a_close() -> None:
    with scripted(reset) as endpoint:
        assert exchange(endpoint, "/", limit_s=20).outcome == "reset"


def test_an_answer_shorter_than_announced_is_cut() -> None:
    with scripted(cut) as endpoint:
        seen = exchange(endpoint, "/", limit_s=20)
    assert (seen.outcome, seen.status) == ("cut", 200)


def test_pieces_and_gaps_are_measured() -> None:
    with scripted(trickle) as endpoint:
        seen = exchange(endpoint, "/", limit_s=20)
    assert seen.ok
    assert 1 < len(seen.pieces) <= 4
    assert seen.size_bytes == 40
    assert seen.close_ms > 0
    assert seen.median_gap_ms > 0
