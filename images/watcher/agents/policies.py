"""`watcher_policies.json`: the settings, their defaults and their limits.

The file is read again after each change. An invalid file has no effect: the last valid settings
stay, and the log says why. Knows nothing of what the settings are for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loguru import logger

from agents.files import read_json, write_json

POLICIES_NAME = "watcher_policies.json"


class BadPolicies(ValueError):
    """A setting is invalid; the message names its key."""


@dataclass(frozen=True, slots=True)
class LLMPolicies:
    """The settings of the LLM client. Addresses are (host, port)."""

    endpoint: tuple[str, int] = ("127.0.0.1", 8080)
    control: tuple[str, int] = ("127.0.0.1", 8079)
    timeout_s: float = 60.0
    max_attempts: int = 3
    backoff_s: float = 0.25
    backoff_cap_s: float = 5.0
    start_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Policies:
    """All settings, validated."""

    poll_interval_s: float = 0.2
    llm: LLMPolicies = field(default_factory=LLMPolicies)
    dispatch_timeout_s: float = 600.0
    triggers: Mapping[str, Any] = field(default_factory=dict)
    rotation_bytes: int = 1_000_000
    log_retention: int = 5
    settle_s: float = 1.0


def default_document(triggers: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a new policies file. `triggers` are the trigger defaults."""
    return {
        "test_mode": False,
        "synthetic_injection": {"enabled": False, "interval_seconds": 120, "true_seed": 12345},
        "poll_interval_seconds": 0.2,
        "llm": {
            "endpoint": "127.0.0.1:8080",
            "control": "127.0.0.1:8079",
            "timeout_seconds": 60,
            "max_attempts": 3,
            "backoff_seconds": 0.25,
            "backoff_cap_seconds": 5,
            "start_timeout_seconds": 30,
        },
        "dispatch": {"timeout_seconds": 600},
        "triggers": dict(triggers),
        "log": {"rotation_bytes": 1_000_000, "retention": 5},
        "queue": {"settle_seconds": 1.0},
    }


class _Section:
    """Typed access to one JSON object. Every error names the full key. Raises BadPolicies."""

    def __init__(self, values: Any, name: str) -> None:
        if not isinstance(values, dict):
            raise BadPolicies(f"{name or 'the file'}: expected an object")
        self._values = values
        self._name = name

    def section(self, key: str) -> _Section:
        return _Section(self._values.get(key, {}), key)

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """The number at `key`, in [low, high]. A string that holds a number is accepted."""
        raw = self._values.get(key, default)
        try:
            value = math.nan if isinstance(raw, bool) else float(raw)
        except (TypeError, ValueError):
            value = math.nan
        if not low <= value <= high:
            raise BadPolicies(f"{self._name}.{key}: expected a number from {low} to {high}")
        return value

    def address(self, key: str, default: tuple[str, int]) -> tuple[str, int]:
        """The `host:port` at `key`, as (host, port)."""
        if key not in self._values:
            return default
        host, _, port = str(self._values[key]).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadPolicies(f"{self._name}.{key}: expected host:port")
        return host, int(port)

    def mapping(self, key: str) -> dict[str, Any]:
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise BadPolicies(f"{key}: expected an object")
        return value


def _parse_llm(llm: _Section) -> LLMPolicies:
    base = LLMPolicies()
    return LLMPolicies(
        endpoint=llm.address("endpoint", base.endpoint),
        control=llm.address("control", base.control),
        timeout_s=llm.number("timeout_seconds", base.timeout_s, 0.05, 3600),
        max_attempts=int(llm.number("max_attempts", base.max_attempts, 1, 20)),
        backoff_s=llm.number("backoff_seconds", base.backoff_s, 0, 60),
        backoff_cap_s=llm.number("backoff_cap_seconds", base.backoff_cap_s, 0, 600),
        start_timeout_s=llm.number("start_timeout_seconds", base.start_timeout_s, 0.1, 3600),
    )


def parse(document: Any, triggers: Mapping[str, Any]) -> Policies:
    """Validates a policies document. `triggers` are the trigger defaults. Raises BadPolicies."""
    top = _Section(document, "")
    log, queue = top.section("log"), top.section("queue")
    return Policies(
        poll_interval_s=top.number("poll_interval_seconds", 0.2, 0.01, 3600),
        llm=_parse_llm(top.section("llm")),
        dispatch_timeout_s=top.section("dispatch").number("timeout_seconds", 600, 0.1, 86400),
        triggers={**triggers, **top.mapping("triggers")},
        rotation_bytes=int(log.number("rotation_bytes", 1_000_000, 1000, 1e10)),
        log_retention=int(log.number("retention", 5, 1, 1000)),
        settle_s=queue.number("settle_seconds", 1.0, 0, 600),
    )


class PolicyFile:
    """The file of one workspace. `current` holds the valid settings; `reload` refreshes them."""

    def __init__(self, root: Path, triggers: Mapping[str, Any]) -> None:
        self.path = root / POLICIES_NAME
        self._triggers = triggers
        self._seen: tuple[int, int, int] | None = None
        self.current = parse({}, triggers)

    def create_if_missing(self) -> None:
        """Writes the defaults when there is no file. Raises OSError."""
        if not self.path.exists():
            write_json(self.path, default_document(self._triggers))

    def reload(self) -> None:
        """Reads a changed file. If it is invalid, warns once and keeps the settings."""
        version = self._version()
        if version is None or version == self._seen:
            return
        self._seen = version
        try:
            self.current = parse(read_json(self.path), self._triggers)
        except (OSError, ValueError) as error:
            logger.warning("{}: {}; the last good settings stay", self.path.name, error)

    def _version(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
