"""`chaos doctor`: looks at a Watcher's working directory, its LLM server and the machine.

Exit codes: 0 no problem (warnings may be left); 4 problems, nothing could be judged here yet;
2 usage. Source: the plan, section 2.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.doctor.item import Item, Patient, State
from chaos.doctor.llm import look_at_llm
from chaos.doctor.locks import look_at_locks
from chaos.doctor.machine import look_at_machine
from chaos.doctor.repair import Change, check_commands, repair
from chaos.doctor.workspace import (
    look_at_artefacts,
    look_at_decisions,
    look_at_disk,
    look_at_halt_flags,
    look_at_history,
    look_at_place,
    look_at_policies,
    look_at_queue,
    look_at_watcher,
)
from chaos.monitor.command import endpoint_of
from chaos.report.table import verdict_console
from chaos.runner.resolve import read_target

_COLOURS: dict[State, str] = {"ok": "green", "info": "dim", "warn": "yellow", "problem": "red"}
_TITLE_WIDTH = 15
_INDENT = " " * (9 + _TITLE_WIDTH)


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    target: str = "reference"
    workspace: Path = Path()
    llm: str | None = None
    fix: bool = False
    json: bool = False
    no_color: bool = False


def look(patient: Patient) -> Iterator[Item]:
    """Everything that the doctor looks at, one item after the other."""
    place = look_at_place(patient)
    yield place
    if place.state != "problem":
        yield look_at_watcher(patient)
        yield from look_at_halt_flags(patient)
        yield from look_at_locks(patient)
        yield look_at_disk(patient)
        yield look_at_policies(patient)
        yield look_at_history(patient)
        yield from look_at_artefacts(patient)
        yield look_at_queue(patient)
        yield look_at_decisions(patient)
    yield from look_at_llm(patient)
    yield from look_at_machine()


def doctor(options: Options) -> int:
    """Look, with `fix` repair first; prints, and returns the exit code."""
    target = read_target(options.target, place="--target")[1]
    check_commands(target)
    patient = Patient(target, options.workspace, endpoint_of(options.llm or target.llm.endpoint))
    console = None if options.json else verdict_console(no_color=options.no_color)
    if console is not None:
        console.print(Text(f"chaos doctor: {target.title} in {options.workspace.resolve()}\n"))
    changes = []
    for change in repair(patient) if options.fix else ():
        changes.append(change)
        if console is not None:
            _print_change(console, change)
    if console is not None and options.fix:
        console.print(Text("" if changes else "changed nothing: there was nothing to repair\n"))
    items = []
    for item in look(patient):
        items.append(item)
        if console is not None:
            _print_item(console, item)
    code = ExitCode.INVALID if any(i.state == "problem" for i in items) else ExitCode.PASS
    if console is not None:
        console.print(Text(f"\n{_ending(items, options)}"))
    else:
        json.dump(_content(patient, items, changes, code), sys.stdout, indent=2)
        print()
    return int(code)


def _print_item(console: Console, item: Item) -> None:
    text = Text(f"{item.state:<9}", style=_COLOURS[item.state])
    text.append(f"{item.title:<{_TITLE_WIDTH}}", style="default")
    lines = textwrap.wrap(
        printable(item.seen),
        console.width - len(_INDENT),
        break_long_words=False,
        break_on_hyphens=False,
    )
    text.append(f"\n{_INDENT}".join(lines), style="default")
    console.print(text, soft_wrap=True)
    if item.next_step:
        console.print(Text(printable(f"{_INDENT}next: {item.next_step}")), soft_wrap=True)


def _print_change(console: Console, change: Change) -> None:
    word = "changed" if change.done else "not done"
    text = Text(f"{word:<9}", style="green" if change.done else "red")
    text.append(printable(change.what), style="default")
    console.print(text, soft_wrap=True)


def _ending(items: list[Item], options: Options) -> str:
    counts = Counter(item.state for item in items)
    text = f"{counts['problem']} problem(s), {counts['warn']} warning(s)."
    if any(item.fixable for item in items) and not options.fix:
        titles = dict.fromkeys(item.title for item in items if item.fixable)
        text += f" --fix can repair: {', '.join(titles)}."
    return text


def _content(
    patient: Patient, items: list[Item], changes: list[Change], code: ExitCode
) -> dict[str, Any]:
    counts = Counter(item.state for item in items)
    return {
        "target": patient.target.target,
        "workspace": str(patient.workspace.resolve()),
        "changes": [asdict(change) for change in changes],
        "items": [asdict(item) for item in items],
        "problems": counts["problem"],
        "warnings": counts["warn"],
        "exit_code": int(code),
    }
