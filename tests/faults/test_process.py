"""The process kinds on real processes: proven only if injected.

`Bench` stands for a stack: real services below the real service class, in one folder; what they
run is `tiny_daemon.py`, except in the last test, which has the real stack.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.base.proc import Identity
from chaos.base.yamlfile import load
from chaos.faults.base import Evidence, Fault, noop_twin, parse_params
from chaos.faults.params import Value
from chaos.faults.process.dispatch_crash import WatcherDispatchCrash
from chaos.faults.process.ended import (
    InjectorKilled,
    InjectorRestarted,
    WatcherKilled,
    WatcherRestarted,
)
from chaos.faults.process.paused import InjectorPaused, WatcherPaused
from chaos.faults.process.progress import draw_interval_s, draws
from chaos.faults.process.second import WatcherSecond
from chaos.faults.process.service import ServiceFault
from chaos.faults.registry import fault_kind, kinds_of
from chaos.record.target import Target
from chaos.stack.base import Stack
from chaos.stack.process import LocalService, Surroundings
from tests.waiting import wait_for

KINDS = kinds_of("process")

REPO = Path(__file__).resolve().parents[2]
DAEMON = Path(__file__).with_name("tiny_daemon.py")
LIMIT_S = 30.0  # for whatever must happen; a loaded machine takes its time


class Bench:
    """Stands for a stack. Draws come every 0.2 s."""

    def __init__(self, workspace: Path) -> None:
        self.target = load(REPO / "experiments/targets/reference.yaml", Target)
        self.workspace = workspace
        self.daemon = True
        self.sandboxed = False
        self.cancel = threading.Event()
        self.made: list[LocalService] = []
        self.put("watcher_policies.json", {"synthetic_injection": {"interval_seconds": 0.2}})
        self.services = {
            "watcher": self.make("watcher", "watcher_status.json"),
            "injector": self.make("injector", "injector_status.json"),
        }

    def make(self, name: str, ready: str | None, program: str = "") -> LocalService:
        self.made.append(
            LocalService(
                name,
                [sys.executable, "-S", str(DAEMON), program or name],
                Surroundings(self.workspace, dict(os.environ)),
                self.workspace / f"{name}.out",
                ready_file=self.workspace / ready if ready else None,
                ready_limit_s=LIMIT_S,
                cancel=self.cancel,
            )
        )
        return self.made[-1]

    def service(self, name: str) -> LocalService:
        return self.services[name]

    def second_watcher(self) -> LocalService:
        return self.make("watcher_second", None, "watcher")

    def put(self, name: str, value: Any) -> None:
        (self.workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (self.workspace / name).write_text(json.dumps(value))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    for service in one.made:
        service.kill()


@pytest.fixture
def running(bench: Bench) -> Bench:
    for service in bench.services.values():
        service.start()
    return bench


def make(kind: type[Fault], **raw: Any) -> ServiceFault:
    values = parse_params(kind, cast("dict[str, Value]", raw), place="test")
    return cast(ServiceFault, kind("f001", values))


def broken(fault: ServiceFault, bench: Bench, limit_s: float = LIMIT_S) -> Evidence:
    """Everything up to the proof of the effect."""
    stack = cast(Stack, bench)
    assert fault.available(stack) is None
    json.dumps(fault.undo_record(stack))
    fault.inject(stack)
    return fault.effect(stack, Deadline(limit_s))


def healed(fault: ServiceFault, bench: Bench, limit_s: float = LIMIT_S) -> Evidence:
    stack = cast(Stack, bench)
    fault.recover(stack)
    fault.recover(stack)  # twice: idempotent
    return fault.recovered(stack, Deadline(limit_s))


SIMPLE = (
    WatcherKilled,
    WatcherPaused,
    WatcherRestarted,
    WatcherSecond,
    InjectorKilled,
    InjectorPaused,
    InjectorRestarted,
)


@pytest.mark.parametrize("kind", SIMPLE)
def test_effect_and_recovery_are_proven(running: Bench, kind: type[Fault]) -> None:
    fault = make(kind)
    effect = broken(fault, running)
    assert effect.proven, effect.measured
    assert json.dumps(effect.measured)
    after = healed(fault, running)
    assert after.proven, after.measured
    assert running.service("watcher").alive() and running.service("injector").alive()


@pytest.mark.parametrize("kind", KINDS)
def test_noop_twin_proves_no_effect(running: Bench, kind: type[Fault]) -> None:
    effect = broken(make(noop_twin(kind)), running, limit_s=1.5)
    assert not effect.proven, effect.measured


def test_every_kind_is_registered_and_declares_ends() -> None:
    for kind in KINDS:
        assert fault_kind(kind.name) is kind
        assert kind.group == "process"
        died = kind.name.endswith(("_killed", "_restarted", "_crash"))
        assert bool(kind.ends) == died
        assert kind.ends <= {kind.name.partition("_")[0]}


# -- where there is nothing to break --------------------------------------------------------------


@pytest.mark.parametrize("kind", [InjectorKilled, InjectorPaused, InjectorRestarted])
def test_without_an_injector_the_kinds_are_unavailable(bench: Bench, kind: type[Fault]) -> None:
    reason = make(kind).available(cast(Stack, bench))
    assert reason == "the injector does not run in this soak; soak C has it"


def test_the_reason_names_the_exit_code_of_a_dead_injector(running: Bench) -> None:
    running.service("injector").kill()
    reason = make(InjectorKilled).available(cast(Stack, running))
    assert reason == "the injector does not run: it ended with exit code -9"


def test_without_a_daemon_the_watcher_kinds_are_unavailable(running: Bench) -> None:
    running.daemon = False
    for kind in KINDS:
        reason = make(kind).available(cast(Stack, running))
        if kind.name.startswith("watcher_"):
            assert reason is not None and "profile with the daemon" in reason
        else:
            assert reason is None


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (WatcherKilled, {"children": "some"}),
        (WatcherDispatchCrash, {"hold": "1s"}),
        (WatcherSecond, {"hold": "1s"}),
        (InjectorKilled, {"children": "keep"}),
    ],
)
def test_bad_parameters_are_refused(kind: type[Fault], raw: dict[str, Value]) -> None:
    with pytest.raises(UsageError):
        parse_params(kind, raw, place="test")


# -- one by one -----------------------------------------------------------------------------------


def working(bench: Bench, seconds: float) -> Identity:
    """The dispatch child of a Watcher that processes a request."""
    bench.put("tiny.json", {"work": seconds})
    bench.put("watcher_requests/r1.json", {})
    for service in bench.services.values():
        service.start()
    first = Identity.of(bench.service("watcher").pid())
    assert first is not None

    def children() -> list[Identity]:
        """Those that have begun their own program."""
        return [one for one in first.children() if one.command() not in (b"", first.command())]

    return wait_for("a child", children)[0]


@pytest.mark.parametrize(("children", "left"), [("keep", 1), ("kill", 0)])
def test_children_of_a_killed_watcher_are_kept_or_killed(
    bench: Bench, children: str, left: int
) -> None:
    child = working(bench, 600)
    effect = broken(make(WatcherKilled, children=children), bench)
    assert effect.proven
    assert (effect.measured["children_then"], effect.measured["children_now"]) == (1, left)
    assert child.lives() == bool(left)
    child.send(signal.SIGKILL)


def test_a_dispatch_crash_kills_the_watcher_while_a_child_runs(bench: Bench) -> None:
    child = working(bench, 1.0)
    fault = make(WatcherDispatchCrash)
    effect = broken(fault, bench)
    assert effect.proven, effect.measured
    assert effect.measured["requests"] == ["r1.json"]
    assert effect.measured["decided"] == []
    after = healed(fault, bench)
    assert after.proven, after.measured
    assert after.measured["decisions"] == {"r1.json": 1}
    assert "finished the requests of the first one" in after.measured["path_taken"]
    child.send(signal.SIGKILL)


def test_without_a_dispatch_no_effect_is_proven(running: Bench) -> None:
    fault = make(WatcherDispatchCrash, hold="4s")
    effect = broken(fault, running)
    assert not effect.proven
    assert "needs work in the queue" in effect.measured["reason"]
    assert healed(fault, running).proven  # nothing was broken


def test_a_lost_request_prevents_the_proof_of_recovery(bench: Bench) -> None:
    child = working(bench, 600)
    fault = make(WatcherDispatchCrash)
    assert broken(fault, bench).proven
    child.send(signal.SIGKILL)
    (bench.workspace / "watcher_requests/claimed/r1.json").unlink()
    assert not healed(fault, bench, limit_s=3).proven


def test_a_watcher_that_must_be_killed_is_not_a_clean_stop(bench: Bench) -> None:
    bench.put("tiny.json", {"stubborn": True})
    limits = msgspec.structs.replace(bench.target.watcher, stop_limit_s=0.5)
    bench.target = msgspec.structs.replace(bench.target, watcher=limits)
    bench.service("watcher").start()
    effect = broken(make(WatcherRestarted), bench)
    assert effect.proven  # it is down, and how it went down is told
    assert effect.measured["stop"]["clean"] is False
    assert effect.measured["stop"]["exit_code"] == -9


def test_a_watcher_that_does_not_start_is_named_in_the_evidence(running: Bench) -> None:
    fault = make(WatcherKilled)
    assert broken(fault, running).proven
    running.put("tiny.json", {"dies": True})
    after = healed(fault, running, limit_s=3)
    assert not after.proven
    assert "ended with exit code 7 at its start" in after.measured["did_not_return"]


def test_a_run_that_is_stopped_does_not_wait_for_the_watcher(running: Bench) -> None:
    fault = make(WatcherKilled)
    assert broken(fault, running).proven
    running.cancel.set()
    assert not healed(fault, running).proven


def test_a_second_watcher_that_works_has_not_refused_and_is_ended(bench: Bench) -> None:
    bench.put("tiny.json", {"no_lock": True})
    bench.service("watcher").start()
    fault = make(WatcherSecond)
    effect = broken(fault, bench, limit_s=2.0)
    assert effect.proven
    assert effect.measured["refused"] is False
    assert effect.measured["exit_code"] is None
    after = healed(fault, bench)
    assert after.proven, after.measured
    assert not any(s.alive() for s in bench.made if s.name == "watcher_second")


def test_the_message_of_a_refusing_second_watcher_is_recorded(running: Bench) -> None:
    effect = broken(make(WatcherSecond), running)
    assert effect.measured["refused"] is True
    assert effect.measured["exit_code"] == 4
    assert effect.measured["message"] == "another one works here"
    assert effect.measured["owner"] == running.service("watcher").pid()


def test_recovery_is_unproven_while_the_service_is_paused(running: Bench) -> None:
    for kind in (WatcherPaused, InjectorPaused):
        fault = make(kind)
        assert broken(fault, running).proven
        assert not fault.recovered(cast(Stack, running), Deadline(1.0)).proven
        assert healed(fault, running).proven


def test_undo_continues_a_paused_process(running: Bench) -> None:
    fault = make(WatcherPaused)
    record = fault.undo_record(cast(Stack, running))
    fault.inject(cast(Stack, running))
    WatcherPaused.undo(json.loads(json.dumps(record)))
    WatcherPaused.undo(record)  # twice
    assert fault.recovered(cast(Stack, running), Deadline(LIMIT_S)).proven


def test_draws_that_were_due_are_counted(running: Bench) -> None:
    effect = broken(make(InjectorKilled), running)
    before, after = effect.measured["draws"]
    assert before == after
    assert effect.measured["draws_due"] >= 1


def test_rare_draws_are_not_required_as_proof(running: Bench) -> None:
    running.put("watcher_policies.json", {"synthetic_injection": {"interval_seconds": 120}})
    fault = make(InjectorPaused)
    assert broken(fault, running).proven
    after = healed(fault, running, limit_s=3)
    assert after.proven
    assert after.measured["draw_due"] is False


def test_the_draw_interval_is_read_from_the_policies_file(bench: Bench) -> None:
    stack = cast(Stack, bench)
    assert draw_interval_s(stack) == 0.2
    bench.put("watcher_policies.json", [])
    assert draw_interval_s(stack) is None
    bench.put("lottery_history.json", {"draws": [1, 2]})
    assert draws(stack) == 2
    (bench.workspace / "lottery_history.json").write_text('{"draws": [')
    assert draws(stack) is None


# -- identity -------------------------------------------------------------------------------------


def test_undo_does_not_touch_a_later_process_with_the_same_pid() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as one:
        found = Identity.of(one.pid)
        assert found is not None and found.lives()
        earlier = Identity(found.pid, found.start_ticks - 1)
        assert not earlier.lives()
        assert not earlier.send(signal.SIGKILL)
        assert one.poll() is None
        assert found.send(signal.SIGKILL)
        one.wait()
    assert not found.lives() and not found.send(signal.SIGKILL)
    assert (found.states(), found.switches(), found.children()) == ("", 0, [])


def test_a_zombie_counts_as_ended() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "pass"]) as one:
        wait_for("it has ended", lambda: Identity.of(one.pid) is None)


FIRST_THREAD_ENDS_FIRST = """
import ctypes, os, signal, threading, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
def end():
    time.sleep(0.5)
    os._exit(7)
open("ready", "w").close()
signal.sigwait({signal.SIGTERM})
threading.Thread(target=end).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_the_exit_code_is_known_once_the_last_thread_is_gone(bench: Bench) -> None:
    """Node, Go and Java have threads: the first one may be gone before the process has ended."""
    service = bench.make("watcher", "ready")
    service._argv = [sys.executable, "-S", "-c", FIRST_THREAD_ENDS_FIRST]
    bench.services["watcher"] = service
    service.start()
    fault = make(WatcherKilled)
    fault.undo_record(cast(Stack, bench))
    fault.first.send(signal.SIGTERM)
    end = fault.gone(cast(Stack, bench), Deadline(LIMIT_S))
    assert (end.proven, end.measured["exit_code"]) == (True, 7), end.measured
