"""`chaos campaign`: plan, make, merge, and the result."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from chaos.assets import ensure
from chaos.assets.progress import progress_for
from chaos.base import output
from chaos.base.errors import UsageError, os_errors_told
from chaos.base.exitcode import ExitCode
from chaos.base.units import duration_text
from chaos.campaign import state as states
from chaos.campaign.asked import check_unchanged, parsed_shard, planned
from chaos.campaign.attempts import Attempt
from chaos.campaign.junit import campaign_junit
from chaos.campaign.loop import Loop, tidy
from chaos.campaign.merge import merge
from chaos.campaign.options import CampaignOptions
from chaos.campaign.page import campaign_page
from chaos.campaign.result import Result, as_json, listed_json, result_of
from chaos.campaign.state import Campaign, CampaignDir, Entry
from chaos.campaign.text import attempt_line, final_text, part_text, plan_text, quiet_text
from chaos.record.rundir import write_atomic
from chaos.runner.child import Interrupts

SLOTS_MAX = 256
_SLOT_BYTES = 2 << 30
MERGE = "merge"


def campaign(options: CampaignOptions) -> int:
    """Make a campaign, go on with one, or merge its parts. Returns the worst exit code."""
    if options.words[:1] == [MERGE]:
        return _merged(options)
    if options.to is not None:
        raise UsageError("goes with merge", place="--to", next_step="chaos campaign merge DIR ...")
    slots = _slots(options.slots)
    if options.resume is not None:
        folder = states.find_campaign(options.resume, options.runs)
        _check_alone(options)
        stored = folder.read()
        if not options.dry_run:
            ensure(progress_for(quiet=options.quiet or options.json))
        return (
            _dry(options, folder, stored, slots)
            if options.dry_run
            else _made(options, folder, stored, slots)
        )
    shard = parsed_shard(options.shard)
    common, entries = planned(options)
    first, step = shard or (1, 1)
    share = list(entries[first - 1 :: step])
    if not share:
        raise UsageError(
            f"there are only {len(entries)} runs", place="--shard", next_step="fewer parts"
        )
    if options.dry_run:
        _print(plan_text(share, slots, listed=True))
        return ExitCode.PASS
    ensure(progress_for(quiet=options.quiet or options.json))
    folder, stored = states.begin(common, entries, shard, options.runs)
    return _made(options, folder, stored, slots)


def _dry(options: CampaignOptions, folder: CampaignDir, stored: Campaign, slots: int) -> int:
    left = Loop(folder, stored, Interrupts(), slots, lambda _entry, _attempt: None).left()
    _print(plan_text(left, slots, listed=not options.quiet))
    return ExitCode.PASS


def _slots(given: int | None) -> int:
    """How many runs are made side by side. Raises `UsageError`."""
    if given is None:
        free = psutil.virtual_memory().available // _SLOT_BYTES
        return max(1, min((os.cpu_count() or 1) // 2, free, SLOTS_MAX))
    if not 1 <= given <= SLOTS_MAX:
        raise UsageError("out of range", place="--slots", next_step=f"from 1 to {SLOTS_MAX}")
    return given


def _check_alone(options: CampaignOptions) -> None:
    """With --resume nothing may be given that decides what is run."""
    given = {
        "FILE": options.words,
        "--soak": options.soak,
        "--fault": options.fault,
        "--target": options.target,
        "--seeds": options.seeds,
        "--profile": options.profile,
        "--set": options.set,
        "--sandbox": options.sandbox,
        "--backend": options.backend,
        "--gpu": options.gpu,
        "--skip-unavailable": options.skip_unavailable,
        "--shard": options.shard,
    }
    if both := [name for name, value in given.items() if value]:
        raise UsageError(
            "a campaign goes on as it began",
            place=f"{both[0]} with --resume",
            next_step=f"leave {both[0]} out, or begin a new campaign",
        )


def _made(options: CampaignOptions, folder: CampaignDir, stored: Campaign, slots: int) -> int:
    out = sys.stderr if options.json else sys.stdout

    def say(text: str) -> None:
        if not options.quiet:
            output.say(lambda: print(text, file=out, flush=True))

    with folder.locked():
        say(f"campaign: {folder.path}")
        tidy(folder, stored, say)
        with Interrupts() as interrupts:
            progress = _Progress(stored, slots, say)
            loop = Loop(folder, stored, interrupts, slots, progress)
            progress.left = loop.left()
            if options.resume is not None:
                check_unchanged(progress.left, stored.common)
            part = part_text(stored)
            say(f"{part}: " * bool(part) + plan_text(progress.left, slots, listed=False))
            loop.run()
            result = result_of(folder, stored)
            code = result.exit_code
            if loop.stopped:
                code = ExitCode.CLEANUP_INCOMPLETE
            elif interrupts.event.is_set():
                code = ExitCode.INTERRUPTED
            _write_reports(folder, result)
    _show(options, folder, result, code, loop.stopped)
    return code


class _Progress:
    """Says each attempt that has ended, how many runs are left, and about how long they take."""

    def __init__(self, stored: Campaign, slots: int, say: Callable[[str], None]) -> None:
        self.left: list[Entry] = []
        self._total = len(stored.share)
        self._slots = slots
        self._say = say
        self._done_s = 0.0  # planned time of what was made here
        self._done: set[int] = set()
        self._began_s = time.monotonic()

    def __call__(self, entry: Entry, attempt: Attempt) -> None:
        if attempt.complete:
            self._done.add(entry.index)
        self._done_s += entry.planned_s
        left = [one for one in self.left if one.index not in self._done]
        pace = (time.monotonic() - self._began_s) / self._done_s  # s of clock for a planned s
        left_text = duration_text(pace * sum(one.planned_s for one in left))
        done = self._total - len(left)
        rest = f"about {left_text} left" if left else "the last one"
        self._say(
            f"[{done}/{self._total}, {self._slots} slots, {rest}] {attempt_line(entry, attempt)}"
        )


def _write_reports(folder: CampaignDir, result: Result) -> None:
    with os_errors_told("cannot write the reports of the campaign", folder.path):
        write_atomic(folder.result, listed_json(result))
        write_atomic(folder.junit, campaign_junit(result))
        write_atomic(folder.page, campaign_page(folder, result))


def _show(
    options: CampaignOptions, folder: CampaignDir, result: Result, code: ExitCode, stopped: str
) -> None:
    if options.json:
        content = {**as_json(result), "exit_code": int(code), "stopped": stopped}
        _print(json.dumps(content, indent=2, sort_keys=True))
    elif options.quiet:
        _print(quiet_text(folder, result, code))
    else:
        _print(final_text(folder, result, int(code), stopped))


def _print(text: str) -> None:
    output.say(lambda: print(text, flush=True))


def _merged(options: CampaignOptions) -> int:
    names = options.words[1:]
    if not names or options.to is None:
        raise UsageError(
            "which parts, and where to?" if not names else "where to?",
            place="chaos campaign merge",
            next_step="chaos campaign merge part1 part2 --to all",
        )
    parts = [states.find_campaign(str(Path(name)), options.runs, place="merge") for name in names]
    folder, stored = merge(parts, options.to)
    result = result_of(folder, stored)
    _write_reports(folder, result)
    _show(options, folder, result, result.exit_code, "")
    return result.exit_code
