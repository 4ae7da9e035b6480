"""The Python API behind `chaos.open_run` and `chaos.run`."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from chaos.base.errors import ChaosError
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir, find
from chaos.runner.common_options import RUNS_DEFAULT

_MARGIN_S = 300.0  # beyond the run's own budget, for set-up, clean-up and judgement


class Run(AbstractContextManager["Run"]):
    """An opened run with its verdict. `path` is its directory."""

    def __init__(self, rundir: RunDir) -> None:
        self.path = rundir.path
        self._open = OpenRun(rundir)

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the database; results stay valid."""
        self._open.close()

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict, judged now from the record; writes nothing."""
        from chaos.runner.judge import verdict_of

        return verdict_of(self._open)

    @property
    def findings(self) -> list[Finding]:
        """All findings, in the order of the report."""
        return self.verdict.findings

    def sql(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of one `select` over the tables of docs/tables.md. Raises `UsageError`.

        Each of `parameters` stands for `$name` in the query.
        """
        return self._open.query(query, parameters)[1]


def open_run(path: str | PathLike[str], runs: str | PathLike[str] | None) -> Run:
    """Open a stored run, by its path or a name below `runs`. Raises `UsageError` for none."""
    return Run(find(os.fspath(path), Path(runs or RUNS_DEFAULT)))


def execute(
    soak: str,
    *,
    faults: Sequence[str],
    seed: int | None,
    runs: str | PathLike[str] | None,
    **options: Any,
) -> Run:
    """Execute one run without output, and open what it left. Raises `ChaosError`."""
    from chaos.plan.schedule import draw
    from chaos.report.display import Display
    from chaos.runner.child import Interrupts, run_child
    from chaos.runner.launch import prepare
    from chaos.runner.resolve import Request, resolve

    plan = resolve(Request(soak=soak, faults=tuple(faults), seed=seed, **options))
    prepared = prepare(plan, draw(plan), Path(runs or RUNS_DEFAULT), Display("quiet"))
    interrupts = Interrupts()
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():  # signal handlers need it
            stack.enter_context(interrupts)
        run_child(prepared, interrupts, plan.guardrails.run_budget_s + _MARGIN_S, silent=True)
    if not prepared.run.history.is_file():
        raise ChaosError(
            "the run ended before it began",
            place=str(prepared.run.path),
            next_step=f"see its logs, or run it by hand: {plan.reproduce}",
        )
    return Run(prepared.run)
