"""`chaos sweep`: controls, points, a run for each break, and the result."""

import json
import os
import secrets
import sys
from dataclasses import replace

import msgspec

from chaos.assets import ensure
from chaos.assets.progress import progress_for
from chaos.base import output
from chaos.base.errors import UsageError, unknown_name
from chaos.base.exitcode import ExitCode
from chaos.runner.child import Interrupts
from chaos.runner.resolve import SEED_MAX, resolve
from chaos.sweep import state as states
from chaos.sweep.make import make
from chaos.sweep.options import SweepOptions
from chaos.sweep.request import checked_errors, checked_kinds, control, works_of
from chaos.sweep.state import Asked, Sweep, SweepDir
from chaos.sweep.text import final_text

_JOBS_MAX = 64


def sweep(options: SweepOptions) -> int:
    """Make a sweep, or go on with one. Returns the exit code of its verdict."""
    jobs = options.jobs if options.jobs is not None else min(os.cpu_count() or 1, _JOBS_MAX)
    if not 1 <= jobs <= _JOBS_MAX:
        raise UsageError("out of range", place="--jobs", next_step=f"from 1 to {_JOBS_MAX}")
    if options.resume is None:
        asked = asked_of(options)
        for work in asked.work:  # a mistake is reported before anything is stored
            one = control(asked.target, work, asked.seed, asked.backend)
            resolve(replace(one, sandbox=asked.sandbox, gpu=asked.gpu))
        ensure(progress_for(quiet=options.quiet or options.json))
        folder, _ = states.begin(asked, options.runs)
    else:
        folder = states.find_sweep(options.resume, options.runs)
        _check_unchanged(options, folder.read().asked)
        ensure(progress_for(quiet=options.quiet or options.json))
    with folder.locked():
        return _swept(options, folder, folder.read(), jobs)


def asked_of(options: SweepOptions) -> Asked:
    """The checked options. Raises `UsageError`."""
    sample, chosen = _points(options)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    if not 0 <= seed <= SEED_MAX:
        raise UsageError("out of range", place="--seed", next_step=f"from 0 to {SEED_MAX}")
    known = works_of(options.target or "reference")
    for work in options.work:
        if work not in known:
            raise unknown_name("kind of work", work, known, place="--work")
    return Asked(
        target=options.target,
        work=tuple(dict.fromkeys(options.work)) or known,
        kinds=checked_kinds(options.kind),
        errors=checked_errors(options.error),
        sample=sample,
        chosen=chosen,
        seed=seed,
        backend=options.backend or "local",
        sandbox=options.sandbox or "namespaces",
        gpu=options.gpu,
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
        "--sandbox": options.sandbox is not None and options.sandbox != asked.sandbox,
        "--gpu": options.gpu and not asked.gpu,
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
        code = make(
            folder,
            stored,
            interrupts,
            say,
            jobs=jobs,
            listed=True,
            dry_run=options.dry_run,
        )
    if options.dry_run and code == ExitCode.PASS:
        return code
    if options.json:
        text = json.dumps(msgspec.to_builtins(stored), indent=2, sort_keys=True)
    elif options.quiet:
        text = f"{stored.state}: {len(stored.results)} breaks, exit {int(code)} | {folder.path}"
    else:
        text = final_text(folder, stored, int(code))
    output.say(lambda: print(text, flush=True))
    return code
