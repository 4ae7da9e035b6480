"""Take a snapshot of a Watcher's working directory and processes, for triage.

It holds the requests stuck in the queue and their defects, the last decisions and errors, the
largest files, the volume, the processes, and who holds GPU memory. Only reads, unless the Watcher
may be asked for its top allocators (`memory_report.py`). Time and size are bounded; `cut` names
what a bound left out. Judges nothing.
"""

import os
import stat as modes
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.base.files import tail_of
from chaos.record.request_file import defect
from chaos.record.target import Target
from chaos.record.work import PlaceName
from chaos.witness import processes
from chaos.witness.gpu_holders import gpu_holders
from chaos.witness.memory_report import ask_memory
from chaos.witness.stacks import stacks_of

NO_SPACE = ("No space left on device", "Errno 28", "ENOSPC")
_TEXT_MAX = 300
_NOT_ASKED = {"absent": "the Watcher was not asked for them (--deep asks)"}


@dataclass(frozen=True)
class Bounds:
    """The limits of one inspection."""

    seconds: float
    entries: int  # files and folders walked
    requests: int  # stuck requests parsed
    request_bytes: int  # of each, at most
    tail_bytes: int  # of the decision log and of each log
    lines: int  # kept of each
    deep: bool = False


QUICK = Bounds(2.0, 20_000, 50, 1 << 20, 1 << 17, 10)
DEEP = Bounds(20.0, 500_000, 2000, 1 << 24, 1 << 22, 50, deep=True)


def inspect(
    target: Target,
    workspace: Path,
    *,
    why: str,
    roles: Mapping[str, Sequence[int]] | None = None,
    bounds: Bounds = QUICK,
    ask: bool = False,
    watcher: int | None = None,
) -> dict[str, Any]:
    """Take the snapshot: one key per section, ready for JSON.

    `roles` maps roles to known PIDs; other processes are found by their working directory. With
    `ask`, process `watcher` is asked for its top allocators if the target declares how. Times are
    in Unix seconds, sizes in bytes. A section that cannot be read holds the reason instead;
    nothing is raised for it.
    """
    inspection = _Inspection(target, workspace, bounds)
    return {
        "why": why,
        "workspace": str(workspace),
        "time_s": round(time.time(), 3),
        "queue": inspection.queue(),
        "decisions": inspection.decisions(),
        "errors": inspection.errors(),
        "volume": inspection.volume(),
        "files": inspection.files(),
        "halt_flag": any((workspace / flag).exists() for flag in target.halt_flags),
        "status": inspection.status(),
        "processes": inspection.processes(roles or {}),
        "listening": inspection.listening(),
        "gpu": gpu_holders(),
        "memory": ask_memory(target.inspection, workspace, watcher) if ask else _NOT_ASKED,
        "cut": inspection.cut,
    }


class _Inspection:
    """One inspection with its deadline. `cut` lists what the bounds left out."""

    def __init__(self, target: Target, workspace: Path, bounds: Bounds) -> None:
        self._target = target
        self._workspace = workspace
        self._bounds = bounds
        self._until_s = time.monotonic() + bounds.seconds
        self.cut: list[str] = []

    def _out_of_time(self, section: str) -> bool:
        if time.monotonic() < self._until_s:
            return False
        self._note_cut(f"{section}: no time left after {self._bounds.seconds:g} s")
        return True

    def _note_cut(self, text: str) -> None:
        if text not in self.cut:
            self.cut.append(text)

    # -- queue --------------------------------------------------------------------------------

    def queue(self) -> dict[str, Any]:
        """The number of requests per folder, and each unfinished request with its defect."""
        queue = self._target.work
        parts: tuple[PlaceName, ...] = ("pending", "claimed", "quarantined")
        files = {
            part: [
                path
                for path in self._names(queue.places().get(part, ""))
                if queue.request_of(path.rpartition("/")[2], part)
            ]
            for part in parts
        }
        quarantined = set(files["quarantined"])
        files["quarantined"] = [
            name
            for name in files["quarantined"]
            if name.removesuffix(".reason.json") not in quarantined
            or not name.endswith(".reason.json")
        ]
        counts: dict[str, Any] = {part: len(paths) for part, paths in files.items()}
        stuck = [
            self._request(part, path)
            for part, paths in files.items()
            for path in paths[: self._bounds.requests]
            if not self._out_of_time("requests")
        ]
        for part, paths in files.items():
            if len(paths) > self._bounds.requests:
                self._note_cut(f"{part}: {self._bounds.requests} of {len(paths)} requests parsed")
        return {**counts, "archived": len(self._names(queue.finished.files)), "stuck": stuck}

    def _names(self, pattern: str) -> list[str]:
        """The relative paths that match, sorted. Hidden files and folders are left out."""
        if not pattern:
            return []
        try:
            paths = [p for p in self._workspace.glob(pattern) if not p.name.startswith(".")]
            return sorted(str(p.relative_to(self._workspace)) for p in paths if not p.is_dir())
        except OSError as error:
            self._note_cut(f"{pattern}: {error.strerror}")
            return []

    def _request(self, part: str, path: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"part": part, "path": path}
        full = self._workspace / path
        try:
            status = full.stat()
            entry |= {
                "bytes": status.st_size,
                "mode": f"{status.st_mode & 0o7777:04o}",
                "modified_s": round(status.st_mtime, 3),
            }
            if not modes.S_ISREG(status.st_mode):  # opening a pipe would block
                return entry | {"defect": "not a regular file"}
            with full.open("rb") as stream:
                content = stream.read(self._bounds.request_bytes)
        except OSError as error:
            return entry | {"defect": f"cannot be read: {error.strerror}"}
        if status.st_size > len(content):
            return entry | {"defect": f"larger than a request can be ({status.st_size} bytes)"}
        return entry | {"defect": defect(content, self._target.work.type_field)}

    # -- files --------------------------------------------------------------------------------

    def decisions(self) -> dict[str, Any]:
        """The last lines of the decision log, and its modification time."""
        path = self._target.decisions.path
        if not path:
            return {"path": "", "absent": "the target names no decision log"}
        full = self._workspace / path
        try:
            modified_s = full.stat().st_mtime
        except OSError as error:
            return {"path": path, "absent": str(error.strerror)}
        lines = self._tail(full)
        return {
            "path": path,
            "modified_s": round(modified_s, 3),
            "tail": [line[:4096] for line in lines[-self._bounds.lines :]],
        }

    def errors(self) -> list[dict[str, str]]:
        """The last lines of each log that look like errors."""
        patterns = [*self._target.error_patterns, *NO_SPACE, "ERROR", "CRITICAL", "MemoryError"]
        logs = sorted({p for glob in [*self._target.paths.logs, "logs/*.log"]
                       for p in self._names(glob)})  # fmt: skip
        errors = []
        for path in logs:
            if self._out_of_time("logs"):
                break
            hits: deque[str] = deque(maxlen=self._bounds.lines)
            lines = self._tail(self._workspace / path)
            hits.extend(line for line in lines if any(word in line for word in patterns))
            errors += [{"path": path, "text": line[:_TEXT_MAX]} for line in hits]
        return errors

    def _tail(self, path: Path) -> list[str]:
        try:
            with path.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                content = tail_of(stream, self._bounds.tail_bytes)
        except OSError as error:
            self._note_cut(f"{path.name}: {error.strerror}")
            return []
        lines = content.decode("utf-8", errors="replace").splitlines()
        return lines[1:] if size > len(content) else lines  # the first line is cut in half

    def volume(self) -> dict[str, Any]:
        """Size and free space of the working directory's volume."""
        try:
            volume = os.statvfs(self._workspace)
        except OSError as error:
            return {"absent": str(error.strerror)}
        return {
            "total_bytes": volume.f_blocks * volume.f_frsize,
            "free_bytes": volume.f_bavail * volume.f_frsize,
            "free_inodes": volume.f_favail,
        }

    def files(self) -> dict[str, Any]:
        """The largest files, and the size of each top-level folder."""
        sizes: list[tuple[int, str]] = []
        folders: dict[str, list[int]] = {}
        walked = 0
        for root, inner, names in os.walk(self._workspace):
            inner.sort()
            relative = Path(root).relative_to(self._workspace)
            top = relative.parts[0] if relative.parts else "."
            for name in names:
                walked += 1
                if walked > self._bounds.entries or self._out_of_time("files"):
                    self._note_cut(f"files: {walked - 1} walked, there are more")
                    return self._ranked(sizes, folders)
                try:
                    size = os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118
                except OSError:
                    continue  # removed since it was listed
                sizes.append((size, str(relative / name)))
                entry = folders.setdefault(top, [0, 0])
                entry[0] += size
                entry[1] += 1
        return self._ranked(sizes, folders)

    def _ranked(
        self, sizes: list[tuple[int, str]], folders: dict[str, list[int]]
    ) -> dict[str, Any]:
        largest = sorted(sizes, reverse=True)[: self._bounds.lines]
        by_size = sorted(folders.items(), key=lambda item: (-item[1][0], item[0]))
        return {
            "largest": [{"path": path, "bytes": size} for size, path in largest],
            "folders": [
                {"path": name, "bytes": size, "files": count}
                for name, (size, count) in by_size[: self._bounds.lines]
            ],
        }

    def status(self) -> str:
        """The text of the Watcher's ready file; "" if there is none."""
        name = self._target.watcher.ready_file
        try:
            return (self._workspace / name).read_text("utf-8", "replace")[:2000] if name else ""
        except OSError:
            return ""

    # -- processes ----------------------------------------------------------------------------

    def processes(self, roles: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
        """The processes of `roles`, and those whose working directory this is."""
        role_of: dict[int, str] = {}
        for role, pids in roles.items():
            for pid in pids:  # a PID that is listed twice keeps its first role
                role_of.setdefault(pid, role)
        for pid in processes.working_in(self._workspace):
            role_of.setdefault(pid, self._role(processes.command_of(pid)))
        snapshots = []
        for pid, role in sorted(role_of.items()):
            if pid == os.getpid() or self._out_of_time("processes"):
                continue
            snapshot = processes.snapshot_of(pid, role, deep=self._bounds.deep)
            if snapshot is not None:
                if role == "watcher":
                    snapshot["stacks"] = stacks_of(pid)
                snapshots.append(snapshot)
        return snapshots

    def _role(self, command: str) -> str:
        """`watcher` or `injector`, by the command that starts it, or `other`."""
        services = {"watcher": self._target.watcher, "injector": self._target.injector}
        for role, spec in services.items():
            program = [w for w in spec.start if not w.startswith("{")] if spec else []
            if program and all(word in command.split() for word in program):
                return role
        return "other"

    def listening(self) -> dict[str, bool]:
        """For each address of the LLM: True if a process listens on its port."""
        llm = self._target.llm
        listens = {}
        for name, address in (("endpoint", llm.endpoint), ("upstream", llm.upstream)):
            port = address.rpartition(":")[2]
            if port.isdigit():
                listens[name] = processes.listening(int(port))
        return listens
