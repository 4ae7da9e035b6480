"""The phases of one run, in their order: see `Run.execute`.

Preflight, provision, baseline, storm, quiet, halt, collect, tear down; then judge.py. This module
decides the order, and what happens after a failure. Each step is implemented in stack/, faults/,
soaks/ and witness/.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loguru import logger

from chaos.base.deadline import Deadline
from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.stopping import RunStopped, StopSignal
from chaos.faults.ledger import Ledger
from chaos.faults.lifecycle import Occurrence, Storm
from chaos.faults.registry import fault_kind, paths_of
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record.history import FaultState, HistoryWriter, Owner
from chaos.record.rundir import RunDir
from chaos.record.target import HaltSpec
from chaos.runner.preflight import check_faults, check_host, check_stack
from chaos.runner.reference_draws import recompute
from chaos.soaks import workload_kind
from chaos.soaks.base import Workload
from chaos.soaks.requests import withdrawable
from chaos.stack.base import Backend, Stack
from chaos.stack.outages import Outages
from chaos.witness.watch import Watch

_HURRIED_STOP_S = 1.5
_STORM_END_LIMIT_S = 30.0
_TICK_S = 0.25
# The Watcher gets a request once an effect is proven, so that it is not idle during the fault. Of
# these groups earlier, too: just before a fault during which none can be submitted; at the
# injection of one that has an effect only on what the Watcher does.
_REQUEST_AT: dict[str, FaultState] = {"disk": "armed", "syscall": "injected"}
_PAUSE_POLLS = 2.0  # how many polls a paused daemon is watched for, after one to notice
_PIECES = 12  # the ten requests of soak B and two probes
_REST_S = 2.5  # idle time before the halt, so that the slowest sampler measures it


@dataclass
class Run:
    """One run of `plan` on `backend`, recorded in `rundir`."""

    plan: Plan
    schedule: Schedule
    rundir: RunDir
    backend: Backend
    history: HistoryWriter
    stop: StopSignal

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.rundir.ledger)
        self._outages = Outages()
        self._stack: Stack | None = None
        self._watch: Watch | None = None
        kind = workload_kind(self.plan.workload)
        self._daemon = kind.daemon
        settings = self.plan.profile.settings
        self._workload: Workload = kind(self.plan.target, settings, self.history)

    def execute(self) -> None:
        """Execute all phases except the judgement. The stack is always torn down at the end."""
        try:
            self._preflight()
            stack = self._provision()
            self._baseline(stack)
            self._storm(stack)
            self._quiet()
            self._halt(stack)
        except RunStopped:
            self._cut_short()
        except ChaosError as error:
            self.stop.set("usage" if isinstance(error, UsageError) else "error", error.message)
            outside = isinstance(error, EnvironmentProblem)
            owner: Owner = "infrastructure" if outside else "harness"
            self.history.event("problem", severity="error", owner=owner, message=str(error))
            self._cut_short()
        except Exception as error:  # a defect of chaos: record it, and still clean up
            logger.exception("the harness failed")
            self.stop.set("error", f"{type(error).__name__}: {error}")
            self.history.event("problem", severity="error", owner="harness", message=repr(error))
            self._cut_short()
        finally:
            self._collect()
            self._tear_down()

    def _preflight(self) -> None:
        self.history.phase("preflight")
        check_host(self.plan, self.rundir)

    def _provision(self) -> Stack:
        self.history.phase("provision")
        start_s = self.history.now_s()
        self._stack = stack = self.backend.up(
            lambda step: self.history.event("provisioning", step=step),
            before_watcher=self._check_and_stage,
            daemon=self._daemon,
        )
        for witness, reason in self.backend.not_witnessed.items():
            self.history.event("not_witnessed", witness=witness, reason=reason)
        check_faults(self.plan, stack)
        pids = {name: stack.service(name).pid() for name in ("watcher", "llm", "proxy")}
        self.history.event("ready", took_s=round(self.history.now_s() - start_s, 3), services=pids)
        self._watch = Watch(
            stack,
            self.plan,
            self.rundir,
            self.history,
            self.stop,
            daemon=self._daemon,
            outages=self._outages,
        )
        self._watch.start()
        return stack

    def _check_and_stage(self, stack: Stack) -> None:
        """Runs before the Watcher starts, which may stop the LLM server as soon as it has work."""
        check_stack(stack, self.plan.target)
        self._workload.stage(stack.workspace)

    def _baseline(self, stack: Stack) -> None:
        """No faults: the reference for every later comparison."""
        self.history.phase("baseline")
        self._workload.start(stack)
        self._feed(self.plan.profile.baseline_s)

    def _feed(self, seconds: float, over: Callable[[], bool] = lambda: False) -> None:
        """Run the workload for `seconds`, or until `over` returns True."""
        deadline = Deadline(seconds, self.stop.event)
        while deadline.wait(_TICK_S):
            self._workload.tick()
            if over():
                break
        self.stop.wait(0)

    def _storm(self, stack: Stack) -> None:
        self.history.phase("storm")
        start_s = self.history.now_s()
        occurrences = [
            Occurrence(
                item.fault_id,
                fault_kind(item.name)(item.fault_id, dict(item.params)),
                start_s + item.start_ms / 1000,
                item.hold_ms / 1000,
                left_out=self.plan.left_out(item.name, item.params),
            )
            for item in self.schedule.items
        ]
        paths = {item.name: paths_of(fault_kind(item.name)) for item in self.schedule.items}
        if paths:
            self.history.event("fault_paths", paths=paths)
        storm = Storm(
            stack,
            self.history,
            self._ledger,
            self.stop.event,
            outages=self._outages,
            on_state=self._on_fault_state,
        )
        thread = threading.Thread(
            target=self._storm_thread, args=(storm, occurrences), name="storm", daemon=True
        )
        thread.start()
        try:
            left_s = start_s + self.plan.profile.storm_s - self.history.now_s()
            self._feed(left_s, lambda: not thread.is_alive() and self._workload.done())
            # A recovery may end after the storm; the workload goes on until then.
            limits_s = [type(item.fault).recovery_limit_s for item in occurrences]
            self._feed(max(limits_s, default=0.0), lambda: not thread.is_alive())
        finally:  # a stopped run recovers its faults before anything else
            thread.join(_STORM_END_LIMIT_S)
            if thread.is_alive():
                self.history.event("storm_stuck", severity="error", owner="harness")

    def _storm_thread(self, storm: Storm, occurrences: list[Occurrence]) -> None:
        try:
            storm.run(occurrences)
        except Exception as error:  # a defect of a fault makes the run invalid
            logger.exception("a fault failed")
            self.history.event("problem", severity="error", owner="harness", message=repr(error))
            self.stop.set("error", f"a fault failed: {error!r}")

    def _on_fault_state(self, occurrence: Occurrence, state: FaultState) -> None:
        if self.stop.event.is_set():
            return
        if state in ("effect_proven", "recovered", _REQUEST_AT.get(occurrence.fault.group)):
            self._workload.on_fault(occurrence.fault_id, active=state != "recovered")

    def _quiet(self) -> None:
        """No faults: the stack must return to its steady state, and finish its requests."""
        self.history.phase("quiet")
        self._feed(self.plan.profile.quiet_s)
        self._workload.finish(Deadline(self._drain_limit_s(), self.stop.event))
        self.stop.wait(min(_REST_S, self.plan.profile.quiet_s))
        if self._watch is not None:  # last, because the memory report costs the Watcher memory
            self._watch.inspect("the end of quiet")

    def _drain_limit_s(self) -> float:
        """The profile's limit, or what soak B's requests take one by one, a poll for each."""
        target = self.plan.target
        one_by_one_s = _PIECES * (target.poll_interval_s + target.work.unit_s)
        return max(self.plan.profile.drain_limit_s, one_by_one_s)

    def _halt(self, stack: Stack) -> None:
        """Halt the daemon the way its users do, and measure the time."""
        self.history.phase("halt")
        if not self._daemon:
            self.history.event("halt_skipped", reason="there is no daemon to halt")
            return
        halt = self.plan.target.halt
        watcher = stack.service("watcher")
        if self._watch is not None:
            self._watch.expect_exit()
        was_running = watcher.alive()
        start_s = self.history.now_s()
        if halt is None:
            stopped = watcher.stop(self.plan.target.watcher.stop_limit_s)
            detail: dict[str, Any] = {"how": "signal", "killed": stopped.killed}
        else:
            detail = self._told_to_halt(stack, halt)
        self.history.event(
            "halted",
            owner="product",
            exit_code=watcher.exit_code(),
            was_running=was_running,
            **{"took_s": round(self.history.now_s() - start_s, 3), **detail},
        )

    def _told_to_halt(self, stack: Stack, halt: HaltSpec) -> dict[str, Any]:
        """Give the halt command, and wait for the end of the daemon.

        One that only pauses is then ended by its stop command, or by the stop signal; how long it
        took counts from there.
        """
        watcher = stack.service("watcher")
        start_s = self.history.now_s()
        command = stack.run(halt.command, halt.limit_s)
        seen = [flag for flag in halt.flags if (stack.workspace / flag).exists()]
        detail: dict[str, Any] = {"how": halt.then, "command_exit_code": command.exit_code}
        detail |= {"flag_seen": bool(seen)} if halt.flags else {}
        # Wait longer than the limit, to distinguish a late halt from none.
        deadline = Deadline(halt.limit_s + 5.0, self.stop.event)
        if halt.then == "pauses":
            detail |= self._paused(stack)
            for flag in seen:  # else a daemon that pauses would not look at anything else
                (stack.workspace / flag).unlink(missing_ok=True)
            start_s = self.history.now_s()
            if not halt.stop:
                detail["killed"] = watcher.stop(halt.limit_s).killed
            else:
                detail["stop_exit_code"] = stack.run(halt.stop, halt.limit_s).exit_code
        while watcher.alive() and deadline.wait(0.02):
            pass
        took_s = round(self.history.now_s() - start_s, 3)
        return {"killed": watcher.alive(), "took_s": took_s, **detail}

    def _paused(self, stack: Stack) -> dict[str, Any]:
        """Whether the halted daemon takes no work: a request is put and watched for a while.

        It is withdrawn afterwards, and is no operation of the workload.
        """
        target = self.plan.target
        if not target.work.submit.folder:
            return {}
        self.stop.wait(target.poll_interval_s)
        file = withdrawable(stack.workspace, target.work)
        watched_s = _PAUSE_POLLS * target.poll_interval_s
        deadline = Deadline(watched_s, self.stop.event)
        while file.exists() and deadline.wait(_TICK_S):
            pass
        waited = file.exists()
        file.unlink(missing_ok=True)
        return {"paused": waited, "paused_s": round(watched_s, 3)}

    def _cut_short(self) -> None:
        """End the run early: stop the workload, and end the Watcher quickly."""
        if self._stack is None:
            return
        if self._watch is not None:
            self._watch.expect_exit()
        self._workload.abort()
        watcher = self._stack.service("watcher")
        if watcher.alive():
            watcher.stop(_HURRIED_STOP_S)

    def _collect(self) -> None:
        self.history.phase("collect")
        if self._watch is not None:
            self._watch.stop()
        if self._stack is None:
            return
        try:
            self._stack.collect(self.rundir.artefacts)
        except OSError as error:
            self.history.event("collect_failed", severity="error", message=str(error))
            return
        if not self.stop.event.is_set():
            recompute(self._stack, self.plan.target, self.rundir, self.history)

    def _tear_down(self) -> None:
        """Stop the stack, which undoes its faults; undo the others by their ledger entries."""
        left = self.backend.down()
        for entry in self._ledger.open_entries():
            if entry.scope == "stack" and not left:
                self._ledger.close(entry.fault_id, "the stack it lived in is gone")
                continue
            try:
                fault_kind(entry.name).undo(entry.undo)
            except Exception as error:  # a failed undo must not stop the others
                logger.exception("undo of {} failed", entry.fault_id)
                left.append(f"fault {entry.fault_id} ({entry.name}): {error}")
            else:
                self._ledger.close(entry.fault_id, "undone by its record")
        self.history.event("cleanup", complete=not left, left=left)
        self.history.event("stopped", reason=self.stop.reason, message=self.stop.message)
        self.history.phase("end")
