"""Reads and validates one request file, which may hold anything.

Knows nothing of queues, dispatch or the LLM.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REQUEST_TYPES = ("selfplay", "learning_loop")
SIZE_LIMIT_BYTES = 256 * 1024
NAME_LIMIT = 200  # leaves room for the suffixes of reason and temporary files
EPISODES_DEFAULT = 2
EPISODES_LIMIT = 100


class Unusable(Exception):
    """The file is not a valid request; the message says why.

    `settled` is True if waiting for a slow writer cannot make it valid.
    """

    def __init__(self, reason: str, *, settled: bool = False) -> None:
        super().__init__(reason)
        self.settled = settled


@dataclass(frozen=True, slots=True)
class Request:
    """A valid request. `sequence` is None if the producer gave no number."""

    name: str  # file name in the queue
    kind: str  # one of REQUEST_TYPES
    source: str
    sequence: int | None
    reason: str
    episodes: int
    policy_conditioned: bool

    @property
    def stem(self) -> str:
        """Name of the staging folder."""
        return self.name.removesuffix(".json")


def usable_name(name: str) -> bool:
    """True if the name can be used as a folder name, as an argument and in a log line."""
    return len(name.encode(errors="replace")) <= NAME_LIMIT and name.isprintable()


def read_request(path: Path) -> Request:
    """Reads and validates a request file.

    Raises FileNotFoundError if the file is gone, Unusable if it is not a valid request, and
    OSError if the machine is exhausted.
    """
    if not usable_name(path.name):
        raise Unusable("file name is too long or not printable", settled=True)
    return parse_request(path.name, _read_bounded(path))


def _read_bounded(path: Path) -> bytes:
    # O_NONBLOCK: opening a named pipe must not hang the queue.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Unusable("not a regular file", settled=True)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link or socket replaced it after lstat
            raise Unusable("not a regular file", settled=True) from error
        if not isinstance(error, PermissionError):
            raise
        raise Unusable(f"unreadable: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):  # it was replaced after lstat
            raise Unusable("not a regular file", settled=True)
        with os.fdopen(handle, "rb", closefd=False) as stream:
            data = stream.read(SIZE_LIMIT_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > SIZE_LIMIT_BYTES:
        raise Unusable(f"larger than {SIZE_LIMIT_BYTES} bytes", settled=True)
    return data


def parse_request(name: str, data: bytes) -> Request:
    """Parses the content of the request file `name`. Raises Unusable."""
    if not data:
        raise Unusable("empty file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unusable(f"not UTF-8 at byte {error.start}") from error
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unusable(f"expected a JSON object, found {type(value).__name__}", settled=True)
    return _from_object(name, value)


def _from_object(name: str, value: dict[str, Any]) -> Request:
    kind = value.get("request_type")
    if kind not in REQUEST_TYPES:
        raise Unusable(f"unknown request_type {kind!r:.80}", settled=True)
    parameters = value.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise Unusable("parameters: expected an object", settled=True)
    conditioned = parameters.get("policy_conditioned", False)
    if not isinstance(conditioned, bool):
        raise Unusable("parameters.policy_conditioned: expected true or false", settled=True)
    return Request(
        name=name,
        kind=str(kind),
        source=_text(value, "source", "unknown"),
        sequence=_sequence(value.get("sequence_number")),
        reason=_text(value, "reason", ""),
        episodes=_episodes(parameters.get("episodes", EPISODES_DEFAULT)),
        policy_conditioned=conditioned,
    )


def _text(value: dict[str, Any], key: str, default: str) -> str:
    text = value.get(key, default)
    if not isinstance(text, str):
        raise Unusable(f"{key}: expected text", settled=True)
    return text[:500]


def _sequence(raw: Any) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, str) and raw.isdecimal() and len(raw) < 16:
        return int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 2**53:
        return raw
    raise Unusable("sequence_number: expected a whole number from 0", settled=True)


def _episodes(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= EPISODES_LIMIT:
        raise Unusable(
            f"parameters.episodes: expected a whole number from 1 to {EPISODES_LIMIT}",
            settled=True,
        )
    return raw
