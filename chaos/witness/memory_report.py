"""Ask a Watcher for its top allocators: send the declared signal, then read the file it writes.

Only if the target profile declares both, and only if the process has a handler for the signal: the
default action would end it. A missing report is an absence with its reason. Judges nothing.
"""

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.files import file_version
from chaos.base.proc import Identity, has_bit
from chaos.record.target import Inspection

_REPORT_BYTES_MAX = 1 << 18
_TOP = 15
_TEXT_MAX = 200
_POLL_S = 0.05


class _Entry(msgspec.Struct, frozen=True):
    bytes: int
    type: str = ""
    line: str = ""
    count: int = 1


class _Report(msgspec.Struct, frozen=True):
    types: list[_Entry]
    largest: list[_Entry] = []
    lines: list[_Entry] = []
    took_s: float = 0.0
    examined: int = 0
    complete: bool = True


def ask_memory(inspection: Inspection | None, workspace: Path, pid: int | None) -> dict[str, Any]:
    """The report of process `pid` (sizes in bytes, largest first), or {"absent": reason}.

    `inspection` is the target's declaration. Waits at most `inspection.limit_s` for the file.
    """
    if inspection is None:
        return {"absent": "the target profile declares no way to ask for them (inspection)"}
    if pid is None:
        return {"absent": "the Watcher does not run"}
    path = workspace / inspection.memory_report
    before = file_version(path)
    problem = _send_signal(pid, signal.Signals[f"SIG{inspection.memory_signal}"])
    if problem:
        return {"absent": problem}
    until_s = time.monotonic() + inspection.limit_s
    while file_version(path) in (None, before):
        if time.monotonic() > until_s:
            return {"absent": f"no new {inspection.memory_report} within {inspection.limit_s:g} s"}
        time.sleep(_POLL_S)
    return _read(path, inspection.memory_report)


def _send_signal(pid: int, number: signal.Signals) -> str:
    """Send the signal to this very process; "" or why it was not sent."""
    process = Identity.of(pid)
    try:
        if process is not None and not has_bit(pid, "SigCgt", number - 1):
            return f"process {pid} has no handler for {number.name}, which would end it"
        if process is None or not process.send(number):
            return f"process {pid} cannot be signalled: {os.strerror(errno.ESRCH)}"
    except OSError as error:
        return f"process {pid} cannot be signalled: {error.strerror}"
    return ""


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            report = msgspec.json.decode(stream.read(_REPORT_BYTES_MAX), type=_Report)
    except OSError as error:
        return {"absent": f"{name} cannot be read: {error.strerror}"}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return {"absent": f"{name} is no memory report: {str(error)[:_TEXT_MAX]}"}
    return {
        "took_s": report.took_s,
        "examined": report.examined,
        "complete": report.complete,
        "types": [
            {"type": entry.type[:_TEXT_MAX], "bytes": entry.bytes, "count": entry.count}
            for entry in report.types[:_TOP]
        ],
        "largest": [
            {"type": entry.type[:_TEXT_MAX], "bytes": entry.bytes}
            for entry in report.largest[:_TOP]
        ],
        "lines": [
            {"line": entry.line[-_TEXT_MAX:], "bytes": entry.bytes, "count": entry.count}
            for entry in report.lines[:_TOP]
        ],
    }
