"""The kinds on the LLM server's process, on the real supervisor: proven, healed, undone.

Where no model is needed the server is a stand-in (tests/llm/standin_server.py) below the real
supervisor; the one that ignores SIGTERM is real. `tests.faults.on_stack` runs all kinds on a real
stack, where the Watcher has a killed server started again; here the test does so.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import Identity
from chaos.faults.base import Fault, noop_twin, parse_params
from chaos.faults.llm_process.ignores_stop import LLMIgnoresStop, ignores
from chaos.faults.llm_process.killed import LLMKilled
from chaos.faults.llm_process.paused import LLMPaused
from chaos.faults.llm_process.server import Record, unavailable
from chaos.faults.llm_process.slow_load import LLMSlowLoad
from chaos.faults.registry import kinds_of
from chaos.record.target_llm import LLMSpec
from chaos.stack.base import Endpoint, Stack
from chaos.stack.llm_service import LLMService
from chaos.stack.process import LocalService
from tests.llm.supervised import Supervisor
from tests.waiting import wait_for

KINDS = kinds_of("llm_process")

LONG_S = 60.0  # a limit that a busy machine does not reach


@dataclass
class Running:
    """Stands for the supervisor as a service of the stack: it runs."""

    process: Any
    log: Path

    def pid(self) -> int:
        pid: int = self.process.pid
        return pid

    def alive(self) -> bool:
        return self.process.poll() is None


class SmallStack:
    """Stands for a stack: a real supervisor and its server, no proxy, no Watcher."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.workspace = supervisor.folder
        self.target = SimpleNamespace(
            llm=LLMSpec(events=supervisor.events_path.name, stopped_for_work=True)
        )
        self.direct_llm = self.proxied_llm = Endpoint("127.0.0.1", supervisor.port)
        running = cast(LocalService, Running(supervisor.process, supervisor.log))
        control = Endpoint("127.0.0.1", supervisor.control)
        self.services = {
            "llm": LLMService(running, control, supervisor.log),
            "llm_supervisor": running,
        }

    def service(self, name: str) -> Any:
        return self.services[name]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., SmallStack]]:
    started: list[Supervisor] = []

    def make(standin: str | None = "", model: Path | None = None) -> SmallStack:
        if model is None:
            model = tmp_path / "model.gguf"
            model.write_bytes(b"GGUF")
        options = ("--autostart", "--stop-limit-s=1.5")
        started.append(Supervisor(tmp_path, model, *options, standin=standin))
        started[-1].await_healthy()
        return SmallStack(started[-1])

    yield make
    for one in started:
        if one.process.poll() is None:
            one.end()


def armed(kind: type[Fault], stack: SmallStack, **raw: Any) -> Any:
    fault = kind("f001", parse_params(kind, {"hold": "30s", **raw}, place="test"))
    assert fault.available(cast(Stack, stack)) is None
    fault.undo_record(cast(Stack, stack))
    return fault


@contextmanager
def watcher(stack: SmallStack, path: str, *, after_s: float = 0.3) -> Iterator[None]:
    """Stands for a Watcher: asks the supervisor again and again, as `/start` or `/stop`."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(after_s):
            stack.supervisor.request("POST", path)
            if path == "/stop":
                stack.supervisor.request("POST", "/start")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_kill_is_proven_when_another_party_restarts_the_service(
    supervise: Callable[..., SmallStack],
) -> None:
    stack = supervise()
    killed = armed(LLMKilled, stack)
    before = stack.service("llm").pid()
    killed.inject(stack)
    assert not killed.recovered(stack, Deadline(0.5)).proven  # nobody has started it again
    with watcher(stack, "/start"):
        effect = killed.effect(stack, Deadline(LONG_S))
        assert effect.proven
        assert (effect.measured["killed_pid"], effect.measured["exit_code"]) == (before, -9)
        assert "a new server was started" in effect.measured["path_taken"]
        killed.recover(stack)
        killed.recover(stack)
        healed = killed.recovered(stack, Deadline(LONG_S))
    assert healed.proven, healed.measured
    assert healed.measured["new_pid"] != before


def test_keep_down_denies_starts_until_recovery(
    supervise: Callable[..., SmallStack],
) -> None:
    stack = supervise()
    killed = armed(LLMKilled, stack, keep_down="yes")
    killed.inject(stack)
    with watcher(stack, "/start"):
        effect = killed.effect(stack, Deadline(LONG_S))
        assert effect.proven and effect.measured["cuts_llm"]
        assert "and denied" in effect.measured["path_taken"]
        assert stack.service("llm").pid() is None
        killed.recover(stack)
        assert killed.recovered(stack, Deadline(LONG_S)).proven


def test_a_stopped_server_does_not_prove_a_kill(
    supervise: Callable[..., SmallStack],
) -> None:
    """Also if the supervisor had to kill it."""
    stack = supervise("ignore-term")
    killed = armed(LLMKilled, stack)
    stack.supervisor.ask("POST", "/stop")
    assert not killed.effect(stack, Deadline(0.5)).proven


def test_without_a_healthy_server_no_effect_is_proven(supervise: Callable[..., SmallStack]) -> None:
    stack = supervise()
    stack.supervisor.ask("POST", "/stop")
    for kind in (LLMKilled, LLMPaused):
        fault = armed(kind, stack, hold="1s")
        with pytest.raises(EnvironmentProblem, match="no LLM server was healthy"):
            fault.inject(stack)
        fault.recover(stack)


def test_a_paused_server_continues_as_the_same_process(
    supervise: Callable[..., SmallStack],
) -> None:
    stack = supervise()
    paused = armed(LLMPaused, stack)
    pid = stack.service("llm").pid()
    paused.inject(stack)
    effect = paused.effect(stack, Deadline(LONG_S))
    assert effect.proven, effect.measured
    assert effect.measured["direct"]["outcome"] == "timeout"
    assert not paused.recovered(stack, Deadline(0.5)).proven
    paused.recover(stack)
    paused.recover(stack)
    assert paused.recovered(stack, Deadline(LONG_S)).proven
    assert stack.service("llm").pid() == pid


def test_recovery_does_not_touch_a_server_that_replaced_the_paused_one(
    supervise: Callable[..., SmallStack],
) -> None:
    """The supervisor kills a paused server that is stopped; its successor must get no signal."""
    stack = supervise()
    paused = armed(LLMPaused, stack)
    paused.inject(stack)
    stack.supervisor.ask("POST", "/stop")
    stack.supervisor.ask("POST", "/start")
    stack.supervisor.await_healthy()
    paused.recover(stack)
    assert paused.recovered(stack, Deadline(LONG_S)).proven
    assert stack.supervisor.events().count("crashed") == 0


def test_undo_continues_a_paused_server(
    supervise: Callable[..., SmallStack],
) -> None:
    stack = supervise()
    paused = LLMPaused("f001", parse_params(LLMPaused, {}, place="test"))
    record = paused.undo_record(cast(Stack, stack))
    paused.inject(cast(Stack, stack))
    server = Identity.of(stack.service("llm").pid())
    assert server is not None and set(server.states()) == {"T"}
    LLMPaused.undo(record)
    LLMPaused.undo(record)
    wait_for("the server goes on", lambda: "T" not in server.states())


@pytest.mark.parametrize("started_by", ["the Watcher", "the fault"])
def test_a_slow_load_is_proven_if_the_watcher_or_the_fault_starts_the_server(
    supervise: Callable[..., SmallStack], started_by: str
) -> None:
    stack = supervise()
    slow = armed(
        LLMSlowLoad, stack, delay="2s", hold="30s" if started_by == "the Watcher" else "4s"
    )
    if started_by == "the Watcher":
        threading.Timer(0.3, lambda: stack.service("llm").stop(5)).start()
        threading.Timer(1.5, lambda: stack.service("llm").start()).start()
    slow.inject(stack)
    effect = slow.effect(stack, Deadline(LONG_S))
    assert effect.proven, effect.measured
    assert effect.measured["started_by"] == started_by
    assert effect.measured["loading_503_s"] >= 1.6
    assert effect.measured["asked_again"] == 0
    slow.recover(stack)
    slow.recover(stack)
    assert slow.recovered(stack, Deadline(LONG_S)).proven
    assert stack.service("llm").faults() == {
        "load_delay_s": 0.0,
        "ignore_stop": False,
        "deny_start": False,
    }


def test_refused_starts_during_the_load_are_counted(
    supervise: Callable[..., SmallStack],
) -> None:
    stack = supervise()
    slow = armed(LLMSlowLoad, stack, delay="3s", hold="4s")
    slow.inject(stack)
    with watcher(stack, "/start"):
        effect = slow.effect(stack, Deadline(LONG_S))
    assert effect.proven
    assert effect.measured["asked_again"] >= 1
    assert stack.supervisor.events().count("start") == 2


@pytest.mark.stack
@pytest.mark.slow
def test_ignored_sigterm_is_proven_by_a_stop_and_the_server_is_replaced(
    supervise: Callable[..., SmallStack], model_path: Path
) -> None:
    stack = supervise(None, model_path)
    deaf = armed(LLMIgnoresStop, stack, hold="6s")
    deaf.inject(stack)
    with watcher(stack, "/stop", after_s=4.0):
        effect = deaf.effect(stack, Deadline(LONG_S))
    assert effect.proven, effect.measured
    assert effect.measured["ignores_sigterm"]
    assert (effect.measured["lived_on_s"] >= 1.0, effect.measured["exit_code"]) == (True, -9)
    deaf.recover(stack)
    deaf.recover(stack)
    healed = deaf.recovered(stack, Deadline(LONG_S))
    assert healed.proven, healed.measured
    assert not ignores(stack.service("llm").pid(), signal.SIGTERM)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_noop_twin_proves_no_effect(
    supervise: Callable[..., SmallStack], kind: type[Fault]
) -> None:
    """While servers are stopped and started."""
    stack = supervise()
    twin = armed(noop_twin(kind), stack)
    twin.inject(stack)
    with watcher(stack, "/stop"):
        assert not twin.effect(stack, Deadline(3.0)).proven


def test_ignored_signals_are_read_from_the_kernel() -> None:
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        assert ignores(os.getpid(), signal.SIGUSR2)
        assert not ignores(os.getpid(), signal.SIGCHLD)
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_record_has_only_later_events_and_ignores_an_incomplete_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"time_s": 1, "event": "start", "pid": 1}\n')
    record = Record(path, path.stat().st_size)
    assert record.events() == []
    with path.open("a") as stream:
        stream.write('{"time_s": 2, "event": "gone", "pid": 1, "exit_code": -9}\n{"time_s": 3, "ev')
    assert [(one.event, one.exit_code) for one in record.events()] == [("gone", -9)]
    assert Record(tmp_path / "none", 0).events() == []


def test_without_a_supervisor_the_kinds_are_unavailable(
    supervise: Callable[..., SmallStack],
) -> None:
    stack = supervise()
    stack.services["llm"] = SimpleNamespace(pid=lambda: None)  # started by something else
    assert "no supervisor" in str(unavailable(cast(Stack, stack), knobs=True))
    stack.target = SimpleNamespace(llm=LLMSpec(events=""))
    assert "llm.events" in str(unavailable(cast(Stack, stack)))
    del stack.services["llm_supervisor"]
    stack.target = SimpleNamespace(llm=LLMSpec(events="events.jsonl"))
    assert "no LLM supervisor" in str(unavailable(cast(Stack, stack)))


def test_after_the_end_of_the_supervisor_the_kinds_are_unavailable(
    supervise: Callable[..., SmallStack],
) -> None:
    stack = supervise()
    stack.supervisor.end()
    assert unavailable(cast(Stack, stack))
