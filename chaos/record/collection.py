"""Whether the collection of the daemon's files is whole: what was left out, and does it matter.

A part of the files neither convicts (what is missing may only not have been copied) nor acquits
(the log with the error in it may be what is missing).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaos.record.open_run import OpenRun

NOTE = "_collected.json"
_NO_FILE = "not a regular file"
_GONE = "No such file or directory"
_SHOWN = 2


def left_out(run: OpenRun) -> list[str]:
    """`PATH: why` for each file that was not collected, or not as a whole."""
    try:
        note: Any = json.loads((run.files / NOTE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    entries = note.get("left_out") if isinstance(note, dict) else None
    return [str(entry) for entry in entries] if isinstance(entries, list) else []


def not_collected(run: OpenRun) -> str:
    """What of the daemon's files was not collected; "" when everything that matters was."""
    failed = run.last("collect_failed")
    if failed is not None:
        return f"collecting failed: {failed[1].detail.get('message', 'no reason given')}"
    stems = [run.target.work.stem(name) for window in run.faults for name in window.planted]
    lost = [entry for entry in left_out(run) if _matters(entry, stems)]
    more = f", and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    return "; ".join(lost[:_SHOWN]) + more


def _matters(entry: str, planted: Iterable[str]) -> bool:
    path, _, why = entry.rpartition(": ")
    name = path.rpartition("/")[2]
    if why == _NO_FILE or (why == _GONE and name.startswith(".")):  # a file that was being written
        return False
    # What a fault planted may be unreadable by intention; its checks know what to make of it.
    return not any(stem in name for stem in planted)
