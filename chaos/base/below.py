"""Files below a folder, opened without following a link: what lies there may come from anywhere.

A path is relative, its parts separated by `/`. No part of it leads out of the folder, and devices
and pipes are refused, so that no reader blocks. Knows no format.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_below(folder: Path, relative: str) -> BinaryIO:
    """Open a regular file below `folder` for reading. Raises `OSError`, also for a link."""
    return os.fdopen(_opened(folder, relative), "rb")


def _opened(folder: Path, relative: str) -> int:
    parts = relative.split("/")
    if not all(_is_name(part) for part in parts):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), relative)
    here = os.open(folder, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        file = os.open(parts[-1], _FILE, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", relative)
    return file


def read_below(folder: Path, relative: str, bytes_max: int) -> bytes:
    """The content of such a file. Raises `OSError`, also if there are more than `bytes_max`."""
    # Without a buffer: it costs more than the reading of a small file, and there may be thousands.
    with os.fdopen(_opened(folder, relative), "rb", buffering=0) as stream:
        if os.fstat(stream.fileno()).st_size > bytes_max:
            raise OSError(errno.EFBIG, f"larger than {bytes_max >> 20} MiB", relative)
        return stream.read()


def is_regular(folder: Path, relative: str) -> bool:
    """True if there is such a file."""
    try:
        with open_below(folder, relative):
            return True
    except OSError:
        return False


def _is_name(part: str) -> bool:
    return part not in ("", ".", "..") and "\0" not in part
