"""`chaos runs prune`: removes the oldest runs of each folder; gates and batches when asked.

Only what has ended and left nothing to undo goes. Links are not followed.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos.base.below import open_below
from chaos.base.errors import ChaosError
from chaos.faults.ledger import Ledger
from chaos.record.batch_list import KINDS, BatchEntry
from chaos.record.gate_list import GateEntry
from chaos.record.owner import is_alive, processes_of
from chaos.record.run_list import Listing, RunEntry, run_ids_of
from chaos.record.rundir import CONTAINERS, RunDir


@dataclass(frozen=True)
class Victim:
    """A folder to remove: a run, a gate or a batch with its runs. `runs` are the runs in it."""

    path: Path
    runs: tuple[Path, ...]
    bytes: int

    def removed(self) -> str:
        """Remove it. Returns why it could not be removed, "" if it was."""
        # Asked again: a run may have been begun again, or its clean-up, since it was chosen.
        if why := next(filter(None, (reason_to_keep(RunDir(run)) for run in self.runs)), ""):
            return why
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return ""


@dataclass(frozen=True)
class Choice:
    """What is to go, and what stays although it is old, with the reason."""

    victims: list[Victim]
    kept: list[tuple[Path, str]]


def choose(
    listing: Listing, root: Path, keep: int, *, gates: bool = False, batches: bool = False
) -> Choice:
    """Choose the runs beyond the newest `keep` of each soak; with `gates`, gates likewise.

    With `batches`, those of each noun likewise; the sweep of a gate belongs to its gate. What goes
    on or cannot be removed stays, and does not count.
    """
    choice = Choice([], [])
    folders: dict[str, list[RunEntry]] = {}
    for run in listing.runs:  # newest first
        if not run.gate:
            folders.setdefault(run.id.rpartition("/")[0], []).append(run)
    for runs in folders.values():
        _choose(choice, [(root / run.id, [root / run.id]) for run in runs], keep)
    if gates:
        units = [
            (root / gate.id, _gate_to_keep(root / gate.id, gate), _runs_of(gate, listing, root))
            for gate in listing.gates
        ]
        _choose_units(choice, units, keep)
    if batches:
        for noun in KINDS:
            units = [
                (root / batch.id, _batch_to_keep(root / batch.id, batch), _runs_in(root, batch.id))
                for batch in listing.batches
                if batch.noun == noun and not batch.gate
            ]
            _choose_units(choice, units, keep)
    return choice


def _choose_units(choice: Choice, units: Iterable[tuple[Path, str, list[Path]]], keep: int) -> None:
    """Choose gates or batches: (folder, why it must stay or "", its runs), newest first."""
    ended = []
    for path, why, runs in units:
        if why:
            choice.kept.append((path, why))
        else:
            ended.append((path, runs))
    _choose(choice, ended, keep)


def _choose(choice: Choice, entries: Iterable[tuple[Path, list[Path]]], keep: int) -> None:
    kept = 0
    for path, runs in entries:
        reasons = (reason_to_keep(RunDir(run)) for run in runs)
        if why := next(filter(None, reasons), ""):
            choice.kept.append((path, why))
        elif kept < keep:
            kept += 1
        else:
            choice.victims.append(Victim(path, tuple(runs), _size(path)))


def _runs_of(gate: GateEntry, listing: Listing, root: Path) -> list[Path]:
    runs = [root / run.id for run in listing.runs if run.gate == gate.id]
    for batch in listing.batches:
        if batch.gate == gate.id:
            runs += _runs_in(root, batch.id)
    return runs


def _runs_in(root: Path, batch_id: str) -> list[Path]:
    return [root / run_id for run_id in run_ids_of(root, batch_id)]


def reason_to_keep(run: RunDir) -> str:
    """Why a run must stay; "" if it may go."""
    try:
        if is_alive(run):
            return "it goes on"
    except ChaosError as error:
        return str(error.message)
    entries, damage = Ledger(run.ledger).read()
    if entries or damage:
        return "its clean-up is open: faults may be in force; chaos clean"
    if (run.path / "workspace").exists():
        return "its clean-up is open: its workspace is there; chaos clean"
    if (run.path / CONTAINERS).exists() and not run.containers_removed:
        return "its clean-up is open: its containers; chaos clean"
    if processes_of(run.run_id):
        return "its clean-up is open: processes of it are alive; chaos clean"
    return ""


def _gate_to_keep(path: Path, gate: GateEntry) -> str:
    """Why a gate must stay; "" if it may go."""
    if _is_locked(path, "gate.lock"):
        return "it goes on"
    return "" if gate.verdict or gate.problem else "it is not finished: chaos gate --resume"


def _batch_to_keep(path: Path, batch: BatchEntry) -> str:
    """Why a batch must stay; "" if it may go."""
    if _is_locked(path, f"{batch.noun}.lock"):
        return "it goes on"
    ended = batch.problem or batch.ended
    return "" if ended else f"it is not finished: chaos {batch.noun} --resume"


def _is_locked(path: Path, name: str) -> bool:
    try:
        with open_below(path, name) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # that of another version has none
    return False


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += (Path(folder) / name).lstat().st_size
    return total
