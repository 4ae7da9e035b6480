"""`chaos compare`: pairs of runs of two targets, until one verdict is decided."""

import json
import shutil
import sys
from typing import Any

import msgspec

from chaos.assets import ensure
from chaos.assets.progress import progress_for
from chaos.base import output
from chaos.base.errors import UsageError
from chaos.base.printable import printable
from chaos.compare import state as states
from chaos.compare.arms import digests_of, plans_of, targets_of, with_pinned_revisions
from chaos.compare.asked import asked_of
from chaos.compare.junit import compare_junit
from chaos.compare.loop import Loop
from chaos.compare.options import CompareOptions
from chaos.compare.outcome import Outcome, outcome_of
from chaos.compare.page import compare_page
from chaos.compare.state import SIDES, Compare, CompareDir, Pair, Side
from chaos.compare.text import final_text, pair_line, plan_text
from chaos.record.rundir import write_atomic
from chaos.runner.child import Interrupts

JOBS_MAX = 64


def compare(options: CompareOptions) -> int:
    """Compare two targets, go on with it, or plan it. Returns the exit code of the verdict."""
    if options.arms[:1] == ["plan"]:
        from chaos.compare.plan import plan

        return plan(options)
    if not 1 <= options.jobs <= JOBS_MAX:
        raise UsageError("out of range", place="--jobs", next_step=f"from 1 to {JOBS_MAX}")
    if options.resume is None:
        folder, stored, targets = _begun(options)
    else:
        folder = states.find_compare(options.resume, options.runs)
        _check_alone(options)
        stored = folder.read()
        targets = targets_of(stored.asked, folder)
    plans = plans_of(stored.asked, targets, 1)
    if digests_of(plans) != stored.targets:
        raise UsageError(
            "base or candidate is not what it was when the comparison began",
            place="--resume",
            next_step="restore the files, or begin a new comparison",
        )
    say = _Printer(options)
    say(plan_text(stored, plans.of["base"]))
    if options.dry_run:
        shutil.rmtree(folder.path)
        return 0
    say(f"compare: {folder.path}")
    ensure(progress_for(quiet=options.quiet or options.json))
    return _compared(options, folder, stored, targets, say)


class _Printer:
    """Prints progress: to stderr beside JSON, nothing with --quiet."""

    def __init__(self, options: CompareOptions) -> None:
        self._quiet = options.quiet
        self._out = sys.stderr if options.json else sys.stdout

    def __call__(self, text: str) -> None:
        if not self._quiet:
            output.say(lambda: print(printable(text), file=self._out, flush=True))


def _begun(options: CompareOptions) -> tuple[CompareDir, Compare, dict[Side, str]]:
    """A new comparison; nothing stays behind if one of the two cannot be resolved."""
    asked = with_pinned_revisions(asked_of(options))
    folder, created = states.new_folder(asked.seed, options.runs)
    try:
        targets = targets_of(asked, folder)
        digests = digests_of(plans_of(asked, targets, 1))
        return folder, states.begin(folder, created, asked, digests), targets
    except BaseException:  # also Ctrl-C: an empty folder would be the `latest` comparison
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _check_alone(options: CompareOptions) -> None:
    """A comparison goes on as it began: a rule that is changed half-way proves nothing."""
    given: dict[str, Any] = {
        "ARM": options.arms,
        "--soak": options.soak,
        "--profile": options.profile,
        "--fault": options.fault,
        "--set": options.set,
        "--margin": options.margin,
        "--alpha": options.alpha,
        "--pairs-min": options.pairs_min,
        "--pairs-max": options.pairs_max,
        "--score": options.score,
        "--seed": options.seed,
        "--backend": options.backend,
        "--dry-run": options.dry_run or None,
    }
    for name, value in given.items():
        if value not in (None, (), []):
            raise UsageError(
                "a comparison goes on as it began",
                place=f"{name} with --resume",
                next_step=f"leave {name} out, or begin a new comparison",
            )


def _compared(
    options: CompareOptions,
    folder: CompareDir,
    stored: Compare,
    targets: dict[Side, str],
    say: _Printer,
) -> int:
    def seen(pair: Pair, outcome: Outcome) -> None:
        say(pair_line(stored, pair, outcome))

    with folder.locked():
        if not outcome_of(stored).decided:
            stored.state, stored.reason = "running", ""
            with Interrupts() as interrupts:
                Loop(folder, stored, targets, interrupts, options.jobs, seen).run()
        outcome = outcome_of(stored)
        write_atomic(folder.junit, compare_junit(stored, outcome))
        write_atomic(folder.page, compare_page(folder, stored, outcome))
    if options.json:
        text = json.dumps(_content(folder, stored, outcome), indent=2, sort_keys=True)
    elif options.quiet:
        text = f"{outcome.word}: {outcome.reason}, exit {outcome.code} | {folder.path}"
    else:
        text = final_text(folder, stored, outcome)
    output.say(lambda: print(text if options.json else printable(text), flush=True))
    return outcome.code


def _content(folder: CompareDir, stored: Compare, outcome: Outcome) -> dict[str, Any]:
    """What `--json` prints: the stored state, and what it shows."""
    found = outcome.evidence
    return {
        **msgspec.to_builtins(stored),
        "path": str(folder.path),
        "verdict": outcome.word,
        "exit_code": int(outcome.code),
        "why": outcome.reason,
        "blocked_by": outcome.blocked_by,
        "counted": len(stored.counted),
        "mean_scores": dict(zip(SIDES, outcome.scores, strict=True)),
        "mean_difference": found.mean,
        "interval": [found.low, found.high],
        "confidence": 1 - 2 * stored.asked.alpha,
        "capitals": {"pass": found.pass_capital, "block": found.block_capital},
    }
