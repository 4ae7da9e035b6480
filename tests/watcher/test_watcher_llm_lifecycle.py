"""Starting the LLM server: wait for a slow one, restart a dead one a limited number of times.

The supervisor is a stand-in whose servers die or finish loading at scripted moments.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from agents import llm_lifecycle
from agents.http_call import CallFailed
from agents.llm_lifecycle import Lifecycle
from agents.policies import LLMPolicies
from agents.stop import Stop
from loguru import logger
from wire_stand_in import StandIn


class Supervisor(StandIn):
    """The next `stillborn` servers die right after their start. `slow` ones load until `loaded`."""

    def __init__(self) -> None:
        self.stillborn = 0
        self.slow = False
        self.loaded = threading.Event()
        super().__init__()

    def _serve_control(self, connection: socket.socket) -> None:
        before = len(self.commands)
        # One that dies is never healthy, however late it is ended here.
        self.still_loading = bool(self.stillborn) or (self.slow and not self.loaded.is_set())
        super()._serve_control(connection)
        if self.commands[before:] == ["start"] and self.stillborn:
            self.running = False
            self.stillborn -= 1


@pytest.fixture
def wire() -> Iterator[Supervisor]:
    with Supervisor() as stand_in:
        stand_in.running = False
        yield stand_in


def lifecycle(wire: Supervisor, **limits: float) -> Lifecycle:
    address = tuple(wire.endpoint.rsplit(":", 1)), tuple(wire.control.rsplit(":", 1))
    policies = LLMPolicies(
        endpoint=(address[0][0], int(address[0][1])),
        control=(address[1][0], int(address[1][1])),
        **{"timeout_s": 10.0, "start_timeout_s": 50.0, **limits},  # type: ignore[arg-type]
    )
    return Lifecycle(Stop(None), lambda: policies)


def test_a_server_that_dies_while_it_is_waited_for_is_started_again(wire: Supervisor) -> None:
    """Without asking the supervisor, the daemon would wait for a dead server until the timeout."""
    wire.stillborn = 1
    assert lifecycle(wire).start()["ok"]
    assert wire.commands == ["start", "start"]


def test_a_server_that_keeps_dying_is_restarted_at_most_twice(wire: Supervisor) -> None:
    wire.stillborn = 1000
    assert not lifecycle(wire, start_timeout_s=2.0).start()["ok"]
    assert wire.commands == ["start"] * 3


def test_a_server_that_loads_slowly_is_waited_for_and_never_started_twice(wire: Supervisor) -> None:
    """503 for a while: many health probes, one start."""
    wire.slow = True
    threading.Thread(target=_after_looks, args=(wire, 8), daemon=True).start()
    assert lifecycle(wire).start()["ok"]
    assert wire.commands == ["start"]
    assert wire.looks >= 8


def _after_looks(wire: Supervisor, looks: int) -> None:
    while wire.looks < looks and not wire.closing.wait(0.01):
        pass
    wire.loaded.set()
    wire.still_loading = False


def test_a_wait_without_a_supervisor_logs_the_reason_once(
    wire: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no descriptor left after the start, the log must say why the daemon waits.

    The injected failures stand for the kernel's EMFILE.
    """
    refused = iter(range(5))
    real = llm_lifecycle.call

    def call(stop: Stop, address: tuple[str, int], method: str, path: str, **more: Any) -> Any:
        if path == "/status" and next(refused, None) is not None:
            raise CallFailed(f"connection failed: {os.strerror(errno.EMFILE)}")
        return real(stop, address, method, path, **more)

    monkeypatch.setattr(llm_lifecycle, "call", call)
    started = lifecycle(wire)
    unheard = iter(range(5))
    healthy = started.client.healthy
    monkeypatch.setattr(
        started.client, "healthy", lambda: next(unheard, None) is None and healthy()
    )
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(str(message)), level="WARNING")
    try:
        assert started.start()["ok"]
    finally:
        logger.remove(sink)
    assert len([line for line in messages if os.strerror(errno.EMFILE) in line]) == 1


@pytest.mark.parametrize("command", ["start", "stop"])
def test_a_command_that_is_refused_for_a_moment_is_repeated(
    wire: Supervisor, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """One refused connection must not leave the server beside the dispatch child."""
    wire.running = command == "stop"
    refused = iter(range(3))
    real = llm_lifecycle.call

    def call(stop: Stop, address: tuple[str, int], method: str, path: str, **more: Any) -> Any:
        if method == "POST" and next(refused, None) is not None:
            raise CallFailed("connection refused")
        return real(stop, address, method, path, **more)

    monkeypatch.setattr(llm_lifecycle, "call", call)
    one = lifecycle(wire)
    assert (one.start() if command == "start" else one.stop())["ok"]
    assert wire.commands == [command]


def test_a_command_that_is_always_refused_fails_after_the_patience(
    wire: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*_: Any, **__: Any) -> Any:
        raise CallFailed("connection refused")

    monkeypatch.setattr(llm_lifecycle, "call", call)
    monkeypatch.setattr(llm_lifecycle, "COMMAND_PATIENCE_S", 0.2)
    stopped = lifecycle(wire).stop()
    assert (stopped["ok"], stopped["error"]) == (False, "stop: connection refused")
