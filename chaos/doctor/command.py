"""`chaos doctor`: examine a Watcher's working directory, its LLM server and the machine.

Exit codes: 0 no problem (there may be warnings), 2 usage, 4 there are problems. Source: the plan,
section 2. Knows the order of the examinations, not how each of them works.
"""

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.doctor.item import Item, State, Subject
from chaos.doctor.llm import examine_llm
from chaos.doctor.locks import examine_locks
from chaos.doctor.machine import examine_machine
from chaos.doctor.options import DoctorOptions
from chaos.doctor.repair import Change, check_commands, repair
from chaos.doctor.workspace import (
    examine_artefacts,
    examine_decisions,
    examine_disk,
    examine_halt_flags,
    examine_history,
    examine_place,
    examine_policies,
    examine_queue,
    examine_watcher,
    programs,
)
from chaos.monitor.command import endpoint_of
from chaos.report.table import verdict_console
from chaos.runner.resolve import read_target

_COLOURS: dict[State, str] = {"ok": "green", "info": "dim", "warn": "yellow", "problem": "red"}
_TITLE_WIDTH = 15
_INDENT = " " * (9 + _TITLE_WIDTH)


def _current_folder(subject: Subject) -> bool:
    """True if the current folder is a Watcher's: it has its programs, or else its queue."""
    if examine_place(subject).state == "problem":
        return False
    queue = subject.target.work.submit.folder
    return bool(programs(subject)) or (bool(queue) and subject.path(queue).is_dir())


def examine(subject: Subject) -> Iterator[Item]:
    """Run all examinations, and yield their items."""
    place = examine_place(subject)
    yield place
    if place.state != "problem":
        yield examine_watcher(subject)
        yield from examine_halt_flags(subject)
        yield from examine_locks(subject)
        yield examine_disk(subject)
        yield examine_policies(subject)
        yield examine_history(subject)
        yield from examine_artefacts(subject)
        yield examine_queue(subject)
        yield examine_decisions(subject)
    yield from examine_llm(subject)
    yield from examine_machine()


def doctor(options: DoctorOptions) -> int:
    """Repair if `fix` is set, then examine, and print the items. Returns the exit code."""
    target = read_target(options.target, place="--target")[1]
    check_commands(target)
    llm = endpoint_of(options.llm or target.llm.endpoint)
    subject = Subject(target, options.workspace or Path(), llm)
    whole = options.workspace is not None or _current_folder(subject)
    if not whole and options.fix:
        raise UsageError(
            f"the current folder is not the working directory of target {target.target!r}",
            place="--fix",
            next_step="name that folder with --workspace DIR, its kind with --target",
        )
    console = None if options.json else verdict_console(no_color=options.no_color)
    if console is not None:
        console.print(Text(f"chaos doctor: {_title(subject, whole=whole)}\n"))
    changes = []
    for change in repair(subject) if options.fix else ():
        changes.append(change)
        if console is not None:
            _print_change(console, change)
    if console is not None and options.fix:
        console.print(Text("" if changes else "changed nothing: there was nothing to repair\n"))
    items = []
    machine = chain(examine_llm(subject) if options.llm else (), examine_machine())
    for item in examine(subject) if whole else machine:
        items.append(item)
        if console is not None:
            _print_item(console, item)
    code = ExitCode.INVALID if any(i.state == "problem" for i in items) else ExitCode.PASS
    if console is not None:
        console.print(Text(f"\n{_ending(items, options)}"))
    else:
        content = _content(subject, items, changes, code)
        content |= {} if whole else {"target": None, "workspace": None}
        json.dump(content, sys.stdout, indent=2)
        print()
    return int(code)


def _title(subject: Subject, *, whole: bool) -> str:
    if whole:
        return f"{subject.target.title} in {subject.workspace.resolve()}"
    return "this machine (a Watcher's folder as well: --workspace DIR)"


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


def _ending(items: list[Item], options: DoctorOptions) -> str:
    counts = Counter(item.state for item in items)
    text = f"{counts['problem']} problem(s), {counts['warn']} warning(s)."
    if any(item.fixable for item in items) and not options.fix:
        titles = dict.fromkeys(item.title for item in items if item.fixable)
        text += f" --fix can repair: {', '.join(titles)}."
    return text


def _content(
    subject: Subject, items: list[Item], changes: list[Change], code: ExitCode
) -> dict[str, Any]:
    counts = Counter(item.state for item in items)
    return {
        "target": subject.target.target,
        "workspace": str(subject.workspace.resolve()),
        "changes": [asdict(change) for change in changes],
        "items": [asdict(item) for item in items],
        "problems": counts["problem"],
        "warnings": counts["warn"],
        "exit_code": int(code),
    }
