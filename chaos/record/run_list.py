"""The runs, gates and batches of a folder, read cheaply: the fields that a list shows, and no more.

For `chaos runs`, `chaos serve`, and whatever else shows many runs. The folder may come from
anywhere: links are not followed, and a damaged run is an entry that says so. Reads only. Must not
know how a list is shown, and opens no database.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from chaos.base.below import read_below
from chaos.record.batch_list import KINDS, SWEEPS, BatchEntry
from chaos.record.gate_list import GATES, GateEntry, gate_entry
from chaos.record.list_fields import began_s, fields_of, kept
from chaos.record.owner import goes_on
from chaos.record.rundir import RunDir

RUNS_MAX = 10_000  # folders that are looked at
_OWNER_BYTES_MAX = 4096
_NOT_PASSED_MAX = 20
# The first of these that a folder has is what its entry is read from.
_SOURCES = ("verdict.json", "config.json", "history.jsonl", "schedule.json", "provenance.json")
_T = TypeVar("_T")

State = Literal["judged", "running", "unjudged", "damaged"]
# What a run can be listed as.
WORDS = (
    *("pass", "fail", "inconclusive", "unverified", "invalid"),
    *("running", "unjudged", "damaged"),
)


class NotPassed(msgspec.Struct, frozen=True):
    """A finding that did not pass, without its evidence."""

    check: str
    title: str
    outcome: str
    summary: str


class RunEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `id` is its path below the folder, with which every command finds it."""

    id: str
    gate: str = ""  # the id of its gate
    batch: str = ""  # the id of its sweep, comparison or campaign
    state: State
    verdict: str = ""
    problem: str = ""  # why it is damaged
    soak: str = ""
    profile: str = ""
    seed: int | None = None
    faults: tuple[str, ...] = ()
    began_epoch_s: float = 0.0
    lasted_s: float | None = None
    stopped: str = ""
    exit_code: int | None = None
    outcomes: dict[str, int] = {}  # outcome -> number of findings
    not_passed: tuple[NotPassed, ...] = ()  # failures first

    @property
    def word(self) -> str:
        """The verdict, or what there is instead of one."""
        return self.verdict or self.state

    @property
    def fault(self) -> str:
        """Its faults as one text: `none`, `llm_timeout`, `a + b`, `12 faults`."""
        names = self.faults
        return (" + ".join(names) or "none") if len(names) <= 3 else f"{len(names)} faults"


@dataclass
class Listing:
    """Runs, gates and batches, newest first. `problems`: folders that could not be read.

    The runs of batches are not among them: one batch has hundreds (`RunList.runs_of`).
    """

    runs: list[RunEntry] = field(default_factory=list)
    gates: list[GateEntry] = field(default_factory=list)
    batches: list[BatchEntry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


# -- the wanted fields of the files -----------------------------------------------------------


class _Finding(msgspec.Struct):
    outcome: Literal["pass", "fail", "inconclusive", "unverified", "skipped", "invalid"]
    check: str = ""
    title: str = ""
    summary: str = ""


class _Fault(msgspec.Struct):
    name: str


class _Verdict(msgspec.Struct):
    verdict: Literal["pass", "fail", "inconclusive", "unverified", "invalid"]
    exit_code: int
    soak: str
    profile: str = ""
    seed: int | None = None
    stopped: str = ""
    lasted_s: float = 0.0
    findings: list[_Finding] = []
    faults: list[_Fault] = []


class _Config(msgspec.Struct):
    soak: str = ""
    profile_name: str = ""
    seed: int | None = None
    faults: list[_Fault] = []


# A file that is not replaced is not read again.
_Version = tuple[str, int, int, int]
_Known = dict[str, tuple[_Version, _T]]
_Reader = Callable[[Path, str], _T]


class RunList:
    """The runs below `root`, in the layout of `chaos.record.rundir`. Safe to use from threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._runs: _Known[RunEntry] = {}
        self._gates: _Known[GateEntry] = {}
        self._batches: _Known[BatchEntry] = {}

    def read(self) -> Listing:
        """What is there now. Only what has changed since the last call is read."""
        found = Listing()
        with self._lock:
            runs, gates, batches = {}, {}, {}
            for run_id in islice(self._run_ids(found.problems), RUNS_MAX):
                if run := self._entry(run_id, _SOURCES, self._runs, _run_entry):
                    runs[run_id] = run
            for name in islice(self._names(GATES, found.problems), RUNS_MAX):
                gate_id = f"{GATES}/{name}"
                if gate := self._entry(gate_id, ("gate.json",), self._gates, gate_entry):
                    gates[gate_id] = gate
            for batch_id in islice(self._batch_ids(found.problems), RUNS_MAX):
                kind = KINDS[noun_of(batch_id)]
                if batch := self._entry(batch_id, list(kind.sources), self._batches, kind.entry):
                    batches[batch_id] = batch
            self._runs, self._gates, self._batches = runs, gates, batches
            found.runs = [self._now(entry) for _, entry in runs.values()]
            found.gates = [entry for _, entry in gates.values()]
            found.batches = [entry for _, entry in batches.values()]
        found.runs.sort(key=lambda run: (run.began_epoch_s, run.id), reverse=True)
        found.gates.sort(key=lambda gate: (gate.began_epoch_s, gate.id), reverse=True)
        found.batches.sort(key=lambda batch: (batch.began_epoch_s, batch.id), reverse=True)
        return found

    def runs_of(self, batch_id: str) -> list[RunEntry]:
        """The runs of a batch of the list, newest first."""
        ids = islice(run_ids_of(self.root, batch_id), RUNS_MAX)
        return [entry for entry in map(self._of_batch, ids) if entry is not None]

    def run_of(self, batch_id: str, parts: Sequence[str]) -> tuple[RunEntry | None, Sequence[str]]:
        """(the run of a batch of the list, the rest) of the path `parts` below the batch."""
        count = 3 if KINDS[noun_of(batch_id)].runs else 2
        run_id = "/".join((batch_id, *parts[:count]))
        if len(parts) < count or run_id not in run_ids_of(self.root, batch_id):
            return None, parts
        return self._of_batch(run_id), parts[count:]

    def _of_batch(self, run_id: str) -> RunEntry | None:
        made = self._entry(run_id, _SOURCES, {}, _run_entry)
        return None if made is None else self._now(made[1])

    def _batch_ids(self, problems: list[str]) -> Iterator[str]:
        for noun in KINDS:
            yield from (f"{noun}/{name}" for name in self._names(noun, problems))
        for gate in self._names(GATES, problems):
            folder = f"{GATES}/{gate}/{SWEEPS}"
            yield from (f"{folder}/{name}" for name in self._names(folder, problems))

    def _run_ids(self, problems: list[str]) -> Iterator[str]:
        for soak in self._names("", problems):
            if soak not in (GATES, *KINDS):
                yield from (f"{soak}/{name}" for name in self._names(soak, problems))
        for gate in self._names(GATES, problems):
            for soak in self._names(f"{GATES}/{gate}", problems):
                if soak == SWEEPS:
                    continue
                folder = f"{GATES}/{gate}/{soak}"
                yield from (f"{folder}/{name}" for name in self._names(folder, problems))

    def _names(self, folder: str, problems: list[str]) -> list[str]:
        try:
            return _folders(self.root / folder)
        except OSError as error:
            problems.append(f"{folder or self.root}: {error.strerror}")
            return []

    def _entry(
        self, entry_id: str, sources: Sequence[str], known: _Known[_T], read: _Reader[_T]
    ) -> tuple[_Version, _T] | None:
        """The known entry, if its first source is unchanged; None if it has no source."""
        folder = f"{self.root}/{entry_id}"
        version = next(filter(None, (_version(folder, name) for name in sources)), None)
        if version is None:
            return None
        before = known.get(entry_id)
        return before if before and before[0] == version else (version, read(self.root, entry_id))

    def _now(self, entry: RunEntry) -> RunEntry:
        """The entry, as running if it is."""
        if entry.state == "judged" or not is_running(self.root, entry.id):
            return entry
        return msgspec.structs.replace(entry, state="running")


def noun_of(batch_id: str) -> str:
    """The noun of a batch: the folder that it lies in."""
    return batch_id.split("/")[-2]


def run_ids_of(root: Path, batch_id: str) -> Iterator[str]:
    """The ids of the runs of a batch, newest first; none if its folder cannot be read."""
    kind = KINDS[noun_of(batch_id)]
    above = f"{batch_id}/{kind.runs}".rstrip("/")
    with suppress(OSError):
        for folder in _folders(root / above):
            if kind.runs or folder != kind.no_runs:
                yield from (f"{above}/{folder}/{name}" for name in _folders(root / above / folder))


def _folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, no links; the newest runs first."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(names, reverse=True)


def is_running(root: Path, run_id: str) -> bool:
    """True if the process that runs this run is alive."""
    try:
        read_below(root, f"{run_id}/owner.json", _OWNER_BYTES_MAX)
    except OSError:
        return False
    return goes_on(RunDir(root / run_id))


def _version(folder: str, name: str) -> _Version | None:
    try:
        status = os.lstat(f"{folder}/{name}")  # a Path costs more than the call
    except OSError:
        return None
    return name, status.st_ino, status.st_mtime_ns, status.st_size


def _run_entry(root: Path, run_id: str) -> RunEntry:
    began = began_s(root, run_id)
    gate, batch = _owners(run_id)
    verdict, problem = fields_of(root, f"{run_id}/verdict.json", _Verdict)
    if verdict is not None:
        return RunEntry(
            id=run_id,
            gate=gate,
            batch=batch,
            state="judged",
            verdict=verdict.verdict,
            soak=kept(verdict.soak),
            profile=kept(verdict.profile),
            seed=verdict.seed,
            faults=tuple(dict.fromkeys(kept(fault.name) for fault in verdict.faults)),
            began_epoch_s=began,
            lasted_s=verdict.lasted_s,
            stopped=kept(verdict.stopped),
            exit_code=verdict.exit_code,
            outcomes=Counter(finding.outcome for finding in verdict.findings),
            not_passed=_not_passed(verdict.findings),
        )
    config, wrong = fields_of(root, f"{run_id}/config.json", _Config)
    problem = problem or wrong or ("" if config else "it has no config.json")
    config = config or _Config()
    names = dict.fromkeys(kept(fault.name) for fault in config.faults if fault.name != "none")
    return RunEntry(
        id=run_id,
        gate=gate,
        batch=batch,
        state="damaged" if problem else "unjudged",
        problem=problem,
        soak=kept(config.soak) or run_id.split("/")[-2],
        profile=kept(config.profile_name),
        seed=config.seed,
        faults=tuple(names),
        began_epoch_s=began,
    )


def _owners(run_id: str) -> tuple[str, str]:
    """(the id of its gate, the id of its batch) of a run, each "" without one."""
    # [], gate/G, BATCH or gate/G/BATCH with BATCH = NOUN/NAME; a campaign has a folder more.
    above = run_id.split("/")[:-2]
    gate = "/".join(above[:2]) if above[:1] == [GATES] else ""
    below = above[2:] if gate else above
    batch = above[: 4 if gate else 2] if below[:1] and below[0] in KINDS else []
    return gate, "/".join(batch)


def _not_passed(findings: list[_Finding]) -> tuple[NotPassed, ...]:
    found = [
        NotPassed(kept(f.check), kept(f.title or f.check), f.outcome, kept(f.summary))
        for f in findings
        if f.outcome not in ("pass", "skipped")
    ]
    return tuple(sorted(found, key=lambda one: one.outcome != "fail")[:_NOT_PASSED_MAX])


def utc_text(epoch_s: float) -> str:
    """A moment for people: `2026-02-03 10:15`, in UTC; "" for one that no calendar has."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(epoch_s))
    except (ValueError, OverflowError, OSError):
        return ""


def as_json(entry: RunEntry) -> Mapping[str, object]:
    """The entry as plain data, for `--json`."""
    return {**msgspec.to_builtins(entry), "began": utc_text(entry.began_epoch_s)}
