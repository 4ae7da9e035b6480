"""The kinds on the TCP link, with the real proxies: proven only when injected.

The LLM server is a stand-in that answers at once: what is proven is the link, not the model.
`tests.faults.on_stack` runs the same kinds on the whole stack.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.faults.base import Fault, noop_twin, parse_params
from chaos.faults.exchange import exchange
from chaos.faults.llm_tcp.no_answer import LLMCut, LLMReset, LLMTimeout
from chaos.faults.llm_tcp.slow import LLMBandwidth, LLMLatency, LLMTrickle
from chaos.faults.params import Value
from chaos.faults.registry import kinds_of
from chaos.record.target_llm import LLMSpec
from chaos.stack.base import Endpoint, Stack
from chaos.stack.proxies import proxy_argv
from chaos.stack.toxiproxy import ProxyProblem, ToxiproxyClient
from tests.faults.standins import HANG, server
from tests.ports import free_ports
from tests.waiting import wait_for

KINDS = kinds_of("llm_tcp")

pytestmark = pytest.mark.stack

# Shorter than by default, so that the tests are; a twin looks for its effect in vain all along.
QUICK: dict[str, dict[str, Value]] = {
    "llm_latency": {"latency": "400ms"},
    "llm_bandwidth": {"rate": 4},
    "llm_trickle": {"gap": "20ms"},
    "llm_slow_close": {"delay": "400ms"},
}
CUTTING = {"llm_timeout", "llm_refused", "llm_reset", "llm_cut"}


class Answers(BaseHTTPRequestHandler):
    """Stands for llama.cpp's server: a short answer to /health, a long one to all else."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"status":"ok"}' if self.path == "/health" else b"x" * 2300
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Filler", "y" * 60)  # as long a head as the real one's
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class AnsweringServer(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def answering() -> Iterator[Endpoint]:
    with AnsweringServer(("127.0.0.1", 0), Answers) as one:
        threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True).start()
        yield Endpoint("127.0.0.1", one.server_address[1])
        one.shutdown()


@dataclass
class Wires:
    """Stands for a stack: just the two ends of the wire, and the real proxy between them."""

    proxied_llm: Endpoint
    direct_llm: Endpoint
    proxy: ToxiproxyClient
    target: ClassVar = SimpleNamespace(llm=LLMSpec())


@contextmanager
def wires(binary: Path | None, upstream: Endpoint) -> Iterator[Wires]:
    api, listen = (Endpoint("127.0.0.1", port) for port in free_ports(2))
    process = subprocess.Popen(
        proxy_argv(binary, api), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        client = ToxiproxyClient(api)
        created = lambda: client.create(listen, upstream) or True  # noqa: E731
        wait_for("the proxy starts", created, not_yet=ProxyProblem)
        yield Wires(listen, upstream, client)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["toxiproxy", "builtin"])
def healthy(request: pytest.FixtureRequest, toxiproxy_binary: Path) -> Iterator[Stack]:
    binary = toxiproxy_binary if request.param == "toxiproxy" else None
    with ExitStack() as stack:
        upstream = stack.enter_context(answering())
        yield cast(Stack, stack.enter_context(wires(binary, upstream)))


def make(kind: type[Fault], **raw: Any) -> Fault:
    return kind("f001", parse_params(kind, cast("dict[str, Value]", raw), place="test"))


def quick(kind: type[Fault]) -> Fault:
    return make(kind, **QUICK.get(kind.name, {}))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_effect_and_recovery_are_proven(healthy: Stack, kind: type[Fault]) -> None:
    fault = quick(kind)
    assert fault.available(healthy) is None
    assert fault.undo_record(healthy)
    fault.inject(healthy)
    effect = fault.effect(healthy, Deadline(20))
    assert effect.proven, effect.measured
    assert effect.measured["cuts_llm"] == (kind.name in CUTTING)
    assert not fault.recovered(healthy, Deadline(1.5)).proven  # it still is in force
    fault.recover(healthy)
    fault.recover(healthy)  # twice: undoing is idempotent
    healed = fault.recovered(healthy, Deadline(20))
    assert healed.proven, healed.measured
    assert healthy.proxy.toxics() == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_noop_twin_proves_no_effect(healthy: Stack, kind: type[Fault]) -> None:
    twin = quick(noop_twin(kind))
    twin.undo_record(healthy)
    twin.inject(healthy)
    effect = twin.effect(healthy, Deadline(2.5))
    assert not effect.proven
    assert effect.measured["attempts"] >= 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_hanging_server_does_not_prove_the_fault(
    toxiproxy_binary: Path, kind: type[Fault]
) -> None:
    with server(HANG) as upstream, wires(toxiproxy_binary, upstream) as stack:
        fault = quick(kind)
        fault.inject(cast(Stack, stack))
        assert not fault.effect(cast(Stack, stack), Deadline(2.5)).proven


def test_a_timeout_closes_the_hung_connection_after_its_time(healthy: Stack) -> None:
    hang = make(LLMTimeout, timeout="400ms")
    hang.inject(healthy)
    start_s = time.monotonic()
    seen = exchange(healthy.proxied_llm, "/health", limit_s=20)
    assert seen.outcome == "closed"
    assert time.monotonic() - start_s >= 0.35
    assert hang.effect(healthy, Deadline(20)).proven


def test_a_late_reset_is_proven(healthy: Stack) -> None:
    late = make(LLMReset, after="300ms")
    late.inject(healthy)
    effect = late.effect(healthy, Deadline(20))
    assert effect.proven
    assert effect.measured["through_proxy"]["took_ms"] >= 270


@pytest.mark.parametrize(("size", "cuts"), [(1, True), (100, True), (1500, False)])
def test_a_cut_is_proven_at_the_exact_byte(healthy: Stack, size: int, cuts: bool) -> None:
    """`cuts_llm` is false if whole short answers still pass."""
    cut = make(LLMCut, bytes=size)
    cut.inject(healthy)
    effect = cut.effect(healthy, Deadline(20))
    assert effect.proven, effect.measured
    assert effect.measured["through_proxy"]["bytes"] == size
    assert effect.measured["cuts_llm"] is cuts


def test_a_cut_at_another_byte_does_not_prove_the_fault(healthy: Stack) -> None:
    healthy.proxy.add_toxic("someone", "limit_data", {"bytes": 90})
    assert not make(LLMCut, bytes=100).effect(healthy, Deadline(2)).proven


@pytest.mark.parametrize("size", [1, 20, 200])
def test_a_trickle_of_any_size_is_proven(healthy: Stack, size: int) -> None:
    """The pieces within the limit are enough, however long the whole answer takes."""
    trickle = make(LLMTrickle, size=size, gap="30ms")
    trickle.inject(healthy)
    effect = trickle.effect(healthy, Deadline(20))
    assert effect.proven, effect.measured
    assert effect.measured["piece_bytes"] <= 1.5 * size


def test_slightly_slow_link_proves_no_latency_fault(healthy: Stack) -> None:
    healthy.proxy.add_toxic("someone", "latency", {"latency": 150})
    assert not make(LLMLatency, latency="1s").effect(healthy, Deadline(4)).proven


def test_hold_shorter_than_one_probe_proves_no_effect(healthy: Stack) -> None:
    hang = make(LLMTimeout)
    hang.inject(healthy)
    assert not hang.effect(healthy, Deadline(0.5)).proven


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (LLMLatency, {"jitter": 0.9}),
        (LLMLatency, {"latency": "10ms"}),
        (LLMBandwidth, {"rate": 0}),
        (LLMBandwidth, {"rate": 21}),
        (LLMTrickle, {"size": 401}),
        (LLMCut, {"bytes": 0}),
    ],
)
def test_parameters_whose_effect_cannot_be_proven_are_refused(
    kind: type[Fault], raw: dict[str, Value]
) -> None:
    with pytest.raises(UsageError, match="out of range"):
        parse_params(kind, raw, place="test")
