"""llm_timeout on the real Toxiproxy: its effect is proven when it is there, and only then.

The LLM server is a stand-in that answers at once: what is proven is the hanging, not the model.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.deadline import Deadline
from chaos.faults.base import Value, parse_params
from chaos.faults.llm_timeout import LLMTimeout
from chaos.faults.wire_probe import http_get
from chaos.stack.base import Endpoint, Stack
from chaos.stack.toxiproxy import ProxyProblem, ToxiproxyClient
from tests.faults.standins import HANG, server
from tests.ports import free_ports

pytestmark = pytest.mark.stack


@dataclass
class Wires:
    """Stands for a stack: just the two ends of the wire, and the real proxy between them."""

    proxied_llm: Endpoint
    direct_llm: Endpoint
    proxy: ToxiproxyClient


@contextmanager
def wires(binary: Path, upstream: Endpoint) -> Iterator[Wires]:
    api, listen = (Endpoint("127.0.0.1", port) for port in free_ports(2))
    process = subprocess.Popen(
        [str(binary), "-host", api.host, "-port", str(api.port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = ToxiproxyClient(api)
        deadline = Deadline(10)
        while deadline.wait(0.02):
            try:
                client.create(listen, upstream)
                break
            except ProxyProblem:
                continue
        yield Wires(listen, upstream, client)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def healthy(toxiproxy_binary: Path) -> Iterator[Stack]:
    with ExitStack() as stack:
        upstream = stack.enter_context(server("200"))
        yield cast(Stack, stack.enter_context(wires(toxiproxy_binary, upstream)))


def fault(**raw: Any) -> LLMTimeout:
    return LLMTimeout("f001", parse_params(LLMTimeout, cast("dict[str, Value]", raw), place="test"))


def test_the_effect_is_proven_while_it_holds_and_the_recovery_afterwards(healthy: Stack) -> None:
    hang = fault()
    assert hang.available(healthy) is None
    hang.inject(healthy)
    assert healthy.proxy.toxics() == ["chaos_f001"]
    effect = hang.effect(healthy, Deadline(10))
    assert effect.proven, effect.measured
    assert effect.measured["through_proxy"]["outcome"] == "timeout"
    hang.recover(healthy)
    hang.recover(healthy)  # twice: undoing is idempotent
    assert hang.recovered(healthy, Deadline(10)).proven
    assert healthy.proxy.toxics() == []


def test_without_the_toxic_no_effect_is_claimed(healthy: Stack) -> None:
    """The negative control: nothing was injected, so nothing may be proven."""
    effect = fault().effect(healthy, Deadline(2.5))
    assert not effect.proven
    assert effect.measured["attempts"] >= 1


def test_with_the_toxic_in_place_no_recovery_is_claimed(healthy: Stack) -> None:
    hang = fault()
    hang.inject(healthy)
    assert not hang.recovered(healthy, Deadline(2.5)).proven


def test_a_server_that_hangs_by_itself_is_not_taken_for_the_fault(toxiproxy_binary: Path) -> None:
    with server(HANG) as upstream, wires(toxiproxy_binary, upstream) as stack:
        hang = fault()
        hang.inject(cast(Stack, stack))
        assert not hang.effect(cast(Stack, stack), Deadline(3.5)).proven


def test_a_timeout_closes_the_hung_connection_after_its_time(healthy: Stack) -> None:
    hang = fault(timeout="400ms")
    hang.inject(healthy)
    start_s = time.monotonic()
    seen = http_get(healthy.proxied_llm, "/health", limit_s=5)
    assert seen.outcome == "closed"
    assert time.monotonic() - start_s >= 0.35
    assert hang.effect(healthy, Deadline(10)).proven


def test_a_hold_shorter_than_a_look_proves_nothing(healthy: Stack) -> None:
    hang = fault()
    hang.inject(healthy)
    assert not hang.effect(healthy, Deadline(0.5)).proven
