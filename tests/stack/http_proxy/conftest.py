"""The wire proxy as the process that runs use, in front of a small real HTTP server."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.ports import free_ports
from tests.stack.http_proxy.upstream import Upstream, upstream
from tests.waiting import wait_for

LIMIT_S = 30.0


@dataclass
class Wire:
    """A running wire proxy: its ports, and its process."""

    port: int
    control_port: int
    process: subprocess.Popen[bytes]

    def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        link = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=LIMIT_S)
        try:
            link.request(method, path, None if body is None else json.dumps(body))
            answer = link.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            link.close()

    def rule(self, kind: str, *, match: dict[str, Any] | None = None, **params: Any) -> None:
        """Set the rule `r`."""
        body = {"id": "r", "kind": kind, "params": params, "match": match or {}}
        status, answer = self.control("PUT", "/rule", body)
        assert status == 200, answer

    def counters(self) -> tuple[int, int]:
        """(seen, struck) of the only rule."""
        (told,) = self.control("GET", "/rules")[1]["rules"]
        return told["seen"], told["struck"]

    def stats(self) -> dict[str, int]:
        return dict(self.control("GET", "/stats")[1])


def start_wire(upstream_port: int) -> Wire:
    """Start one and wait until it answers; the caller ends it."""
    port, control_port = free_ports(2)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "chaos.stack.http_proxy"),
            *("--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{upstream_port}"),
            *("--control", f"127.0.0.1:{control_port}"),
        ]
    )
    wire = Wire(port, control_port, process)

    def answers() -> bool:
        assert process.poll() is None, "the wire proxy ended"
        wire.stats()
        return True

    wait_for("the wire proxy starts", answers, not_yet=OSError)
    return wire


@pytest.fixture
def make_wire() -> Iterator[Callable[[int], Wire]]:
    """`make_wire(upstream_port)` -> Wire; ended by SIGTERM afterwards, with exit code 0."""
    with ExitStack() as stack:

        def make(upstream_port: int) -> Wire:
            wire = start_wire(upstream_port)
            stack.callback(lambda: _end(wire))
            return wire

        yield make


def _end(wire: Wire) -> None:
    wire.process.terminate()
    try:
        assert wire.process.wait(30) == 0
    finally:
        wire.process.kill()
        wire.process.wait()


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture
def wire(server: Upstream, make_wire: Callable[[int], Wire]) -> Wire:
    return make_wire(server.port)
