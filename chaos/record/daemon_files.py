"""Single JSON files of the daemon, as collected. Needs no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.base.files import list_at

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
    if not of.path:
        return [], "is not named by the target"
    content, problem = json_of(run.files / of.path)
    if problem:
        return [], problem
    try:
        return list_at(content, of.list), ""
    except (LookupError, TypeError):
        return [], f"has no list {of.list!r}"
