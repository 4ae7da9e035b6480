"""A stored run, opened: its records, its fault windows, and its tables in DuckDB.

Opened once and passed to checks, triage and reports. Tables are read when a query first names them.
Nothing is written, and nothing that runs things is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from chaos.base.errors import ChaosError
from chaos.record.agreement import contradictions, read_schedule
from chaos.record.clock import ClockJump, jumps_of
from chaos.record.events import EVENTS
from chaos.record.evidence import Evidence
from chaos.record.fault_window import FaultWindow
from chaos.record.history import Event, Op
from chaos.record.owner import goes_on
from chaos.record.record_sql import source_of
from chaos.record.rundir import RunDir
from chaos.record.signals import GPU_SIGNAL, SIGNALS, declared_signal, gpu_order
from chaos.record.tables import TABLES
from chaos.record.target import Target

if TYPE_CHECKING:  # DuckDB takes 0.1 s to import
    from chaos.record.database import Database, Row
    from chaos.record.history_tables import History

T = TypeVar("T")
_TABLE = re.compile(rf"\b({'|'.join(TABLES)})\b")


class _Config(msgspec.Struct):
    """The shape of `config.json`, as far as judging reads it."""

    seed: int | None = None
    profile: dict[str, Any] = {}
    criteria: dict[str, dict[str, Any]] = {}
    checks: dict[str, dict[str, Any]] = {}


def _config_of(run: RunDir) -> dict[str, Any]:
    """The content of `config.json`; `ChaosError` where it has another shape."""
    content = run.read_json(run.config)
    try:
        msgspec.convert(content, _Config)
    except msgspec.ValidationError as error:
        raise ChaosError(
            f"it was changed: {error}",
            place=str(run.config),
            next_step="restore the file, or judge the run with the version of chaos that made it",
        ) from error
    return content


class OpenRun(AbstractContextManager["OpenRun"]):
    """One stored run. Use it in a `with` statement, or call `close`.

    Raises `ChaosError` when there is no config to judge by. `damage` says what is wrong with the
    history ("" when it is whole), `torn` whether it ends in half a record.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.config = _config_of(run)
        self.schedule, self.schedule_damage = read_schedule(run)
        self.target = self._read_target()
        from chaos.record.database import Database
        from chaos.record.fault_tables import create_macros, mark_faults
        from chaos.record.history_tables import load_moments, read_records

        self.database: Database = Database(run.path)
        self._history: History = read_records(run.history, self.target.services)
        load_moments(self.database, run.history, self._history)
        self._faults = self._fault_windows()
        self.jumps: tuple[ClockJump, ...] = jumps_of(self.faults, self.end_s)
        self._loaded = {"moments"}
        self._answers: dict[str, Any] = {}
        self.load(["faults"])
        mark_faults(self.database, "moments", "t_s")
        events = f"artefacts/{self.target.llm.events}"
        create_macros(self.database, self.decision_log, events)

    def close(self) -> None:
        """Release the database."""
        self.database.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read_target(self) -> Target:
        try:
            return msgspec.convert(self.config.get("target"), Target)
        except msgspec.ValidationError as error:
            raise ChaosError(
                f"the target in it cannot be read: {error}",
                place=str(self.run.config),
                next_step="judge it with the version of chaos that made the run",
            ) from error

    def _fault_windows(self) -> dict[str, FaultWindow]:
        windows = {
            item["fault_id"]: FaultWindow(item["fault_id"], item["name"])
            for item in self.schedule.get("items", [])
        }
        for line, record in self._history.faults:
            window = windows.setdefault(record.fault_id, FaultWindow(record.fault_id, record.name))
            window.states.setdefault(record.state, (line, record))
        return windows

    # -- tables -------------------------------------------------------------------------------

    def sql(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query of our own over the tables of `chaos.record.tables`."""
        self.load(_TABLE.findall(query))
        return self.database.run(query, parameters)

    def query(
        self, query: str, parameters: Mapping[str, Any] | None = None, **limits: Any
    ) -> tuple[list[str], list[Row]]:
        """(column names, rows) of a query that others wrote; `limits` as of `Database.query`.

        Raises `QueryError` (a `UsageError`) for one that is wrong, forbidden, or too large.
        """
        self.load(_TABLE.findall(query))
        return self.database.query(query, parameters, **limits)

    def one(self, query: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first row; a row of one column as its value. None without a row."""
        rows = self.sql(query, parameters)
        if not rows:
            return None
        return rows[0][0] if len(rows[0]) == 1 else rows[0]

    def once(self, name: str, ask: Callable[[OpenRun], T]) -> T:
        """What `ask` says of this run; asked once under `name`."""
        if name not in self._answers:
            self._answers[name] = ask(self)
        answer: T = self._answers[name]
        return answer

    def load(self, names: Any) -> None:
        """Read those of these tables that were not read yet."""
        for name in names:
            if name not in self._loaded:
                self._loaded |= self._load(name)

    def _load(self, name: str) -> set[str]:
        from chaos.record import daemon_tables, history_tables
        from chaos.record.fault_tables import load_faults
        from chaos.record.witness_tables import WITNESS_TABLES, load_witness

        loaders: dict[tuple[str, ...], Callable[[], None]] = {
            ("phases", "events", "ops", "versions"): lambda: history_tables.load_records(
                self.database, self._history
            ),
            ("run",): self._load_run,
            WITNESS_TABLES: lambda: load_witness(
                self.database,
                self.run.witness,
                self.epoch_s,
                self.target.llm.endpoint,
                self.target.work.places(),
            ),
            ("wire",): self._load_wire,
            ("faults", "planted"): lambda: load_faults(self.database, self.faults, self.end_s),
            **daemon_tables.loaders(self),
        }
        for names, loader in loaders.items():
            if name in names:
                loader()
                return set(names)
        raise KeyError(name)

    def _load_wire(self) -> None:
        from chaos.record.wire_tables import load_wire

        self.load(("connects",))
        load_wire(self.database, self.run.wire, self.epoch_s)

    def _load_run(self) -> None:
        from_s, to_s = self.measured_span_s()
        self.database.create(
            TABLES["run"],
            [
                {
                    "run_id": self._history.header.run_id,
                    "soak": str(self.config.get("soak", "")),
                    "profile": str(self.config.get("profile_name", "")),
                    "seed": self.config.get("seed"),
                    "began_epoch_s": self.epoch_s,
                    "end_s": self.end_s,
                    "from_s": from_s,
                    "to_s": to_s,
                    "stopped": self.stopped,
                    "complete": self.ran_to_end,
                    "sample_period_s": self.sample_period_s,
                    "drain_limit_s": float(self.profile.get("drain_limit_s", 60.0)),
                    "poll_interval_s": self.target.poll_interval_s,
                    "volume_bytes": self.target.workspace.size_mb << 20,
                    "lines": self.lines,
                }
            ],
        )

    # -- config -------------------------------------------------------------------------------

    @property
    def profile(self) -> dict[str, Any]:
        """The profile's values."""
        return dict(self.config.get("profile", {}))

    @property
    def call_limit_s(self) -> float | None:
        """After how long the daemon gives a call to its LLM up; None where the target is silent."""
        said = str(self.target.llm.call_limit_s)
        settings = self.profile.get("settings") or {}
        try:
            return float(settings.get(said.strip("{}"), said)) if said else None
        except (TypeError, ValueError):
            return None

    @property
    def patience_s(self) -> float:
        """How long a sound daemon of this target may take to go on: a look for work, a call to its
        LLM that hangs to its limit, a piece of work.
        """
        of = self.target
        return of.poll_interval_s + of.work.unit_s + (self.call_limit_s or 0.0)

    @property
    def criteria(self) -> dict[str, dict[str, Any]]:
        """Criterion name -> its parameters; empty where the config names none."""
        return dict(self.config.get("criteria") or {})

    @property
    def sample_period_s(self) -> float:
        """Time between two samples."""
        return float(self.profile.get("sample_period_s", 1.0))

    # -- history ------------------------------------------------------------------------------

    @property
    def epoch_s(self) -> float:
        """The wall clock (Unix seconds) at run time 0."""
        return self._history.header.wall_epoch_s

    @property
    def run_id(self) -> str:
        """The run's id, "" when the history does not say."""
        return self._history.header.run_id

    @property
    def end_s(self) -> float:
        """Time of the last record."""
        return self._history.end_s

    @property
    def lines(self) -> int:
        """How many lines of the history were read."""
        return self._history.lines

    @property
    def sample_count(self) -> int:
        """How many samples there are."""
        return int(self.database.run("select count(*) from moments")[0][0])

    @property
    def damage(self) -> str:
        """What is wrong with the history; "" when it is whole."""
        return self._history.damage

    @property
    def torn(self) -> bool:
        """Whether the history ends in half a record."""
        return self._history.torn

    @property
    def faults(self) -> list[FaultWindow]:
        """All scheduled faults, in the order of the schedule."""
        return list(self._faults.values())

    @property
    def injected_faults(self) -> list[FaultWindow]:
        """Those that were injected."""
        return [window for window in self.faults if window.start_s is not None]

    @property
    def events(self) -> list[tuple[int, Event]]:
        """(line, event) of all events."""
        return self._history.events

    @property
    def ops(self) -> list[tuple[int, Op]]:
        """(line, operation) of all operations of the workload."""
        return self._history.ops

    def named(self, name: str) -> list[tuple[int, Event]]:
        """(line, event) for each event called `name`. Raises `UndeclaredName`."""
        kind = EVENTS[name].name
        return [(line, event) for line, event in self.events if event.name == kind]

    def last(self, name: str) -> tuple[int, Event] | None:
        """The last event called `name`."""
        found = self.named(name)
        return found[-1] if found else None

    def phase_s(self, name: str) -> float | None:
        """When phase `name` began, or None."""
        return next((phase.t_s for _, phase in self._history.phases if phase.name == name), None)

    def measured_span_s(self) -> tuple[float, float]:
        """From the beginning of the baseline to the halt (or the end of the record)."""
        start_s = self.phase_s("baseline")
        if start_s is None:
            return self.end_s, self.end_s
        ends = [self.phase_s(name) for name in ("halt", "collect", "end")]
        return start_s, next((end for end in ends if end is not None), self.end_s)

    @property
    def stopped(self) -> str:
        """complete, interrupt, guardrail, usage, error, or "" when the harness was cut off."""
        found = self.last("stopped")
        return str(found[1].detail.get("reason", "error")) if found else ""

    @cached_property
    def incomplete(self) -> list[Evidence]:
        """What is missing from the record itself; empty when it is whole up to its end."""
        found = []
        if self.damage:
            found.append(Evidence("history.jsonl", self.damage))
        if not self.stopped:
            text = "the harness was cut off: there is no record of the end"
            if goes_on(self.run):
                text = "the run is still going on: judge it when it has ended"
            found.append(self.evidence(self.lines, text))
        elif self.last("cleanup") is None:
            found.append(self.evidence(self.lines, "there is no record of the clean-up"))
        if self.torn:
            found.append(self.evidence(self.lines + 1, "the last record is torn"))
        return found + self.contradictions

    @cached_property
    def contradictions(self) -> list[Evidence]:
        """What `config.json` and `schedule.json` say differently, or do not say."""
        return contradictions(self.config, self.schedule, self.schedule_damage)

    @property
    def ran_to_end(self) -> bool:
        """Whether the run went its whole course, so that what is missing is really missing."""
        return self.stopped == "complete" and not self.damage

    def evidence(self, line: int, text: str) -> Evidence:
        """Evidence that points into the history."""
        return Evidence(f"history.jsonl:{line}", text)

    # -- the daemon's files -------------------------------------------------------------------

    @property
    def files(self) -> Path:
        """The folder of the daemon's collected files."""
        return self.run.artefacts

    @cached_property
    def collected(self) -> bool:
        """Whether anything was collected at all."""
        return self.files.is_dir() and any(self.files.iterdir())

    @cached_property
    def not_collected(self) -> str:
        """Why the collected files are not all of the daemon's; "" when they are."""
        from chaos.record.collection import not_collected

        return not_collected(self)

    @property
    def decision_log(self) -> str:
        """Reference to the decision log: a file, or the glob of files that are one together."""
        record = self.target.records.decisions
        return f"artefacts/{'' if record is None else source_of(record.sql).path}"

    # -- signals ------------------------------------------------------------------------------

    def sampled(self, signal: str) -> bool:
        """Whether a sample ever had `signal`. Raises `UndeclaredName`."""
        name = declared_signal(signal).name
        return self.has_column(name) and bool(
            self.database.run(f'select count("{name}") from moments')[0][0]
        )

    def has_column(self, signal: str) -> bool:
        """Whether `moments` has a column for `signal`: those of GPUs only where one was sampled,
        those of services only where the target has them.
        """
        return signal in SIGNALS or signal in self._columns

    @cached_property
    def gpu_signals(self) -> list[str]:
        """GPU signals that were sampled, in the order of the devices."""
        return sorted(filter(GPU_SIGNAL.fullmatch, self._columns), key=gpu_order)

    @cached_property
    def _columns(self) -> list[str]:
        return [name for (name,) in self.database.run("select column_name from (describe moments)")]
