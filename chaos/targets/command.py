"""`chaos target check | new | schema`. Exit codes: in `TargetOptions`."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.record.target import Target
from chaos.targets.check import errors_in, judged_by
from chaos.targets.live import Live, live
from chaos.targets.new import look, skeleton
from chaos.targets.options import TargetOptions

_CELL_MAX = 300


def target(options: TargetOptions) -> int:
    """Check a target, or print a skeleton or the schema; returns the exit code."""
    if options.action == "schema":
        print(json.dumps(msgspec.json.schema(Target), indent=2))
        return ExitCode.PASS
    if options.action == "new":
        folder = options.source or Path.cwd()
        print(printable(skeleton(folder, look(folder))), end="")
        return ExitCode.PASS
    if options.file is None:
        raise UsageError(
            "which target?", place="chaos target check", next_step="chaos target check FILE"
        )
    return _check(options, options.file)


def _check(options: TargetOptions, name: str) -> int:
    document, found, wrong = errors_in(name)
    if found is None or wrong:
        if options.json:
            print(json.dumps({"errors": [_of(error) for error in wrong]}, indent=2))
        for error in wrong:
            print(printable(f"chaos: error: {error}"), file=sys.stderr)
        print(f"chaos: {len(wrong)} to correct in {document.path}", file=sys.stderr)
        return ExitCode.USAGE
    checks = judged_by(found)
    seen = None
    if options.live:
        print(f"starting {found.target}, one piece of each kind of work …", file=sys.stderr)
        seen = live(name, found, options.runs)
    if options.json:
        print(json.dumps(_as_json(checks, seen), indent=2))
    else:
        _print(found, checks, seen)
    if seen is None:
        return ExitCode.PASS
    if seen.problem or seen.stopped != "complete":
        return ExitCode.INVALID
    return ExitCode.FAIL if seen.undone or seen.empty else ExitCode.PASS


def _of(error: UsageError) -> dict[str, str]:
    return {"place": error.place, "message": error.message, "next_step": error.next_step}


def _as_json(checks: dict[str, str], seen: Live | None) -> dict[str, Any]:
    found: dict[str, Any] = {"errors": [], "checks": checks}
    if seen is not None:
        found["live"] = msgspec.to_builtins(seen, enc_hook=str)
    return found


def _print(target: Target, checks: dict[str, str], seen: Live | None) -> None:
    judged = [name for name, reason in checks.items() if not reason]
    print(f"{target.target}: can be used; {len(judged)} of {len(checks)} checks will be judged")
    print(f"  judged      {', '.join(judged)}")
    reasons: dict[str, list[str]] = {}
    for name, reason in checks.items():
        if reason:
            reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        print(printable(f"  not judged  {', '.join(names)}: {reason}"))
    if seen is not None:
        _print_live(seen, target.work.unit_s, target.poll_interval_s)


def _print_live(seen: Live, unit_s: float, poll_s: float) -> None:
    print(f"\nlive: {len(seen.submitted)} submitted, {len(seen.undone)} not seen to be done")
    for name in seen.undone:
        print(printable(f"  not done    {name}"))
    if seen.piece_s is not None:
        raised = f"; say work.unit_s: {seen.piece_s:.0f}" if seen.piece_s > unit_s + poll_s else ""
        print(f"  pace        {seen.piece_s:g} s for a piece of work{raised}")
    for one in seen.matched:
        of = "" if one.lines is None else f" of {one.lines} lines"
        first = f", first row {one.first[:_CELL_MAX]}" if one.first else ""
        print(printable(f"  {one.name:<12}matched {one.rows}{of}{first}"))
    for line in seen.llm:
        print(printable(f"  llm         {line}"))
    if seen.problem:
        print(printable(f"  problem     {seen.problem}"))
    print(f"  run         {seen.path}")
