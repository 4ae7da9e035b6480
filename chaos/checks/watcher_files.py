"""The Watcher's files as collected in a run directory, read through the target's selectors.

Tolerant by design: what is missing, torn or not JSON becomes a stated problem for the checks to
judge, never an exception. Knows nothing of the run's history except where its clock began.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from chaos.checks.finding import Evidence
from chaos.target import CallSelector, Target

_LINE_BYTES_MAX = 1 << 20


class Call(msgspec.Struct, frozen=True, gc=False):
    """One LLM call of a decision; times in run seconds, None when not given or unreadable."""

    start_s: float | None
    end_s: float | None
    ok: bool


class Decision(msgspec.Struct, frozen=True):
    """One line of the decision log, mapped onto run time."""

    line: int
    id: str
    request: str
    sequence: str
    source: str
    status: str
    completed: bool
    dispatch: str
    fallback: bool
    start_s: float | None
    end_s: float | None
    calls: tuple[Call, ...]


class LLMEvent(msgspec.Struct, frozen=True):
    """One line of the supervisor's record; `t_s` in run seconds."""

    line: int
    t_s: float
    event: str
    pid: int | None


class Draw(msgspec.Struct, frozen=True, gc=False):
    """One draw of the history file; `value` None when it is not a number."""

    value: int | None
    bootstrap: bool


class WatcherFiles:
    """Everything below `artefacts/` that checks read. Each file is read at most once."""

    def __init__(self, root: Path, target: Target, wall_epoch_s: float) -> None:
        self._root = root
        self._target = target
        self._epoch_s = wall_epoch_s

    def ref(self, path: str, line: int | None = None) -> str:
        """Reference to a collected file for an evidence."""
        return f"artefacts/{path}" + (f":{line}" if line else "")

    @cached_property
    def collected(self) -> bool:
        """Whether anything was collected at all."""
        return self._root.is_dir() and any(self._root.iterdir())

    def names(self, pattern: str) -> list[str]:
        """Names of the files that match a workspace glob, sorted; hidden ones are left out."""
        paths = self._root.glob(pattern)
        return sorted(p.name for p in paths if p.is_file() and not p.name.startswith("."))

    def paths(self, pattern: str) -> list[str]:
        """The same as paths relative to the workspace."""
        paths = (p for p in self._root.glob(pattern) if p.is_file())
        return sorted(str(p.relative_to(self._root)) for p in paths)

    def json(self, path: str) -> tuple[Any, str]:
        """(content, "") or (None, what is wrong with it)."""
        try:
            return msgspec.json.decode((self._root / path).read_bytes()), ""
        except FileNotFoundError:
            return None, "is missing"
        except OSError as error:
            return None, f"cannot be read: {error.strerror}"
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return None, f"is not JSON: {error}"

    # -- queue --------------------------------------------------------------------------------

    @cached_property
    def pending(self) -> list[str]:
        """Requests that nobody took."""
        return self.names(self._target.queue.pending)

    @cached_property
    def claimed(self) -> list[str]:
        """Requests taken and not finished."""
        return self.names(self._target.queue.claimed)

    @cached_property
    def archived(self) -> list[str]:
        """Requests finished."""
        return self.names(self._target.queue.archived)

    @cached_property
    def quarantined(self) -> list[str]:
        """Requests set aside; the notes that say why are left out."""
        names = set(self.names(self._target.queue.quarantined))
        return sorted(n for n in names if n.removesuffix(".reason.json") not in names - {n})

    # -- decisions ----------------------------------------------------------------------------

    @cached_property
    def _decision_log(self) -> tuple[list[Decision], list[Evidence], bool]:
        decisions: list[Decision] = []
        damaged: list[Evidence] = []
        torn = False
        path = self._target.decisions.path
        for number, line, whole in self.lines(path):
            if not line.strip():
                continue
            try:
                entry = msgspec.json.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                entry = None
            if isinstance(entry, dict):
                decisions.append(self._decision(number, entry))
            elif not whole:
                torn = True
            else:
                damaged.append(Evidence(self.ref(path, number), "not a JSON object"))
        return decisions, damaged, torn

    @property
    def decisions(self) -> list[Decision]:
        """The decision log in its order."""
        return self._decision_log[0]

    @property
    def decisions_damaged(self) -> list[Evidence]:
        """Lines in the middle of the log that are not decisions."""
        return self._decision_log[1]

    @property
    def decisions_torn(self) -> bool:
        """Whether the log ends in half a line."""
        return self._decision_log[2]

    def _decision(self, line: int, entry: dict[str, Any]) -> Decision:
        of = self._target.decisions
        status = _text(entry.get(of.status))
        calls = entry.get(of.calls) if of.calls and of.call else None
        return Decision(
            line=line,
            id=_text(entry.get(of.id)),
            request=_text(entry.get(of.request)),
            sequence=_text(entry.get(of.sequence)),
            source=_text(entry.get(of.source)),
            status=status,
            completed=status in of.completed,
            dispatch=_text(entry.get(of.dispatch)),
            fallback=bool(entry.get(of.fallback)),
            start_s=self.run_time_s(entry.get(of.started)),
            end_s=self.run_time_s(entry.get(of.timestamp)),
            calls=tuple(
                self._call(of.call, call)
                for call in (calls if isinstance(calls, list) else [])
                if of.call is not None and isinstance(call, dict)
            ),
        )

    def _call(self, of: CallSelector, call: dict[str, Any]) -> Call:
        return Call(
            start_s=self.run_time_s(call.get(of.started)),
            end_s=self.run_time_s(call.get(of.ended)),
            ok=_text(call.get(of.outcome)) == of.ok,
        )

    def run_time_s(self, stamp: Any) -> float | None:
        """An ISO time stamp or Unix seconds as run time; a stamp without a zone is UTC."""
        if isinstance(stamp, (int, float)):
            return round(float(stamp) - self._epoch_s, 6)
        moment = parsed_time(stamp)
        return None if moment is None else round(moment.timestamp() - self._epoch_s, 6)

    # -- the rest -----------------------------------------------------------------------------

    @cached_property
    def llm_events(self) -> list[LLMEvent] | None:
        """The supervisor's record, or None when there is no such file."""
        path = self._target.llm.events
        if not (self._root / path).is_file():
            return None
        events = []
        for number, line, _ in self.lines(path):
            try:
                entry = msgspec.json.decode(line)
                t_s = float(entry["time_s"]) - self._epoch_s
                events.append(LLMEvent(number, round(t_s, 6), entry["event"], entry.get("pid")))
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
                continue  # half a line: what matters is that starts and stops add up
        return events

    @cached_property
    def draws(self) -> tuple[list[Draw], str]:
        """(all draws, "") or ([], what is wrong with the draw history)."""
        of = self._target.draws
        content, problem = self.json(of.path)
        if problem:
            return [], problem
        entries = content.get(of.list) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            return [], f"has no list {of.list!r}"
        return [_draw(entry, of.value, of.source, of.bootstrap_source) for entry in entries], ""

    @cached_property
    def diagnosed(self) -> list[tuple[str, tuple[str, ...]]]:
        """(path, requests it says it emitted) for each diagnostics file."""
        found = []
        for path in self.paths(self._target.paths.diagnostics):
            content, _ = self.json(path)
            names = content.get(self._target.paths.diagnostics_requests) if content else None
            names = names if isinstance(names, list) else []
            found.append((path, tuple(_text(name) for name in names)))
        return found

    def log_paths(self) -> list[str]:
        """The Watcher's own log files."""
        return sorted({p for glob in self._target.paths.logs for p in self.paths(glob)})

    def lines(self, path: str) -> Iterator[tuple[int, bytes, bool]]:
        """(line number from 1, line, whether it ends in a newline), streaming."""
        yield from stream_lines(self._root / path)


def stream_lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """(line number from 1, line without its newline, whether it had one); a missing file is
    empty, and of an overlong line only the first `_LINE_BYTES_MAX` bytes are seen.
    """
    try:
        stream = path.open("rb")
    except OSError:
        return
    with stream:
        number, inside = 0, False
        while chunk := stream.readline(_LINE_BYTES_MAX):
            whole = chunk.endswith(b"\n")
            if not inside:
                number += 1
                yield number, chunk.rstrip(b"\r\n"), whole or len(chunk) == _LINE_BYTES_MAX
            inside = not whole


def parsed_time(stamp: Any) -> datetime | None:
    """An ISO time stamp, in UTC where it names no zone; None when it is not one."""
    if not isinstance(stamp, str):
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _draw(entry: Any, value: str, source: str, bootstrap: str) -> Draw:
    if not isinstance(entry, dict):
        return Draw(None, False)
    number = entry.get(value)
    return Draw(number if isinstance(number, int) else None, entry.get(source) == bootstrap)
