"""The witness tells apart what a client library would fold into one error."""

from __future__ import annotations

import socket

import pytest

from chaos.faults.exchange import http_get
from chaos.stack.base import Endpoint
from tests.faults.standins import CLOSE, GARBAGE, HANG, server


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
def test_each_end_of_an_exchange_has_its_name(
    behaviour: str, outcome: str, status: int | None
) -> None:
    with server(behaviour) as endpoint:
        seen = http_get(endpoint, "/health", limit_s=0.3)
    assert (seen.outcome, seen.status) == (outcome, status)
    assert seen.ok == (status == 200)


def test_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
    assert http_get(endpoint, "/health", limit_s=0.3).outcome == "refused"
