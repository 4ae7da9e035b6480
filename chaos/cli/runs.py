"""`chaos runs`: the list of runs, gates and batches in the terminal, and `prune`."""

import shutil
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.base.units import bytes_text, duration_text
from chaos.cli.options import RunsOptions
from chaos.record.batch_list import BatchEntry
from chaos.record.gate_list import GateEntry
from chaos.record.run_list import Listing, RunEntry, RunList, as_json, utc_text
from chaos.report.words import UNWRAPPED
from chaos.runner.common_options import RUNS_DEFAULT
from chaos.runner.prune import choose

_WIDTH_MIN = 40
_FINDING_MIN = 50  # characters that a finding needs beside its run


def content(options: RunsOptions) -> dict[str, Any]:
    """`chaos runs --json`."""
    found = _chosen(options)
    return {
        "runs": [as_json(run) for run in found.runs],
        "gates": msgspec.to_builtins(found.gates),
        "batches": msgspec.to_builtins(found.batches),
    }


def listed(options: RunsOptions) -> int:
    """`chaos runs`: newest first."""
    found = _chosen(options)
    fallback = (UNWRAPPED, 24)  # elsewhere than on a terminal, unless COLUMNS says a width
    width = max(_WIDTH_MIN, shutil.get_terminal_size(fallback).columns)
    gates, batches = _gate_lines(found.gates), _batch_lines(found.batches)
    for line in [*gates, *batches, *_run_lines(found.runs, width)]:
        print(printable(line))
    for text in found.problems:
        print(printable(f"chaos: not looked at: {text}"), file=sys.stderr)
    if not (found.runs or found.gates or found.batches):
        some = _is_filtered(options)
        text = f"there are no {'such ' if some else ''}runs under {options.runs}"
        print(printable(text if some else f"{text}; `chaos run` makes one"))
    return ExitCode.PASS


def _chosen(options: RunsOptions) -> Listing:
    """The runs that the options ask for; gates and batches only if all are asked for."""
    _refuse_options(options, ("keep", "gates", "batches", "dry_run", "yes"), "prune")
    found = _read(options)
    found.runs = [
        run
        for run in found.runs
        if options.soak in (None, run.soak) and options.verdict in (None, run.word)
    ]
    if _is_filtered(options):
        found.gates, found.batches = [], []
    return found


def _is_filtered(options: RunsOptions) -> bool:
    return options.soak is not None or options.verdict is not None


def prune(options: RunsOptions) -> int:
    """`chaos runs prune`: remove the oldest."""
    _refuse_options(options, ("soak", "verdict", "json"), "list")
    if options.keep is None or options.keep < 1:
        raise UsageError(
            "how many are to be kept?" if options.keep is None else "at least 1 must be kept",
            place="chaos runs prune --keep",
            next_step="chaos runs prune --keep 20 --dry-run",
        )
    choice = choose(
        _read(options), options.runs, options.keep, gates=options.gates, batches=options.batches
    )
    for path, why in choice.kept:
        print(printable(f"kept      {path}: {why}"))
    if not choice.victims:
        print("nothing to remove")
        return ExitCode.PASS
    total = sum(victim.bytes for victim in choice.victims)
    count = f"{len(choice.victims)} folder(s), {bytes_text(total)}"
    if options.dry_run:
        for victim in choice.victims:
            print(printable(f"would go  {victim.path}  {bytes_text(victim.bytes)}"))
        print(f"would remove {count}")
        return ExitCode.PASS
    if not options.yes and not _confirmed(count, options):
        print("nothing was removed")
        return ExitCode.PASS
    removed = failed = gone_bytes = 0
    for victim in choice.victims:
        if why := victim.removed():
            failed += 1
            print(printable(f"NOT removed {victim.path}: {why}"))
        else:
            removed += 1
            gone_bytes += victim.bytes
            print(printable(f"removed   {victim.path}  {bytes_text(victim.bytes)}"))
    print(f"removed {removed} folder(s), {bytes_text(gone_bytes)}")
    return ExitCode.INVALID if failed else ExitCode.PASS


def _confirmed(count: str, options: RunsOptions) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{count} would be removed, and there is no terminal to ask at",
            place="chaos runs prune",
            next_step="look with --dry-run, then add --yes",
        )
    print(printable(f"remove {count} under {options.runs}, for good? [y/N] "), end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _read(options: RunsOptions) -> Listing:
    root = options.runs
    if not root.is_dir() and (root.exists() or root != RUNS_DEFAULT):
        raise UsageError(
            "not a folder" if root.exists() else "no such folder",
            place=f"--runs {root}",
            next_step="name the folder in which the runs are stored",
        )
    return RunList(root).read()


def _refuse_options(options: RunsOptions, names: tuple[str, ...], action: str) -> None:
    for name in names:
        if getattr(options, name) not in (None, False):
            raise UsageError(
                f"it goes with {action}",
                place=f"--{name.replace('_', '-')}",
                next_step=f"chaos runs {action}",
            )


def _run_lines(runs: list[RunEntry], width: int) -> list[str]:
    """The rows, each with its first finding: beside it where there is room, else below it."""
    rows = [("verdict", "run", "length", "profile", "faults")]
    for run in runs:
        length = "" if run.lasted_s is None else duration_text(run.lasted_s)
        rows.append((run.word, run.id, length, run.profile, run.fault))
    lines = _aligned(rows) if runs else []
    used = max(map(len, lines), default=0) + 2
    shown = lines[:1]
    for run, line in zip(runs, lines[1:], strict=True):
        finding = " ".join(_first(run).split())
        if width - used >= _FINDING_MIN:
            shown.append(f"{line:<{used}}{finding}"[: max(width, len(line))].rstrip())
        else:
            shown.append(line)
            shown += [f"  {finding}"[:width]] if finding else []
    return shown


def _first(run: RunEntry) -> str:
    if run.problem:
        return run.problem
    if not run.not_passed:
        return ""
    first, *more = run.not_passed
    others = f" (and {len(more)} more)" if more else ""
    return f"{first.title}: {first.summary}{others}"


def _gate_lines(gates: list[GateEntry]) -> list[str]:
    rows = [("gate", "folder", "profile", "runs")]
    for gate in gates:
        done = sum(step.state == "done" for step in gate.steps)
        word = gate.verdict or ("damaged" if gate.problem else f"not finished ({gate.state})")
        count = f"{done} of {len(gate.steps)}"
        rows.append((word, gate.id, gate.profile, count))
    return [*_aligned(rows), ""] if gates else []


def _batch_lines(batches: list[BatchEntry]) -> list[str]:
    rows = [("batch", "folder", "began", "of", "asked", "found")]
    for batch in batches:
        rows.append(
            (
                batch.word or "damaged",
                batch.id,
                utc_text(batch.began_epoch_s),
                batch.of,
                batch.asked,
                batch.counts_text or batch.reason or batch.problem or "nothing yet",
            )
        )
    return [*_aligned(rows), ""] if batches else []


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows as lines, their columns below each other; the last column is not padded."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
