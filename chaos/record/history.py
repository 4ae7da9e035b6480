"""The history: the append-only record of a run, one JSON object per line (`history.jsonl`).

Everything that judging may know of a run's course is in here. Writing is one `write` per
record, so that a crash loses at most the line in flight; reading stops at a torn last line
and says so. This module must not know what runs things.

An excerpt::

    {"kind":"header","t_s":0.0,"schema":1,"run_id":"soak_c-...","wall_epoch_s":1767225600.0}
    {"kind":"phase","t_s":1.204,"name":"baseline"}
    {"kind":"fault","t_s":41.002,"fault_id":"f001","name":"llm_timeout","state":"injected",...}
    {"kind":"sample","t_s":41.25,"values":{"watcher.rss_anon_bytes":31457280,...}}
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from chaos.base.foreign import written_out_in
from chaos.record.events import EVENTS

SCHEMA = 1

OpOutcome = Literal["ok", "fail", "info"]
Owner = Literal["product", "harness", "infrastructure"]

FaultState = Literal[
    "unavailable",  # cannot be injected here; evidence.reason says why
    "armed",  # the undo record is on disk, nothing has been touched yet
    "injected",  # the call that breaks the stack has returned
    "effect_proven",  # evidence: what was measured while it held
    "effect_unproven",
    "recovering",  # the undo has started
    "recovered",  # evidence: what was measured after the undo
    "recovery_unproven",
    "closed",  # the ledger entry is closed
]


class _Record(msgspec.Struct, tag_field="kind", kw_only=True, frozen=True):
    t_s: float  # seconds since the run's start (monotonic)


class Header(_Record, tag="header", frozen=True):
    """First record. `wall_epoch_s` is the wall clock (Unix seconds) at `t_s` = 0."""

    run_id: str
    wall_epoch_s: float
    schema: int = SCHEMA


class Phase(_Record, tag="phase", frozen=True):
    """A phase begins: preflight, provision, baseline, storm, quiet, halt, collect, end."""

    name: str


class Op(_Record, tag="op", frozen=True):
    """An operation of the workload; `info` means the outcome is not known (Jepsen's term)."""

    op: str
    id: str
    outcome: OpOutcome
    detail: dict[str, Any] = {}


class FaultRecord(_Record, tag="fault", frozen=True):
    """One step in the life of one scheduled fault."""

    fault_id: str
    name: str
    state: FaultState
    scheduled_s: float
    evidence: dict[str, Any] = {}


class Sample(_Record, tag="sample", frozen=True):
    """All signals read at one moment. A source that is absent has no key: never a zero."""

    values: dict[str, float | int | str | bool | None]


class Event(_Record, tag="event", frozen=True):
    """Anything else worth judging: ready, stopped, cleanup, guardrail, artefact versions..."""

    name: str
    severity: Literal["info", "warning", "error"] = "info"
    owner: Owner = "harness"
    detail: dict[str, Any] = {}


Record = Header | Phase | Op | FaultRecord | Sample | Event

# What decoding a line of others raises: no JSON, no such record, no UTF-8, nested too deeply.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


_DEPTH_MAX = 60  # of what is told with a record; what walks through it does so recursively


def decoded(line: bytes) -> Record:
    """The record in one line of a history. Raises one of `UNREADABLE`."""
    record = _decoder.decode(line)
    if line.count(b"[") + line.count(b"{") > _DEPTH_MAX:
        level: list[Any] = [getattr(record, "detail", None), getattr(record, "evidence", None)]
        for _ in range(_DEPTH_MAX):
            level = [inner for value in level for inner in _inside(value)]
        if level:
            raise msgspec.ValidationError("nested too deeply")
    return record


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


class HistoryWriter:
    """Appends records to `path`; safe to call from several threads.

    The clock starts when the writer is made. `listener`, if given, is called with each record
    after it was written (the live view); it must be quick.
    """

    def __init__(
        self, path: Path, run_id: str, *, listener: Callable[[Record], None] | None = None
    ) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._lock = threading.Lock()
        self._encode = msgspec.json.Encoder().encode
        self._start_s = time.monotonic()
        self._listener = listener
        self.wall_epoch_s = time.time()
        self.write(Header(t_s=0.0, run_id=run_id, wall_epoch_s=self.wall_epoch_s))

    def now_s(self) -> float:
        """Seconds since the run's start, to the microsecond."""
        return round(time.monotonic() - self._start_s, 6)

    def write(self, record: Record) -> None:
        """Append one record as one line."""
        try:
            line = self._encode(record) + b"\n"
        except UnicodeEncodeError:  # the name of a file of others: it must not end the run
            record = written_out_in(record)
            line = self._encode(record) + b"\n"
        with self._lock:
            if self._fd >= 0:
                os.write(self._fd, line)
        if self._listener is not None:
            self._listener(record)

    def phase(self, name: str) -> None:
        """Record that phase `name` begins now."""
        self.write(Phase(t_s=self.now_s(), name=name))

    def event(
        self,
        name: str,
        *,
        severity: Literal["info", "warning", "error"] = "info",
        owner: Owner = "harness",
        **detail: Any,
    ) -> None:
        """Record event `name` now, with `detail`. Raises `UndeclaredName`."""
        EVENTS[name].check(detail)
        self.write(
            Event(t_s=self.now_s(), name=name, severity=severity, owner=owner, detail=detail)
        )

    def op(self, op: str, op_id: str, outcome: OpOutcome, **detail: Any) -> None:
        """Record one operation of the workload."""
        self.write(Op(t_s=self.now_s(), op=op, id=op_id, outcome=outcome, detail=detail))

    def sync(self) -> None:
        """Force what was written to disk."""
        with self._lock:
            if self._fd >= 0:
                os.fsync(self._fd)

    def close(self) -> None:
        """Sync and close; later writes are dropped."""
        self.sync()
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def read_history(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield (line number from 1, record), streaming; a torn last line ends the reading.

    Raises `ValueError` with file:line for a line in the middle that is not a record: a history
    is written whole or torn at its end, so anything else means that it was changed afterwards.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return  # torn by a crash in mid-write; what came before is whole
            try:
                yield number, decoded(line)
            except UNREADABLE as error:
                raise ValueError(f"{path}:{number}: not a history record: {error}") from error
