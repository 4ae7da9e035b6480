"""Asks a Watcher what its memory is made of: a signal that it has declared, and a file.

Only where the target profile says how, and only a process that has a handler for the signal:
the default action would end it. What cannot be had is said with its reason. Judges nothing.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

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


def ask_memory(way: Inspection | None, workspace: Path, pid: int | None) -> dict[str, Any]:
    """The report of process `pid` (sizes in bytes, most first), or {"absent": reason}.

    Takes at most `way.limit_s`, and little longer.
    """
    if way is None:
        return {"absent": "the target profile declares no way to ask for them (inspection)"}
    if pid is None:
        return {"absent": "the Watcher does not run"}
    path = workspace / way.memory_report
    before = _stamp(path)
    refused = _send(pid, signal.Signals[f"SIG{way.memory_signal}"])
    if refused:
        return {"absent": refused}
    until_s = time.monotonic() + way.limit_s
    while _stamp(path) in (None, before):
        if time.monotonic() > until_s:
            return {"absent": f"no new {way.memory_report} within {way.limit_s:g} s"}
        time.sleep(_POLL_S)
    return _read(path, way.memory_report)


def _send(pid: int, number: signal.Signals) -> str:
    """Signals the process; why not, where it was not. The number cannot pass to another one."""
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        return f"process {pid} cannot be signalled: {error.strerror}"
    try:
        if not _catches(pid, number):
            return f"process {pid} has no handler for {number.name}, which would end it"
        signal.pidfd_send_signal(handle, number)
    except OSError as error:
        return f"process {pid} cannot be signalled: {error.strerror}"
    finally:
        os.close(handle)
    return ""


def _catches(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    mask = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "")
    return bool(mask) and bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            found = msgspec.json.decode(stream.read(_REPORT_BYTES_MAX), type=_Report)
    except OSError as error:
        return {"absent": f"{name} cannot be read: {error.strerror}"}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return {"absent": f"{name} is no memory report: {str(error)[:_TEXT_MAX]}"}
    return {
        "took_s": found.took_s,
        "examined": found.examined,
        "complete": found.complete,
        "types": [
            {"type": one.type[:_TEXT_MAX], "bytes": one.bytes, "count": one.count}
            for one in found.types[:_TOP]
        ],
        "largest": [
            {"type": one.type[:_TEXT_MAX], "bytes": one.bytes} for one in found.largest[:_TOP]
        ],
        "lines": [
            {"line": one.line[-_TEXT_MAX:], "bytes": one.bytes, "count": one.count}
            for one in found.lines[:_TOP]
        ],
    }
