"""A folder whose one JSON file keeps the state of something long: a gate, a sweep, a comparison.

::

    runs/gate/20260203-101500-s7-1a2b/
      gate.json    the state; replaced atomically, so that the work can go on after any crash
      gate.lock    locked by the process that works on it

The noun names folder, file, lock, and the command that goes on (`chaos gate --resume`). Must not
know what a state means, except for the version of chaos that began it.
"""

import fcntl
import os
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.version import __version__
from chaos.record.history import UNREADABLE
from chaos.record.rundir import bounded, is_file, not_created, write_atomic


class _State(Protocol):
    chaos: str  # the version that began it


T = TypeVar("T", bound=_State)


@dataclass(frozen=True)
class StateFolder(Generic[T]):
    """Begins, finds, reads, writes and locks the folders of one noun."""

    noun: str
    kind: type[T]  # of the state, a msgspec struct
    called: str = ""  # in messages, if that is not the noun: a comparison

    @property
    def _called(self) -> str:
        return self.called or self.noun

    def file(self, folder: Path) -> Path:
        """The file of the state in its folder."""
        return folder / f"{self.noun}.json"

    def begin(self, root: Path, seed: int) -> tuple[Path, str]:
        """Make a new folder below `root`. Returns it, and the moment (UTC) of its name.

        Raises `ChaosError` if it cannot be created.
        """
        now = time.gmtime()
        name = f"{time.strftime('%Y%m%d-%H%M%S', now)}-s{seed}-{secrets.token_hex(2)}"
        folder = root.resolve() / self.noun / name
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise not_created(f"folder of the {self._called}", folder, error) from error
        return folder, time.strftime("%Y-%m-%dT%H:%M:%SZ", now)

    def find(self, reference: str, root: Path, *, place: str = "--resume") -> Path:
        """The folder with this path or name, or the newest one for `latest`.

        Raises `UsageError` at `place` if there is none.
        """
        parent = root / self.noun
        candidates = [Path(reference), parent / reference]
        if reference == "latest":
            candidates = sorted(parent.glob("*/"), reverse=True)
        for path in candidates:
            if is_file(self.file(path)):
                return path.resolve()
        raise UsageError(
            f"no {self._called} at {bounded(reference)!r}",
            place=place,
            next_step=f"name the folder of a {self._called}, one under {parent}, or latest",
        )

    def write(self, folder: Path, state: T) -> None:
        """Replace the state atomically. Raises `EnvironmentProblem` if that fails."""
        text = msgspec.json.format(msgspec.json.encode(state), indent=2).decode() + "\n"
        try:
            write_atomic(self.file(folder), text)
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot write the state of the {self._called}: {error.strerror}",
                place=str(self.file(folder)),
                next_step=f"free some space, then: chaos {self.noun} --resume "
                f"{shlex.quote(str(folder))}",
            ) from error

    def read(self, folder: Path) -> T:
        """The stored state. Raises `UsageError` if it is damaged or of another version."""
        place = str(self.file(folder))
        try:
            state = msgspec.json.decode(self.file(folder).read_bytes(), type=self.kind)
        except (OSError, *UNREADABLE) as error:
            raise UsageError(
                f"not the state of a {self._called}: {error}",
                place=place,
                next_step=f"start the {self._called} anew",
            ) from error
        if state.chaos != __version__:
            raise UsageError(
                f"was begun by chaos {state.chaos}, this is {__version__}",
                place=place,
                next_step=f"one {self._called} judges with one version: start anew",
            )
        return state

    @contextmanager
    def locked(self, folder: Path) -> Iterator[None]:
        """Lock the folder for this process; the kernel releases the lock of a killed process.

        Raises `UsageError` if another process has the lock.
        """
        lock = folder / f"{self.noun}.lock"
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"somebody works on this {self._called} already",
                    place=str(folder),
                    next_step="wait for its end, or interrupt it there",
                ) from error
            yield
        finally:
            os.close(fd)
