"""The run directory: the contract between running and judging. Names, writing, reading, `latest`.

::

    runs/soak_c/20260203-101500-s12345-1a2b/
      config.json       the effective plan: experiment, target, profile, faults, seed, limits
      schedule.json     what happens when, with its hash
      provenance.json   what exactly ran, on what
      containers.json   a run in containers: engine, compose, images, user
      engine_lost.json  when the engine of such a run went away, if it did
      history.jsonl     the append-only record (chaos/record/history.py)
      witness.jsonl     system calls of the stack, if they were witnessed (images/witness)
      wire.jsonl        exchanges with the LLM, if they were witnessed (images/wire_witness)
      wire.pcap         the frames of these, for Wireshark; older ones in wire.pcap.1 to .3
      ledger.jsonl      undo records of faults (chaos/faults/ledger.py)
      logs/             stdout and stderr of every process
      artefacts/        the Watcher's files, collected after the halt
      verdict.json      all findings and the verdict
      report.md         the same for people
    runs/soak_c/latest -> the newest run
"""

import errno
import json
import os
import secrets
import shlex
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.base.errors import ChaosError, UsageError

_NAME_SHOWN = 200
CONTAINERS = "containers.json"  # of a run in containers: what it was made of
CONTAINERS_LEFT = "containers of the run"  # how what is left of them begins in event `cleanup`


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text` so that a reader sees the old or the new, never half.

    What is no UTF-8 in it (names of others) is written out: it must not keep the rest from disk.
    Raises `OSError`, also where `path` is a folder, a device or a pipe, which stay what they are.
    """
    _refuse_irregular(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _refuse_irregular(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise FileExistsError(errno.EEXIST, "it is no regular file", str(path))


def json_text(content: Mapping[str, Any]) -> str:
    """The text of a JSON file of a run."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True)
class RunDir:
    """Paths of one run. Making one touches nothing; `create` makes the folders."""

    path: Path

    @property
    def run_id(self) -> str:
        """soak and folder name, unique among the runs of one machine."""
        return f"{self.path.parent.name}-{self.path.name}"

    @property
    def config(self) -> Path:
        """Effective plan (JSON)."""
        return self.path / "config.json"

    @property
    def schedule(self) -> Path:
        """Schedule with its hash (JSON)."""
        return self.path / "schedule.json"

    @property
    def provenance(self) -> Path:
        """What ran, on what (JSON)."""
        return self.path / "provenance.json"

    @property
    def history(self) -> Path:
        """Append-only record (JSON lines)."""
        return self.path / "history.jsonl"

    @property
    def engine_lost(self) -> Path:
        """That the container engine went away in mid-run (JSON); hardly ever there."""
        return self.path / "engine_lost.json"

    @property
    def ledger(self) -> Path:
        """Fault undo records (JSON lines)."""
        return self.path / "ledger.jsonl"

    @property
    def containers_removed(self) -> bool:
        """Whether everything of the run's containers was removed, perhaps by `chaos clean`."""
        try:
            return self.read_json(self.path / CONTAINERS).get("removed") is True
        except ChaosError:
            return False

    @property
    def expected_draws(self) -> Path:
        """What the target's reference command printed (JSON lines)."""
        return self.path / "expected_draws.jsonl"

    @property
    def witness(self) -> Path:
        """System calls of the stack, as they were seen (JSON lines)."""
        return self.path / "witness.jsonl"

    @property
    def wire(self) -> Path:
        """HTTP exchanges on the stack's links, as they were seen (JSON lines)."""
        return self.path / "wire.jsonl"

    @property
    def pcap(self) -> Path:
        """The frames of these exchanges; the oldest are given up."""
        return self.path / "wire.pcap"

    @property
    def logs(self) -> Path:
        """Folder of process logs, `<service>.log`."""
        return self.path / "logs"

    @property
    def artefacts(self) -> Path:
        """Folder with the collected workspace of the Watcher."""
        return self.path / "artefacts"

    @property
    def verdict(self) -> Path:
        """Findings and verdict (JSON)."""
        return self.path / "verdict.json"

    @property
    def report(self) -> Path:
        """Report for people (Markdown)."""
        return self.path / "report.md"

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read one of the JSON files above; `ChaosError` names the file that cannot be read."""
        try:
            loaded = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ChaosError(
                f"{path.name} is missing in {self.path}",
                next_step="the run was cut off before it was written; run it again",
            ) from error
        except OSError as error:
            raise self._unreadable(path, f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise self._unreadable(path, f"not JSON: {error}") from error
        except RecursionError as error:
            raise self._unreadable(path, "not JSON: nested too deeply") from error
        if not isinstance(loaded, dict):
            raise self._unreadable(path, "expected a JSON object")
        return loaded

    def _unreadable(self, path: Path, why: str) -> ChaosError:
        if path == self.verdict:
            step = f"judge it again: chaos check {shlex.quote(str(self.path))}"
        elif path == self.provenance:
            step = "restore the file, or move it away: then nothing is told of what ran"
        else:
            step = "restore the file, or run the soak again: without it there is no judgement"
        return ChaosError(why, place=str(path), next_step=step)

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write `content` to one of the JSON files above, atomically."""
        write_atomic(path, json_text(content))


def create(root: Path, soak: str, seed: int) -> RunDir:
    """Make the folders of a new run below `root` and point `latest` at it.

    Raises `ChaosError` when `root` cannot be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    run = RunDir(root / soak / f"{stamp}-s{seed}-{secrets.token_hex(2)}")
    try:
        for folder in (run.path, run.logs, run.artefacts):
            folder.mkdir(parents=True)
        _point_latest(run.path)
    except OSError as error:
        raise not_created("run directory", run.path, error) from error
    return run


_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE)


def not_created(what: str, path: Path, error: OSError) -> ChaosError:
    """Why a folder below --runs cannot be had: a wrong name is the user's, a full disk is not."""
    kind = ChaosError if error.errno in _OF_THE_MACHINE else UsageError
    space = "free some space or " if kind is ChaosError else ""
    return kind(
        f"cannot create the {what}: {error.strerror}",
        place=str(path),
        next_step=f"{space}name another folder with --runs DIR",
    )


def _point_latest(path: Path) -> None:
    link = path.parent / "latest"
    part = path.parent / f".latest.{path.name}"
    part.symlink_to(path.name)
    part.replace(link)


def is_file(path: Path) -> bool:
    """Whether `path`, which somebody typed, is a file; `UsageError` when that cannot be told."""
    try:
        return path.is_file()
    except OSError as error:  # too long, or not ours to look at
        raise UsageError(
            f"cannot look there: {error.strerror}",
            place=bounded(str(path)),
            next_step="name another path",
        ) from error


def bounded(name: str) -> str:
    """A name that somebody typed, as much of it as fits into a message."""
    return name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}..."


# A folder with one of these is a run, even if its config is missing.
_RUN_FILES = ("schedule.json", "provenance.json", "history.jsonl", "ledger.jsonl")


def find(reference: str, root: Path) -> RunDir:
    """A run by its path, by `latest` (newest of any soak), or by `<soak>/latest`.

    Raises `UsageError` if there is none, and `ChaosError` if it has no config.json.
    """
    candidates = [Path(reference), root / reference, root / reference / "latest"]
    if reference == "latest":
        links = sorted(root.glob("*/latest"), key=lambda link: link.resolve().name)
        candidates = [links[-1]] if links else []
    for candidate in candidates:
        if is_file(candidate / "config.json"):
            return RunDir(candidate.resolve())
    for candidate in candidates:
        if any(is_file(candidate / name) for name in _RUN_FILES):
            raise ChaosError(
                "this run has no config.json, so it can be neither judged nor repeated",
                place=bounded(str(candidate)),
                next_step="restore the file, or run the soak again",
            )
    raise UsageError(
        f"no run at {bounded(reference)!r}",
        next_step=f"name a run directory, or one of those under {root}",
    )
