"""Set up new namespaces from inside: private mounts, loopback, a private /tmp and /dev/shm.

The run calls this once, at its start. The kernel undoes everything when the sandbox ends. It must
not be called outside namespaces (see `inside`).
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from chaos.base.errors import EnvironmentProblem
from chaos.base.shipped import IMPORT_ROOT
from chaos.sandbox.guardian import MODE_VARIABLE

_TMP = Path("/tmp")
_SHM = Path("/dev/shm")
_TMP_MB = 256

_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def inside() -> bool:
    """True if this process is in namespaces that the guardian made for it."""
    return os.environ.get(MODE_VARIABLE) == "namespaces"


def enter(keep: Iterable[Path], *, tmp_mb: int = _TMP_MB) -> None:
    """Set up the namespaces of this process. Raises `EnvironmentProblem`.

    /tmp and /dev/shm become private, empty, and limited to `tmp_mb` MB each. Of the old /tmp only
    the paths in `keep` (run directory, caches...) and those that this interpreter needs stay
    visible, at their old place.
    """
    if not inside():
        raise EnvironmentProblem("not in a sandbox", next_step="start the run with `chaos run`")
    mount("", Path("/"), "", _MS_REC | _MS_PRIVATE)
    _loopback_up()
    _private_tmp(_paths_to_keep(keep), tmp_mb)
    if _SHM.is_dir():
        mount_tmpfs(_SHM, tmp_mb, mode="1777")


def hidden_by_sandbox(paths: Iterable[str]) -> str:
    """What to do about those of `paths` that the sandbox hides; "" if it hides none of them."""
    own = [str(_TMP), str(_SHM)]
    hidden = [
        path
        for path in paths
        if inside() and not Path(path).exists() and path.startswith(tuple(f"{o}/" for o in own))
    ]
    if not hidden:
        return ""
    return f"the sandbox has a {' and a '.join(own)} of its own, which hide {', '.join(hidden)}"


def mount_tmpfs(target: Path, size_mb: int, *, mode: str = "0755") -> None:
    """Mount a tmpfs of at most `size_mb` MB on the existing folder `target`."""
    mount("tmpfs", target, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size_mb}m,mode={mode}")


def unmount(target: Path) -> None:
    """Detach the mount on `target`, even if files in it are open. Raises `OSError`."""
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"umount: {os.strerror(code)}", str(target))


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """Call mount(2). Empty strings become NULL. Raises `EnvironmentProblem`."""
    result = _libc.mount(
        source.encode() or None,
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    if result != 0:
        reason = os.strerror(ctypes.get_errno())
        raise EnvironmentProblem(
            f"cannot mount {kind or 'a bind mount'} on {target}: {reason}",
            next_step="use --sandbox none (weaker), or run as root",
        )


def _loopback_up() -> None:
    """Bring up `lo`, which the kernel gives 127.0.0.1, without an external tool."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", answer)[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _paths_to_keep(keep: Iterable[Path]) -> list[Path]:
    """The paths below /tmp that must stay visible, sorted, without those inside others."""
    interpreter = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path, str(Path.cwd())]
    paths = [*keep, *(Path(path) for path in interpreter if path)]
    paths.append(IMPORT_ROOT)
    # A path may contain symlinks: keep the path as written and the path that it resolves to.
    absolute = {Path(os.path.abspath(path)) for path in paths}  # noqa: PTH100
    below = {
        path
        for path in absolute | {path.resolve() for path in absolute}
        if path != _TMP and path.is_relative_to(_TMP) and path.exists()
    }
    return [path for path in sorted(below) if not any(parent in below for parent in path.parents)]


def _private_tmp(keep: list[Path], size_mb: int) -> None:
    """Mount an empty tmpfs over /tmp, then bind-mount the paths of `keep` into it.

    The descriptors opened before the mount reach the old files through /proc/self/fd.
    """
    working_directory = Path.cwd()
    descriptors = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in keep]
    mount_tmpfs(_TMP, size_mb, mode="1777")
    for path, descriptor in descriptors:
        if path.exists():  # the same file is mounted already, under its resolved path
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        source = Path(f"/proc/self/fd/{descriptor}")
        if source.is_dir():
            path.mkdir()
        else:
            path.touch()
        mount(str(source), path, "", _MS_BIND | _MS_REC)
    for _, descriptor in descriptors:
        os.close(descriptor)
    # Enter the folder again: the current one is still the folder below the new mount.
    os.chdir(working_directory if working_directory.exists() else "/")
