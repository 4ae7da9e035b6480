"""The wire kinds with the real wire proxy and LLM server: each is proven only by its own effect."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.faults.base import Fault, noop_twin, parse_params
from chaos.faults.llm_wire.answer import Answer, ask
from chaos.faults.llm_wire.late import LLMSlowFirstToken, LLMStall, LLMTruncated
from chaos.faults.llm_wire.status import LLMError
from chaos.faults.params import Value
from chaos.faults.registry import fault_kinds, kinds_of
from chaos.stack.base import Endpoint, Stack
from chaos.stack.proxies import WireControl, WireProblem, wire_argv
from tests.faults.standins import HANG, server
from tests.llm.supervised import Supervisor
from tests.ports import free_ports
from tests.waiting import wait_for

KINDS = kinds_of("llm_wire")

pytestmark = pytest.mark.stack

VARIANTS: list[tuple[type[Fault], dict[str, Value]]] = [
    *((kind, {}) for kind in KINDS),
    (LLMTruncated, {"length": "rewritten"}),
    (LLMTruncated, {"at_token": 2}),
    (LLMStall, {"at_token": 1}),
    (LLMSlowFirstToken, {"delay": "60s"}),
    (LLMError, {"every": 3}),
]
IDS = [f"{kind.name}{''.join(f'-{k}={v}' for k, v in raw.items())}" for kind, raw in VARIANTS]


@dataclass
class Wires:
    """Stands for a stack: the server, and the real wire proxy before it."""

    proxied_llm: Endpoint
    direct_llm: Endpoint
    wire: WireControl | None


@contextmanager
def wires(upstream: Endpoint, direct: Endpoint | None = None) -> Iterator[Stack]:
    """A wire proxy before `upstream`; `direct`: what is taken for the server itself."""
    listen, control = (Endpoint("127.0.0.1", port) for port in free_ports(2))
    process = subprocess.Popen(wire_argv(listen, upstream, control))
    try:
        client = WireControl(control)
        wait_for("the wire proxy starts", lambda: [client.stats()], not_yet=WireProblem)
        yield cast(Stack, Wires(listen, direct or upstream, client))
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory, model_path: Path) -> Iterator[Endpoint]:
    """The real LLM server."""
    supervisor = Supervisor(tmp_path_factory.mktemp("llm"), model_path, "--autostart")
    try:
        supervisor.await_healthy()
        yield Endpoint("127.0.0.1", supervisor.port)
    finally:
        supervisor.end()


@pytest.fixture
def stack(llm: Endpoint) -> Iterator[Stack]:
    with wires(llm) as one:
        yield one


def make(kind: type[Fault], raw: dict[str, Value]) -> Fault:
    return kind("f001", parse_params(kind, raw, place="test"))


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize(("kind", "raw"), VARIANTS, ids=IDS)
def test_effect_and_recovery_are_proven(
    stack: Stack, kind: type[Fault], raw: dict[str, Value]
) -> None:
    fault = make(kind, raw)
    assert fault.available(stack) is None
    fault.inject(stack)
    effect = fault.effect(stack, Deadline(60))
    assert effect.proven, effect.measured
    assert effect.measured["struck"] >= 1
    assert not fault.recovered(stack, Deadline(0.3)).proven  # it is still in force
    fault.recover(stack)
    fault.recover(stack)  # twice: undoing is idempotent
    recovered = fault.recovered(stack, Deadline(60))
    assert recovered.proven, recovered.measured


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize(("kind", "raw"), VARIANTS, ids=IDS)
def test_noop_twin_proves_no_effect(stack: Stack, kind: type[Fault], raw: dict[str, Value]) -> None:
    twin = make(noop_twin(kind), raw)
    twin.inject(stack)
    effect = twin.effect(stack, Deadline(3.5))
    assert not effect.proven
    assert effect.measured["attempts"] >= 1


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize("other", KINDS)
def test_each_kind_is_proven_only_by_its_own_effect(stack: Stack, other: type[Fault]) -> None:
    """`shows` of each kind gets the answer under the rule of `other`."""
    make(other, {}).inject(stack)
    limits: dict[str, Any] = {"limit_s": 20.0, "silence_s": 2.0}
    direct = ask(stack.direct_llm, **limits)
    through = ask(stack.proxied_llm, **limits)
    claims = {kind for kind in KINDS if make(kind, {}).shows(through, direct)}  # type: ignore[attr-defined]
    assert claims == {other}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_server_does_not_prove_the_fault(kind: type[Fault]) -> None:
    """A stand-in that hangs, and one that says 500 to everything."""
    for behaviour in (HANG, "500"):
        with server(behaviour) as upstream, wires(upstream) as stack:
            fault = make(kind, {})
            fault.inject(stack)
            assert not fault.effect(stack, Deadline(2.5)).proven


@pytest.mark.slow(seconds=120)
def test_a_failing_path_without_a_struck_rule_proves_nothing(llm: Endpoint) -> None:
    """The server behind the proxy answers 500 itself, so the rule's counter does not move."""
    with server("500") as failing, wires(failing, direct=llm) as stack:
        assert not make(LLMError, {}).effect(stack, Deadline(3.5)).proven


@pytest.mark.slow(seconds=120)
def test_cuts_llm_is_true_only_if_no_answer_can_pass(stack: Stack) -> None:
    def cuts(kind: type[Fault], **raw: Value) -> bool:
        fault = make(kind, raw)
        fault.inject(stack)
        effect = fault.effect(stack, Deadline(60))
        assert effect.proven, effect.measured
        return bool(effect.measured["cuts_llm"])

    named = {kind.name for kind in KINDS if cuts(kind)}
    assert {kind.name for kind in KINDS} - named == {"llm_slow_first_token", "llm_wrong_decision"}
    assert not cuts(LLMError, every=2)
    assert not cuts(LLMTruncated, at_byte=300)
    assert not cuts(LLMTruncated, at_token=2)


def test_without_a_wire_proxy_the_kinds_are_unavailable() -> None:
    nowhere = Endpoint("127.0.0.1", 9)
    stack = cast(Stack, Wires(nowhere, nowhere, None))
    reason = make(LLMError, {}).available(stack)
    assert reason is not None and "wire" in reason


def test_a_missing_wire_proxy_raises_an_infrastructure_error() -> None:
    (port,) = free_ports(1)
    nowhere = Endpoint("127.0.0.1", port)
    with pytest.raises(WireProblem, match="is not there"):
        make(LLMError, {}).available(cast(Stack, Wires(nowhere, nowhere, WireControl(nowhere))))


def test_the_kinds_are_registered_and_need_the_wire_proxy() -> None:
    for kind in KINDS:
        assert fault_kinds()[kind.name] is kind
        assert kind.needs == {"wire"} and kind.group == "llm_wire"


def test_an_invalid_answer_is_not_usable() -> None:
    assert not Answer("complete", 200, b"[]").usable
    assert not Answer("complete", 200, b'{"content":7}').usable
    assert not Answer("closed", 200, b'{"content":"no"}').usable
    assert Answer("complete", 200, b'{"content":"no"}').usable
    assert Answer("complete", 200, b"[" * 100_000).content is None
