"""Runs that cannot begin as they were asked for: exit 2 before the baseline, never a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.stopping import StopSignal
from chaos.checks.verdict import Verdict
from chaos.plan.plan import Plan
from chaos.plan.schedule import draw
from chaos.record.history import HistoryWriter
from chaos.record.rundir import create
from chaos.runner.judge import judge
from chaos.runner.preflight import check_faults
from chaos.runner.resolve import Request, resolve
from chaos.runner.run import Run
from chaos.stack.base import Backend, Stack

UNWITNESSED = SimpleNamespace(calls=None, not_witnessed={"syscalls": "no seccomp here"})


class Service:
    """A service that never runs."""

    def alive(self) -> bool:
        return False


@dataclass
class StandIn:
    """A backend without processes; stands for one whose stack cannot be witnessed."""

    fails: Exception | None = None
    not_witnessed: dict[str, str] = field(default_factory=dict)

    def up(self, on_step: Callable[[str], None], **_: Any) -> Stack:
        if self.fails is not None:
            raise self.fails
        collect = SimpleNamespace(collect=lambda folder: None, service=lambda name: Service())
        return cast(Stack, SimpleNamespace(**vars(UNWITNESSED), **vars(collect)))

    def down(self) -> list[str]:
        return []


def planned(**changes: object) -> Plan:
    return resolve(Request("soak_c", seed=1, **changes))  # type: ignore[arg-type]


def executed(plan: Plan, backend: StandIn, runs: Path, *, log: str = "") -> Verdict:
    run = create(runs, plan.soak, plan.seed)
    (run.logs / "watcher.log").write_text(log)
    schedule = draw(plan)
    run.write_json(run.config, plan.to_json())
    run.write_json(run.schedule, schedule.to_json())
    history = HistoryWriter(run.history, run.run_id)
    Run(plan, schedule, run, cast(Backend, backend), history, StopSignal()).execute()
    history.close()
    return judge(run)


def test_what_only_the_stack_shows_is_refused_before_the_baseline(tmp_path: Path) -> None:
    verdict = executed(planned(faults=["syscall_error"]), StandIn(), tmp_path)
    assert (verdict.verdict, verdict.exit_code, verdict.stopped) == ("invalid", 2, "usage")
    assert [fault.state for fault in verdict.faults] == ["never reached"]
    text = str([finding.summary for finding in verdict.findings if finding.outcome == "invalid"])
    assert "syscall_error: system calls are not witnessed: no seccomp here" in text
    assert "--skip-unavailable" in text


def test_with_skip_unavailable_the_stack_refuses_nothing() -> None:
    stack = cast(Stack, UNWITNESSED)
    check_faults(planned(faults=["syscall_error"], skip_unavailable=True), stack)
    check_faults(planned(faults=["llm_timeout"]), stack)
    check_faults(planned(faults=["none"]), stack)
    with pytest.raises(UsageError, match="no seccomp here"):
        check_faults(planned(faults=["llm_timeout", "syscall_error"]), stack)


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("a wrong command"), 2), (EnvironmentProblem("no memory"), 4)]
)
def test_a_stack_that_does_not_start_is_invalid_and_never_a_failure(
    error: Exception, code: int, tmp_path: Path
) -> None:
    verdict = executed(planned(), StandIn(fails=error), tmp_path)
    assert (verdict.verdict, verdict.exit_code) == ("invalid", code)
    assert not [f for f in verdict.findings if f.outcome == "fail"]


def test_a_traceback_of_a_command_that_cannot_start_is_no_failure(tmp_path: Path) -> None:
    """It is one of the Watcher only if the run began."""
    log = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'x'\n"
    fails = UsageError("watcher ended with exit code 1 at its start")
    verdict = executed(planned(), StandIn(fails=fails), tmp_path, log=log)
    assert (verdict.verdict, verdict.exit_code) == ("invalid", 2)
    (errors,) = [finding for finding in verdict.findings if finding.check == "errors"]
    assert errors.outcome == "inconclusive" and "could not begin" in errors.summary
