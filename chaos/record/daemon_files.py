"""Single JSON files of the daemon, as collected. Needs no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from chaos.record.open_run import OpenRun


def json_of(path: Path) -> tuple[Any, str]:
    """(content, "") or (None, what is wrong with the file)."""
    try:
        return msgspec.json.decode(path.read_bytes()), ""
    except FileNotFoundError:
        return None, "is missing"
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return None, f"is not JSON: {error}"


def draw_history(run: OpenRun) -> tuple[list[Any], str]:
    """(the entries of the draw history, "") or ([], what is wrong with it)."""
    of = run.target.draws
    content, problem = json_of(run.files / of.path)
    if problem:
        return [], problem
    entries = content.get(of.list) if isinstance(content, dict) else None
    return (entries, "") if isinstance(entries, list) else ([], f"has no list {of.list!r}")
