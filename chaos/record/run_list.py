"""The runs and gates of a folder, read cheaply: the fields that a list shows, and no more.

For `chaos runs`, `chaos serve`, and whatever else shows many runs. The folder may come from
anywhere: links are not followed, and a damaged run is an entry that says so. Reads only. Must not
know how a list is shown, and opens no database.
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from chaos.base.below import read_below
from chaos.record.history import UNREADABLE
from chaos.record.owner import goes_on
from chaos.record.rundir import RunDir

RUNS_MAX = 10_000  # folders that are looked at
GATES = "gate"  # the folder of the gates
FILE_BYTES_MAX = 16 << 20
_OWNER_BYTES_MAX = 4096
_TEXT_MAX = 300  # characters that are kept of a text
_NOT_PASSED_MAX = 20
# The first of these that a folder has is what its entry is read from.
_SOURCES = ("verdict.json", "config.json", "history.jsonl", "schedule.json", "provenance.json")
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-", re.ASCII)
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


class StepEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a gate. `run` is the id of its run, "" if it has none yet."""

    name: str
    soak: str
    control: bool
    state: str
    verdict: str | None = None
    run: str = ""


class GateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One gate. `verdict` is "" as long as there is none."""

    id: str
    began_epoch_s: float = 0.0
    verdict: str = ""
    reason: str = ""
    state: str = ""
    profile: str = ""
    steps: tuple[StepEntry, ...] = ()
    problem: str = ""


@dataclass
class Listing:
    """Runs and gates, newest first. `problems`: folders that could not be read."""

    runs: list[RunEntry] = field(default_factory=list)
    gates: list[GateEntry] = field(default_factory=list)
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


class _Request(msgspec.Struct):
    profile: str = ""


class _Step(msgspec.Struct):
    name: str
    soak: str = ""
    control: bool = False
    state: str = ""
    run: str | None = None
    verdict: str | None = None


class _GateVerdict(msgspec.Struct):
    verdict: str
    reason: str = ""


class _Gate(msgspec.Struct):
    created: str = ""
    state: str = ""
    request: _Request = msgspec.field(default_factory=_Request)
    steps: list[_Step] = []
    verdict: _GateVerdict | None = None


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

    def read(self) -> Listing:
        """What is there now. Only what has changed since the last call is read."""
        found = Listing()
        with self._lock:
            runs, gates = {}, {}
            for run_id in islice(self._run_ids(found.problems), RUNS_MAX):
                if run := self._entry(run_id, _SOURCES, self._runs, _run_entry):
                    runs[run_id] = run
            for name in islice(self._names(GATES, found.problems), RUNS_MAX):
                gate_id = f"{GATES}/{name}"
                if gate := self._entry(gate_id, ("gate.json",), self._gates, _gate_entry):
                    gates[gate_id] = gate
            self._runs, self._gates = runs, gates
            found.runs = [self._now(entry) for _, entry in runs.values()]
            found.gates = [entry for _, entry in gates.values()]
        found.runs.sort(key=lambda run: (run.began_epoch_s, run.id), reverse=True)
        found.gates.sort(key=lambda gate: (gate.began_epoch_s, gate.id), reverse=True)
        return found

    def _run_ids(self, problems: list[str]) -> Iterator[str]:
        for soak in self._names("", problems):
            if soak != GATES:
                yield from (f"{soak}/{name}" for name in self._names(soak, problems))
        for gate in self._names(GATES, problems):
            for soak in self._names(f"{GATES}/{gate}", problems):
                folder = f"{GATES}/{gate}/{soak}"
                yield from (f"{folder}/{name}" for name in self._names(folder, problems))

    def _names(self, folder: str, problems: list[str]) -> list[str]:
        """The folders in a folder, no links; the newest runs first."""
        try:
            with os.scandir(self.root / folder) as entries:
                names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
            return sorted(names, reverse=True)
        except FileNotFoundError:
            return []
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
    began_s = _began_s(root, run_id)
    gate = run_id.rsplit("/", 2)[0] if run_id.count("/") == 3 else ""
    verdict, problem = _read(root, f"{run_id}/verdict.json", _Verdict)
    if verdict is not None:
        return RunEntry(
            id=run_id,
            gate=gate,
            state="judged",
            verdict=verdict.verdict,
            soak=_kept(verdict.soak),
            profile=_kept(verdict.profile),
            seed=verdict.seed,
            faults=tuple(dict.fromkeys(_kept(fault.name) for fault in verdict.faults)),
            began_epoch_s=began_s,
            lasted_s=verdict.lasted_s,
            stopped=_kept(verdict.stopped),
            exit_code=verdict.exit_code,
            outcomes=Counter(finding.outcome for finding in verdict.findings),
            not_passed=_not_passed(verdict.findings),
        )
    config, wrong = _read(root, f"{run_id}/config.json", _Config)
    problem = problem or wrong or ("" if config else "it has no config.json")
    config = config or _Config()
    names = dict.fromkeys(_kept(fault.name) for fault in config.faults if fault.name != "none")
    return RunEntry(
        id=run_id,
        gate=gate,
        state="damaged" if problem else "unjudged",
        problem=problem,
        soak=_kept(config.soak) or run_id.split("/")[-2],
        profile=_kept(config.profile_name),
        seed=config.seed,
        faults=tuple(names),
        began_epoch_s=began_s,
    )


def _gate_entry(root: Path, gate_id: str) -> GateEntry:
    gate, problem = _read(root, f"{gate_id}/gate.json", _Gate)
    began_s = _began_s(root, gate_id)
    if gate is None:
        return GateEntry(id=gate_id, problem=problem, began_epoch_s=began_s)
    steps = [
        StepEntry(
            name=_kept(step.name),
            soak=_kept(step.soak),
            control=step.control,
            state=_kept(step.state),
            verdict=None if step.verdict is None else _kept(step.verdict),
            run=f"{gate_id}/{step.run}" if step.run else "",
        )
        for step in gate.steps
    ]
    return GateEntry(
        id=gate_id,
        began_epoch_s=began_s,
        verdict=_kept(gate.verdict.verdict) if gate.verdict else "",
        reason=_kept(gate.verdict.reason) if gate.verdict else "",
        state=_kept(gate.state),
        profile=_kept(gate.request.profile),
        steps=tuple(steps),
    )


def _read(root: Path, relative: str, kind: type[_T]) -> tuple[_T | None, str]:
    """(content, ""), (None, "") if there is no such file, or (None, what is wrong)."""
    name = relative.rpartition("/")[2]
    try:
        return msgspec.json.decode(read_below(root, relative, FILE_BYTES_MAX), type=kind), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        # A link to a file is refused as one too many links.
        why = "it is a link" if (root / relative).is_symlink() else error.strerror
        return None, f"{name} cannot be read: {why}"
    except UNREADABLE as error:
        return None, f"{name} is damaged: {_kept(str(error))}"


def _began_s(root: Path, relative: str) -> float:
    """When it began (Unix time): its name says it; a name of another form, when it was changed."""
    if match := _STAMP.match(relative.rpartition("/")[2]):
        year, month, day, hour, minute, second = map(int, match.groups())
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
        except ValueError:
            pass
    try:
        return (root / relative).lstat().st_mtime
    except OSError:
        return 0.0


def _not_passed(findings: list[_Finding]) -> tuple[NotPassed, ...]:
    found = [
        NotPassed(_kept(f.check), _kept(f.title or f.check), f.outcome, _kept(f.summary))
        for f in findings
        if f.outcome not in ("pass", "skipped")
    ]
    return tuple(sorted(found, key=lambda one: one.outcome != "fail")[:_NOT_PASSED_MAX])


def _kept(text: str) -> str:
    return text[:_TEXT_MAX]


def utc_text(epoch_s: float) -> str:
    """A moment for people: `2026-02-03 10:15`, in UTC; "" for one that no calendar has."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(epoch_s))
    except (ValueError, OverflowError, OSError):
        return ""


def as_json(entry: RunEntry) -> Mapping[str, object]:
    """The entry as plain data, for `--json`."""
    return {**msgspec.to_builtins(entry), "began": utc_text(entry.began_epoch_s)}
