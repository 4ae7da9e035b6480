"""Makes a sweep, or what is left of one, in its folder: for `chaos sweep`, and for a gate.

Must not know who asked for it, nor where its lines are printed.
"""

import shlex
from collections.abc import Callable

from chaos.base.errors import UsageError, os_errors_told
from chaos.base.exitcode import ExitCode
from chaos.record.rundir import RunDir, write_atomic
from chaos.runner.child import Interrupts
from chaos.sweep.junit import sweep_junit
from chaos.sweep.loop import Loop
from chaos.sweep.page import sweep_page
from chaos.sweep.state import MARKS, Result, Sweep, SweepDir
from chaos.sweep.text import plan_text, points_text, result_line

_MARKS_A_LINE = 60


def make(
    folder: SweepDir,
    sweep: Sweep,
    interrupts: Interrupts,
    say: Callable[..., None],
    *,
    jobs: int = 1,
    listed: bool = False,
    dry_run: bool = False,
    ended: Callable[[RunDir], None] = lambda _run: None,
    seen: Callable[[Result], None] = lambda _result: None,
) -> ExitCode:
    """Make the controls and breaks that are left, write page and JUnit, and return the exit code.

    `say` prints a text, with a new line or with `end`. `listed`: say the points, too. `ended` and
    `seen` are those of the `Loop`. Raises `ChaosError`; what is judged is then stored.
    """
    marks = _Marks(sweep, say)

    def noted(result: Result) -> None:
        marks(result)
        seen(result)

    loop = Loop(folder, sweep, interrupts, jobs, say, noted, ended)
    sweep.state, sweep.reason = "running", ""
    if sweep.points or loop.points():
        if listed:
            say(points_text(sweep))
        _check_chosen(sweep)
        say(plan_text(sweep, loop.breaks(), jobs))
        if dry_run:
            return ExitCode.PASS
        loop.run()
        marks.end()
    elif interrupts.event.is_set():
        sweep.state = "interrupted"
        folder.write(sweep)
    code = ExitCode.INTERRUPTED if sweep.state == "interrupted" else exit_code(sweep)
    again = f"free some space, then: chaos sweep --resume {shlex.quote(str(folder.path))}"
    with os_errors_told("cannot write the reports of the sweep", folder.path, next_step=again):
        write_atomic(folder.junit, sweep_junit(sweep))
        write_atomic(folder.page, sweep_page(folder, sweep, int(code)))
    return code


def exit_code(stored: Sweep) -> ExitCode:
    """The worst of all results; a sweep that proved nothing is never a pass."""
    outcomes = {result.outcome for result in stored.results}
    if "failed" in outcomes:
        return ExitCode.FAIL
    if stored.state == "stopped" or "invalid" in outcomes:
        return ExitCode.INVALID
    if outcomes != {"survived"}:
        return ExitCode.INCONCLUSIVE
    return ExitCode.PASS


class _Marks:
    """One mark a break, as they come; what did not survive gets a line."""

    def __init__(self, stored: Sweep, say: Callable[..., None]) -> None:
        self._sweep = stored
        self._say = say
        self._column = 0

    def __call__(self, result: Result) -> None:
        if result.outcome in ("survived", "not reached"):
            self._say(MARKS[result.outcome], end="")
            self._column += 1
            if self._column % _MARKS_A_LINE == 0:
                self.end()
            return
        self.end()
        self._say(result_line(self._sweep, result))

    def end(self) -> None:
        """Begin a new line."""
        if self._column:
            self._say("")
        self._column = 0


def _check_chosen(stored: Sweep) -> None:
    known = {point.number for point in stored.points}
    if unknown := [number for number in stored.asked.chosen if number not in known]:
        raise UsageError(
            f"there is no point {unknown[0]}",
            place="--point",
            next_step=f"from 1 to {len(known)}; --dry-run lists them",
        )
