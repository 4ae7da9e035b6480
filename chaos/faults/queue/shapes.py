"""The shapes of bad files: how each is made, and how what is wrong with it is measured."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.faults.queue import requests
from chaos.faults.queue.base import Planted, whole
from chaos.faults.queue.folder import QueueFolder, content_of
from chaos.record.request_file import defect
from chaos.record.target import Queue

_NUL_TAIL_BYTES = 64
_UNKNOWN_TYPE = "no_such_type"

Maker = Callable[[Queue, str, dict[str, Any]], Planted]  # (queue, file name, good body)


def zero_length(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """No byte at all, as a crash between creating and writing leaves it."""
    return _bad(queue, name, b"")


def nul_tail(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """A good request and NUL bytes behind it, as a crash of the machine leaves it."""
    return _bad(queue, name, requests.encoded(body) + b"\0" * _NUL_TAIL_BYTES)


def invalid_utf8(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """A byte in a text that UTF-8 does not know (Latin-1, say)."""
    content = requests.encoded({**body, "note": "@"}).replace(b'"@"', b'"\xe9t\xe9"')
    return _bad(queue, name, content)


def wrong_shape(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """JSON, and an array where an object is due."""
    return _bad(queue, name, requests.encoded([body]))


def torn(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """The first half of a request, and no more to come."""
    content = requests.encoded(body)
    return _bad(queue, name, content[: len(content) // 2])


def unknown_type(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """A type of request that nobody has heard of."""
    content = requests.encoded({**body, queue.type_field: _UNKNOWN_TYPE})
    known = {*queue.types_selfplay, *queue.types_learning}

    def wrong(path: Path) -> str:
        told = _entry(path).get(queue.type_field)
        return f"unknown {queue.type_field} {told!r}" if told and told not in known else ""

    return whole(name, "quarantined", content, wrong)


def wrong_fields(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """The right type, and every other field of a JSON type that it never has."""
    bad = {key: value if key == queue.type_field else [[value]] for key, value in body.items()}

    def wrong(path: Path) -> str:
        entry = _entry(path)
        lists = [key for key, good in body.items() if isinstance(entry.get(key), list) and good]
        return f"a list for {', '.join(lists)}" if lists else ""

    return whole(name, "quarantined", requests.encoded(bad), wrong)


def directory(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """A folder where a file is due."""

    def put(folder: QueueFolder) -> None:
        folder.put_directory(name, requests.encoded(body))

    return Planted(name, "quarantined", put, unreadable)


def dangling_link(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """A symbolic link to nothing."""
    return Planted(name, "quarantined", lambda folder: folder.put_dangling_link(name), unreadable)


def fifo(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """A named pipe: who opens it carelessly waits for ever."""
    return Planted(name, "quarantined", lambda folder: folder.put_fifo(name), unreadable)


def mode_0(queue: Queue, name: str, body: dict[str, Any]) -> Planted:
    """A good request that its mode lets nobody read but root."""

    def put(folder: QueueFolder) -> None:
        folder.put_forbidden(name, requests.encoded(body))

    return Planted(name, "quarantined", put, unreadable)


CORRUPT: dict[str, Maker] = {
    "zero_length": zero_length,
    "nul_tail": nul_tail,
    "invalid_utf8": invalid_utf8,
    "wrong_shape": wrong_shape,
    "torn": torn,
    "unknown_type": unknown_type,
    "wrong_fields": wrong_fields,
    "directory": directory,
    "dangling_link": dangling_link,
    "fifo": fifo,
}


def unreadable(path: Path) -> str:
    """Why no byte can be read, tried with the rights that we (and the Watcher) have; "" if one
    can, or if the file has gone.
    """
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


def _bad(queue: Queue, name: str, content: bytes) -> Planted:
    def wrong(path: Path) -> str:
        found = content_of(path)
        return "" if found is None else defect(found, queue.type_field)

    return whole(name, "quarantined", content, wrong)


def _entry(path: Path) -> dict[str, Any]:
    content = content_of(path)
    try:
        entry = json.loads(content or b"")
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
