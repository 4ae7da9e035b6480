"""`chaos sweep`: controls, points, a run for each break, and the result."""

import json
import os
import secrets
import sys
from collections.abc import Callable

import msgspec

from chaos.assets import ensure
from chaos.assets.progress import progress_for
from chaos.base import output
from chaos.base.errors import UsageError, unknown_name
from chaos.base.exitcode import ExitCode
from chaos.plan.request_template import PLAN_KINDS
from chaos.record.rundir import write_atomic
from chaos.runner.child import Interrupts
from chaos.runner.resolve import SEED_MAX, read_target, resolve
from chaos.sweep import state as states
from chaos.sweep.junit import sweep_junit
from chaos.sweep.loop import Loop
from chaos.sweep.options import SweepOptions
from chaos.sweep.page import sweep_page
from chaos.sweep.request import checked_errors, checked_kinds, control
from chaos.sweep.state import MARKS, Asked, Result, Sweep, SweepDir
from chaos.sweep.text import final_text, plan_text, points_text, result_line

_JOBS_MAX = 64
_MARKS_A_LINE = 60


def sweep(options: SweepOptions) -> int:
    """Make a sweep, or go on with one. Returns the exit code of its verdict."""
    jobs = options.jobs if options.jobs is not None else min(os.cpu_count() or 1, _JOBS_MAX)
    if not 1 <= jobs <= _JOBS_MAX:
        raise UsageError("out of range", place="--jobs", next_step=f"from 1 to {_JOBS_MAX}")
    if options.resume is None:
        asked = asked_of(options)
        for work in asked.work:  # a mistake is reported before anything is stored
            resolve(control(asked.target, work, asked.seed, asked.backend))
        ensure(progress_for(quiet=options.quiet or options.json))
        folder, stored = states.begin(asked, options.runs)
    else:
        folder = states.find_sweep(options.resume, options.runs)
        stored = folder.read()
        _check_unchanged(options, stored.asked)
        ensure(progress_for(quiet=options.quiet or options.json))
    return _swept(options, folder, stored, jobs)


def asked_of(options: SweepOptions) -> Asked:
    """The checked options. Raises `UsageError`."""
    sample, chosen = _points(options)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    if not 0 <= seed <= SEED_MAX:
        raise UsageError("out of range", place="--seed", next_step=f"from 0 to {SEED_MAX}")
    known = list(read_target(options.target or "reference")[1].work.kinds) or [PLAN_KINDS[0]]
    for work in options.work:
        if work not in known:
            raise unknown_name("kind of work", work, known, place="--work")
    return Asked(
        target=options.target,
        work=tuple(dict.fromkeys(options.work)) or tuple(known),
        kinds=checked_kinds(options.kind),
        errors=checked_errors(options.error),
        sample=sample,
        chosen=chosen,
        seed=seed,
        backend=options.backend or "local",
    )


def _points(options: SweepOptions) -> tuple[int | None, tuple[int, ...]]:
    """(how many are drawn, None for all; the ones that are named)."""
    words = [word.strip() for word in options.points.split(",")]
    numbers = [int(word) for word in words if word.isdecimal() and int(word)]
    if options.points != "all" and len(numbers) != len(words):
        raise UsageError(
            f"{options.points!r} is neither `all` nor a number of points nor a list of them",
            place="--points",
            next_step="--points 12 draws twelve; --points 3,17 names two; --point 17 names one",
        )
    listed = numbers if len(numbers) > 1 else []
    sample = numbers[0] if len(numbers) == 1 else None
    return sample, tuple(sorted({*listed, *options.point}))


def _check_unchanged(options: SweepOptions, asked: Asked) -> None:
    given = {
        "TARGET": options.target is not None and options.target != asked.target,
        "--seed": options.seed is not None and options.seed != asked.seed,
        "--backend": options.backend is not None and options.backend != asked.backend,
        "--work": bool(options.work),
        "--point": bool(options.point),
    }
    for option, changed in given.items():
        if changed:
            raise UsageError(
                "a sweep goes on as it began",
                place=f"{option} with --resume",
                next_step=f"leave {option} out, or begin a new sweep",
            )


def _swept(options: SweepOptions, folder: SweepDir, stored: Sweep, jobs: int) -> int:
    out = sys.stderr if options.json else sys.stdout

    def say(text: str, end: str = "\n") -> None:
        if not options.quiet:
            output.say(lambda: print(text, end=end, file=out, flush=True))

    say(f"sweep: {folder.path}\nseed {stored.asked.seed}")
    with Interrupts() as interrupts:
        marks = _Marks(stored, say)
        loop = Loop(folder, stored, interrupts, jobs, say, marks)
        stored.state = "running"
        if stored.points or loop.points():
            say(points_text(stored))
            _check_chosen(stored)
            say(plan_text(stored, loop.breaks(), jobs))
            if options.dry_run:
                return ExitCode.PASS
            loop.run()
            marks.end()
        elif interrupts.event.is_set():
            stored.state = "interrupted"
            folder.write(stored)
    code = ExitCode.INTERRUPTED if stored.state == "interrupted" else exit_code(stored)
    write_atomic(folder.junit, sweep_junit(stored))
    write_atomic(folder.page, sweep_page(folder, stored, int(code)))
    if options.json:
        text = json.dumps(msgspec.to_builtins(stored), indent=2, sort_keys=True)
    elif options.quiet:
        text = f"{stored.state}: {len(stored.results)} breaks, exit {int(code)} | {folder.path}"
    else:
        text = final_text(folder, stored, int(code))
    output.say(lambda: print(text, flush=True))
    return code


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
