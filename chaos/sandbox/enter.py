"""Inside fresh namespaces: make them a place to live in. Loopback up, own /tmp, private mounts.

Called once, early, by the run itself. Everything here is undone by the kernel when the sandbox
ends. It must not be called outside namespaces (`inside()` tells).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from chaos.base.errors import EnvironmentProblem
from chaos.base.shipped import REPO
from chaos.sandbox.guardian import MODE_VARIABLE

_TMP = Path("/tmp")
_SHM = Path("/dev/shm")
_TMP_MB = 256

_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def inside() -> bool:
    """Whether this process lives in namespaces that the guardian made for it."""
    return os.environ.get(MODE_VARIABLE) == "namespaces"


def enter(keep: Iterable[Path], *, tmp_mb: int = _TMP_MB) -> None:
    """Prepare the namespaces this process is in.

    /tmp and /dev/shm become private, empty and limited to `tmp_mb` MB each; of the old /tmp only
    what lies in `keep` (the run directory, caches...) and what this interpreter needs stays
    visible, at its old path. Raises `EnvironmentProblem`.
    """
    if not inside():
        raise EnvironmentProblem("not in a sandbox", next_step="start the run with `chaos run`")
    mount("", Path("/"), "", _MS_REC | _MS_PRIVATE)
    _loopback_up()
    _private_tmp(_paths_to_keep(keep), tmp_mb)
    if _SHM.is_dir():
        mount_tmpfs(_SHM, tmp_mb, mode="1777")


def mount_tmpfs(target: Path, size_mb: int, *, mode: str = "0755") -> None:
    """A file system of its own, limited to `size_mb` MB, on the existing folder `target`."""
    mount("tmpfs", target, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size_mb}m,mode={mode}")


def unmount(target: Path) -> None:
    """Detach what is mounted on `target`, also while files in it are open."""
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"umount: {os.strerror(code)}", str(target))


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """mount(2) with what an empty text leaves out. Raises `EnvironmentProblem`."""
    done = _libc.mount(
        source.encode() or None,
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    if done != 0:
        reason = os.strerror(ctypes.get_errno())
        raise EnvironmentProblem(
            f"cannot mount {kind or 'a bind mount'} on {target}: {reason}",
            next_step="use --sandbox none (weaker), or run as root",
        )


def _loopback_up() -> None:
    """Bring up `lo` (the kernel gives it 127.0.0.1); needs no external tool."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", answer)[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _paths_to_keep(keep: Iterable[Path]) -> list[Path]:
    """The paths below /tmp that must stay, without those inside others; nearest the root first."""
    interpreter = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path, str(Path.cwd())]
    wanted = [*keep, *(Path(path) for path in interpreter if path)]
    wanted.append(REPO)
    # A path may be written through links: keep what it is written as and what it leads to.
    absolute = {Path(os.path.abspath(path)) for path in wanted}  # noqa: PTH100
    below = {
        path
        for path in absolute | {path.resolve() for path in absolute}
        if path != _TMP and path.is_relative_to(_TMP) and path.exists()
    }
    return [path for path in sorted(below) if not any(parent in below for parent in path.parents)]


def _private_tmp(keep: list[Path], size_mb: int) -> None:
    """Cover /tmp by an empty tmpfs, then bind what is to be kept into it.

    What was opened before the cover stays reachable through /proc/self/fd.
    """
    here = Path.cwd()
    held = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in keep]
    mount_tmpfs(_TMP, size_mb, mode="1777")
    for path, descriptor in held:
        if path.exists():  # a link into it was followed already
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        source = Path(f"/proc/self/fd/{descriptor}")
        if source.is_dir():
            path.mkdir()
        else:
            path.touch()
        mount(str(source), path, "", _MS_BIND | _MS_REC)
    for _, descriptor in held:
        os.close(descriptor)
    os.chdir(here if here.exists() else "/")  # the old one would still be the covered folder
