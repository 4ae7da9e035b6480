"""The user's cache folder of assets: one writer at a time, and only complete files.

Must not know which assets there are.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.record.rundir import write_atomic

_WORK_PREFIX = "work-"
_CHUNK_BYTES = 1 << 20
LOCK_WAIT_S = 1800.0  # longer than the time limit of any provisioning


def cache_dir() -> Path:
    """The cache: $CHAOS_CACHE, else $XDG_CACHE_HOME/chaos-gate, else ~/.cache/chaos-gate.

    Raises `EnvironmentProblem` if the user has no home folder.
    """
    if own := os.environ.get("CHAOS_CACHE"):
        return Path(own).absolute()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "chaos-gate"
    try:
        return Path.home() / ".cache" / "chaos-gate"
    except RuntimeError as error:
        raise EnvironmentProblem(
            "this user has no home folder to keep assets in",
            next_step="set CHAOS_CACHE=DIR to a folder that can be written",
        ) from error


@contextlib.contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn an `OSError` on the cache (full, read-only...) into an `EnvironmentProblem`.

    `action` completes the message "cannot ...".
    """
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot {action}: {error.strerror or error}",
            place=str(error.filename or cache_dir()),
            next_step="free some space there, or set CHAOS_CACHE=DIR to another folder",
        ) from error


@contextlib.contextmanager
def exclusive(waiting: Callable[[], None], *, wait_s: float = LOCK_WAIT_S) -> Iterator[Path]:
    """Lock the cache for provisioning, and yield an empty folder for the work.

    `waiting` is called once if another process has the lock. Raises `EnvironmentProblem` if the
    lock stays taken for `wait_s` seconds. The kernel releases the lock of a killed process.
    Therefore work folders that exist when the lock is taken have no owner, and are removed.
    """
    root = cache_dir()
    with translated("write the cache"):
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, root, waiting, wait_s)
        for leftover in root.glob(f"{_WORK_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with translated("write the cache"):
            work = Path(tempfile.mkdtemp(prefix=_WORK_PREFIX, dir=root))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)  # the next call removes the rest
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, root: Path, waiting: Callable[[], None], wait_s: float) -> None:
    deadline_s = time.monotonic() + wait_s
    reported = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if not reported:
                reported = True
                waiting()
            if time.monotonic() > deadline_s:
                raise EnvironmentProblem(
                    f"another set-up has held the cache for {wait_s:.0f} s",
                    place=str(root),
                    next_step="end it, or set CHAOS_CACHE=DIR to another folder",
                ) from error
            time.sleep(0.1)  # flock has no timeout, so poll until the deadline


def install(part: Path, final: Path, *, mode: int = 0o644) -> None:
    """Move the complete file `part` to `final` on the same file system, atomically and synced."""
    with translated("write the cache"):
        final.parent.mkdir(parents=True, exist_ok=True)
        part.chmod(mode)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(final)


def sha256_of(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a file (hex). `progress` gets the bytes read so far."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            if progress is not None:
                progress(stream.tell())
    return digest.hexdigest()


def known_sha256(path: Path) -> str | None:
    """Return the stored SHA-256 of `path` if the file is unchanged since, else None.

    Size, mtime, ctime and inode are compared.
    """
    with contextlib.suppress(OSError, ValueError):  # nothing stored, or the stamp is damaged
        stored = json.loads(_stamp(path).read_text(encoding="utf-8"))
        if isinstance(stored, dict):
            sha256 = stored.pop("sha256", None)
            if stored == _identity(path) and isinstance(sha256, str):
                return sha256
    return None


def compute_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of `path`, which is read in full. Store it if the cache is writable."""
    identity = _identity(path)
    sha256 = sha256_of(path, progress)
    with contextlib.suppress(OSError):  # without a stamp, the next run takes 0.1 s more
        stamp = _stamp(path)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(stamp, json.dumps({**identity, "sha256": sha256}))
    return sha256


def _stamp(path: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return cache_dir() / "stamps" / f"{name}.json"


def _identity(path: Path) -> dict[str, Any]:
    """The properties of a file that change with its content."""
    stat = path.stat()
    return {
        "path": str(path.resolve()),
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }
