"""The wire kinds with the real wire proxy and LLM server: each is proven only by its own effect."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.faults.base import Evidence, Fault, noop_twin, parse_params
from chaos.faults.llm_wire.answer import Answer, ask
from chaos.faults.llm_wire.content import LLMProse
from chaos.faults.llm_wire.fault import WireFault
from chaos.faults.llm_wire.late import LLMSlowFirstToken, LLMStall, LLMTruncated
from chaos.faults.llm_wire.malformed import (
    LLMBadToolCall,
    LLMEmptyChoices,
    LLMNoEnd,
    LLMShortAnswer,
)
from chaos.faults.llm_wire.status import LLMError, LLMRateLimited
from chaos.faults.params import Value
from chaos.faults.registry import fault_kinds, kinds_of
from chaos.record.target_llm import LLMSpec
from chaos.stack.base import Endpoint, Stack
from chaos.stack.llm_api import CHAT, COMPLETIONS, LLAMA, Form, request_body
from chaos.stack.proxies import WireControl, WireProblem, wire_argv
from tests.faults.standins import HANG, server
from tests.llm.supervised import Supervisor
from tests.ports import free_ports
from tests.stack.http_proxy import client
from tests.waiting import wait_for

KINDS = cast("tuple[type[WireFault], ...]", kinds_of("llm_wire"))
GRAMMAR = 'root ::= "yes" | "no"'
TOOLS = [{"type": "function", "function": {"name": "decide", "parameters": {"type": "object"}}}]

pytestmark = pytest.mark.stack

Case = tuple[type[Fault], dict[str, Value], Form]


def make(kind: type[Fault], raw: dict[str, Value]) -> WireFault:
    return cast(WireFault, kind("f001", parse_params(kind, raw, place="test")))


def struck_forms(kind: type[Fault]) -> list[Form]:
    """/completion, a chat, and a streamed chat, where the kind acts on them."""
    fault = make(kind, {})
    tools = fault.needs_tools
    forms = [Form(LLAMA), Form(CHAT, tools=tools), Form(CHAT, stream=True, tools=tools)]
    if kind is LLMNoEnd:
        forms.append(Form(LLAMA, stream=True))
    return [form for form in forms if fault.strikes(form)]


STREAM = Form(CHAT, stream=True)
# At every change each kind in one form, all forms in turn; before a release each in all.
EVERY_TIME: list[Case] = [
    (kind, {}, forms[number % len(forms)])
    for number, kind in enumerate(KINDS)
    if (forms := struck_forms(kind))
]
OTHERS: list[Case] = [
    case
    for kind in KINDS
    for form in struck_forms(kind)
    if (case := (kind, {}, form)) not in EVERY_TIME
]
VARIANTS: list[Case] = [
    *EVERY_TIME,
    (LLMTruncated, {"length": "rewritten"}, Form(LLAMA)),
    (LLMTruncated, {"after_tokens": 2}, Form(LLAMA, stream=True)),
    (LLMTruncated, {"after_tokens": 2, "mid_event": "yes"}, STREAM),
    (LLMTruncated, {"after_tokens": 0, "mid_event": "yes"}, Form(COMPLETIONS, stream=True)),
    (LLMStall, {"after_tokens": 1}, STREAM),
    (LLMSlowFirstToken, {"delay": "60s"}, Form(LLAMA)),
    (LLMShortAnswer, {}, Form(COMPLETIONS)),
    (LLMRateLimited, {"retry_after": 7}, Form(COMPLETIONS, stream=True)),
    (LLMBadToolCall, {"defect": "name"}, Form(CHAT, tools=True)),
    (LLMBadToolCall, {"defect": "name"}, Form(CHAT, stream=True, tools=True)),
    (LLMError, {"every": 3}, Form(LLAMA)),
    (LLMError, {"every": 5, "burst": 2}, Form(CHAT)),
    (LLMError, {"first": 2}, Form(CHAT)),
    (LLMError, {"nth": 4}, Form(CHAT)),
    (LLMError, {"active": "2s", "cycle": "4s"}, Form(CHAT)),
]


def name_of(case: Case) -> str:
    kind, raw, form = case
    return "-".join([kind.name, *(f"{k}={v}" for k, v in raw.items()), str(form).replace(" ", "_")])


CASES = [
    *(pytest.param(case, id=name_of(case)) for case in VARIANTS),
    *(pytest.param(case, id=name_of(case), marks=pytest.mark.long) for case in OTHERS),
]


@dataclass
class Wires:
    """Stands for a stack: the server, and the real wire proxy before it."""

    proxied_llm: Endpoint
    direct_llm: Endpoint
    wire: WireControl | None
    target: ClassVar = SimpleNamespace(llm=LLMSpec())


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


def watcher_asks(stack: Stack, form: Form) -> client.Seen:
    """A request as a daemon makes it: nothing marks it as the harness's."""
    return client.ask(stack.proxied_llm.port, form.path, watchers_body(form))


def watchers_body(form: Form) -> bytes:
    more = {"tools": TOOLS} if form.tools else {"grammar": GRAMMAR}
    return json.dumps(request_body(form.path, "So?", 8, stream=form.stream, **more)).encode()


def text_of(seen: client.Seen) -> str | None:
    return Answer("complete", seen.status, seen.body, seen.headers).content


def rule_of(stack: Stack) -> Any:
    assert stack.wire is not None
    return stack.wire.rules()["chaos_f001"]


def proven_effect(fault: Fault, stack: Stack) -> Evidence:
    assert fault.available(stack) is None
    fault.inject(stack)
    effect = fault.effect(stack, Deadline(60))
    assert effect.proven, effect.measured
    return effect


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize("case", CASES)
def test_effect_and_recovery_are_proven(stack: Stack, case: Case) -> None:
    """In the form in which the Watcher asks; its own answers are struck, too, and only then."""
    kind, raw, form = case
    fault = make(kind, raw)
    healthy = watcher_asks(stack, form)
    assert (healthy.status, healthy.ended) == (200, "complete")
    effect = proven_effect(fault, stack)
    assert effect.measured["probes_struck"] >= 1
    assert effect.measured["forms"] == [str(form)]
    assert rule_of(stack).seen == 0  # no probe took a turn of the Watcher's
    if fault.params.strikes_all():
        strike_the_watcher(stack, form)
        assert not fault.recovered(stack, Deadline(0.3)).proven  # it is still in force
    fault.recover(stack)
    fault.recover(stack)  # twice: undoing is idempotent
    recovered = fault.recovered(stack, Deadline(60))
    assert recovered.proven, recovered.measured
    assert recovered.measured["struck"] == fault.params.strikes_all()
    assert text_of(watcher_asks(stack, form)) == text_of(healthy)


def strike_the_watcher(stack: Stack, form: Form) -> None:
    with client.request(stack.proxied_llm.port, form.path, watchers_body(form)):
        wait_for("the Watcher's answer is struck", lambda: rule_of(stack).struck == 1)


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize("case", EVERY_TIME, ids=map(name_of, EVERY_TIME))
def test_noop_twin_proves_no_effect(stack: Stack, case: Case) -> None:
    kind, raw, form = case
    watcher_asks(stack, form)
    twin = make(noop_twin(kind), raw)
    twin.inject(stack)
    effect = twin.effect(stack, Deadline(2.2))
    assert not effect.proven
    assert effect.measured["attempts"] >= 1


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize("other", KINDS)
def test_each_kind_is_proven_only_by_its_own_effect(stack: Stack, other: type[Fault]) -> None:
    """`shows` of each kind gets the answer under the rule of `other`."""
    make(other, {}).inject(stack)
    form = struck_forms(other)[-1]
    limits: dict[str, Any] = {"limit_s": 20.0, "silence_s": 2.0, "form": form}
    direct = ask(stack.direct_llm, **limits)
    through = ask(stack.proxied_llm, **limits)
    claims = {kind for kind in KINDS if make(kind, {}).shows(through, direct, form)}
    assert claims == {other}


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize(
    ("raw", "struck"),
    [
        ({"first": 2}, [1, 1, 0, 0, 0]),
        ({"nth": 2}, [0, 1, 0, 0, 0]),
        ({"every": 4, "burst": 2}, [0, 0, 1, 1, 0]),
        ({"path": CHAT}, [1, 1, 1, 1, 1]),
        ({"path": LLAMA}, [0, 0, 0, 0, 0]),
    ],
)
def test_each_chosen_request_of_the_watcher_is_struck_and_no_other(
    stack: Stack, raw: dict[str, Value], struck: list[int]
) -> None:
    """However often the harness has asked meanwhile."""
    fault = make(LLMError, raw)
    proven_effect(fault, stack)
    answers = [watcher_asks(stack, Form(CHAT)) for _ in struck]
    assert [int(seen.status == 500) for seen in answers] == struck


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize("path", [COMPLETIONS, CHAT, "/chat/completions"])
def test_each_form_in_which_the_watcher_asks_is_probed(stack: Stack, path: str) -> None:
    watcher_asks(stack, Form(LLAMA))
    client.ask(stack.proxied_llm.port, path, watchers_body(Form(CHAT, stream=True)))
    effect = proven_effect(make(LLMError, {}), stack)
    meant = CHAT if path == "/chat/completions" else path
    assert set(effect.measured["forms"]) == {LLAMA, f"{meant} streamed"}


@pytest.mark.slow(seconds=120)  # the group: see tests/order.py
@pytest.mark.parametrize(
    ("kind", "raw"),
    [(LLMStall, {"after_tokens": 1}), (LLMNoEnd, {}), (LLMEmptyChoices, {}), (LLMBadToolCall, {})],
)
def test_each_kind_that_can_strike_nothing_says_so(
    stack: Stack, kind: type[Fault], raw: dict[str, Value]
) -> None:
    """Before it is injected, or, if the Watcher asks only afterwards, at its recovery."""
    fault = make(kind, raw)
    proven_effect(fault, stack)
    path = CHAT if kind is LLMBadToolCall else LLAMA
    assert watcher_asks(stack, Form(path)).ended == "complete"
    fault.recover(stack)
    recovered = fault.recovered(stack, Deadline(60))
    assert recovered.proven
    assert "none could be struck" in recovered.measured["not_struck"]
    reason = make(kind, raw).available(stack)
    assert reason is not None and f"asked was {path} (1 times)" in reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [LLMError, LLMProse, LLMSlowFirstToken, LLMTruncated, LLMShortAnswer]
)
def test_a_failing_server_does_not_prove_the_fault(kind: type[Fault]) -> None:
    """A stand-in that hangs, and one that says 500 to everything."""
    for behaviour in (HANG, "500"):
        with server(behaviour) as upstream, wires(upstream) as stack:
            fault = make(kind, {})
            fault.inject(stack)
            assert not fault.effect(stack, Deadline(2.2)).proven


@pytest.mark.slow(seconds=120)
def test_a_failing_path_without_a_struck_rule_proves_nothing(llm: Endpoint) -> None:
    """The server behind the proxy answers 500 itself, so the rule's counter does not move."""
    with server("500") as failing, wires(failing, direct=llm) as stack:
        assert not make(LLMError, {}).effect(stack, Deadline(3.5)).proven


@pytest.mark.slow(seconds=120)
def test_cuts_llm_is_true_only_if_no_answer_can_pass(stack: Stack) -> None:
    def cuts(kind: type[Fault], **raw: Value) -> bool:
        fault = make(kind, raw)
        effect = proven_effect(fault, stack)
        fault.recover(stack)
        return bool(effect.measured["cuts_llm"])

    assert {kind.name for kind in KINDS if cuts(kind)} == {
        *("llm_context_overflow", "llm_error", "llm_loading", "llm_rate_limited"),
        *("llm_unauthorized", "llm_prose", "llm_stall", "llm_truncated"),
    }
    assert not cuts(LLMError, every=2)
    assert not cuts(LLMError, first=1)
    assert not cuts(LLMError, path=LLAMA)
    assert not cuts(LLMTruncated, after_bytes=300)
    assert not cuts(LLMTruncated, after_tokens=2)


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


@pytest.mark.parametrize(
    ("kind", "raw", "words"),
    [
        (LLMError, {"first": 1, "nth": 2}, "nth and first exclude each other"),
        (LLMError, {"every": 2, "first": 2}, "every and first exclude each other"),
        (LLMError, {"burst": 2}, "burst needs an every that is greater"),
        (LLMError, {"burst": 3, "every": 3}, "burst needs an every that is greater"),
        (LLMError, {"active": "2s"}, "active and cycle need each other"),
        (LLMError, {"active": "2s", "cycle": "1s"}, "active must be shorter than cycle"),
        (LLMError, {"path": "/v2/chat"}, "unknown value '/v2/chat'"),
        (LLMStall, {"after_tokens": 1, "after_bytes": 1}, "after_bytes and after_tokens exclude"),
        (LLMTruncated, {"mid_event": "yes"}, "mid_event needs after_tokens"),
        (LLMTruncated, {"after_tokens": "1.5"}, "'1.5' is not a whole number"),
        (LLMEmptyChoices, {"path": LLAMA}, "unknown value '/completion'"),
        (LLMBadToolCall, {"path": COMPLETIONS}, "unknown value '/v1/completions'"),
        (LLMBadToolCall, {"defect": "all"}, "unknown value 'all'"),
    ],
)
def test_bad_parameters_are_refused(kind: type[Fault], raw: dict[str, Value], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_params(kind, raw, place="--fault")
    assert "--fault" in str(caught.value.place)


def test_an_invalid_answer_is_not_usable() -> None:
    assert not Answer("complete", 200, b"[]").usable
    assert not Answer("complete", 200, b'{"content":7}').usable
    assert not Answer("closed", 200, b'{"content":"no"}').usable
    assert Answer("complete", 200, b'{"content":"no"}').usable
    assert Answer("complete", 200, b"[" * 100_000).content is None
