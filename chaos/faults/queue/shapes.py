"""The shapes of bad files: how each is made, and how its defect is measured."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.base.files import json_object
from chaos.faults.queue import requests
from chaos.faults.queue.base import Planted, whole
from chaos.faults.queue.folder import QueueFolder, content_of
from chaos.record.request_file import defect
from chaos.record.work import Work

_NUL_TAIL_BYTES = 64
_UNKNOWN_TYPE = "no_such_type"

Maker = Callable[[Work, str, dict[str, Any]], Planted]  # (queue, file name, good body)


def _corrupt(spoil: Callable[[dict[str, Any]], bytes]) -> Maker:
    """A shape with a defect in its bytes, which `spoil` makes of a good request."""

    def make(queue: Work, name: str, body: dict[str, Any]) -> Planted:
        def wrong(path: Path) -> str:
            content = content_of(path)
            return "" if content is None else defect(content, queue.type_field)

        return whole(name, "quarantined", spoil(body), wrong)

    return make


def _special(put: Callable[[QueueFolder, str, bytes], None]) -> Maker:
    """A shape that cannot be read."""

    def make(queue: Work, name: str, body: dict[str, Any]) -> Planted:
        content = requests.encoded(body)
        return Planted(name, "quarantined", lambda folder: put(folder, name, content), unreadable)

    return make


def _invalid_utf8(body: dict[str, Any]) -> bytes:
    """Bytes that are not UTF-8 (but Latin-1) in a text."""
    return requests.encoded({**body, "note": "@"}).replace(b'"@"', b'"\xe9t\xe9"')


def _first_half(body: dict[str, Any]) -> bytes:
    content = requests.encoded(body)
    return content[: len(content) // 2]


torn = _corrupt(_first_half)
wrong_shape = _corrupt(lambda body: requests.encoded([body]))  # an array instead of an object
mode_0 = _special(QueueFolder.put_forbidden)  # a good request that only root can read


def unknown_type(queue: Work, name: str, body: dict[str, Any]) -> Planted:
    """A request of a type that does not exist."""
    content = requests.encoded({**body, queue.type_field: _UNKNOWN_TYPE})
    known = {*queue.types_selfplay, *queue.types_learning}

    def wrong(path: Path) -> str:
        type_name = json_object(content_of(path)).get(queue.type_field)
        unknown = type_name and type_name not in known
        return f"unknown {queue.type_field} {type_name!r}" if unknown else ""

    return whole(name, "quarantined", content, wrong)


def wrong_fields(queue: Work, name: str, body: dict[str, Any]) -> Planted:
    """A request with a list in every field but the type."""
    bad = {key: value if key == queue.type_field else [[value]] for key, value in body.items()}

    def wrong(path: Path) -> str:
        entry = json_object(content_of(path))
        lists = [key for key, good in body.items() if isinstance(entry.get(key), list) and good]
        return f"a list for {', '.join(lists)}" if lists else ""

    return whole(name, "quarantined", requests.encoded(bad), wrong)


CORRUPT: dict[str, Maker] = {
    "zero_length": _corrupt(lambda body: b""),  # as a crash between creating and writing leaves it
    "nul_tail": _corrupt(lambda body: requests.encoded(body) + b"\0" * _NUL_TAIL_BYTES),
    "invalid_utf8": _corrupt(_invalid_utf8),
    "wrong_shape": wrong_shape,
    "torn": torn,
    "unknown_type": unknown_type,
    "wrong_fields": wrong_fields,
    "directory": _special(QueueFolder.put_directory),
    "dangling_link": _special(QueueFolder.put_dangling_link),
    "fifo": _special(QueueFolder.put_fifo),
}


def unreadable(path: Path) -> str:
    """Why the file cannot be read; "" if it can, or if it is missing."""
    if not os.path.lexists(path):
        return ""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"cannot be opened: {errno.errorcode.get(error.errno or 0, '?')}"
    try:
        if os.read(handle, 1):
            return ""
    except OSError as error:
        return f"cannot be read: {errno.errorcode.get(error.errno or 0, '?')}"
    finally:
        os.close(handle)
    return "a pipe without a byte in it" if path.is_fifo() else ""
