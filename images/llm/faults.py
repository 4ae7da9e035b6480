"""The faults that the supervisor injects into its servers, for resilience tests.

Knows no process.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_LOAD_DELAY_S_MAX = 600.0


@dataclass(frozen=True)
class Faults:
    """The faults of the servers that are started from now on. The defaults mean no fault."""

    load_delay_s: float = 0.0  # the server answers "Loading model" for so long
    ignore_stop: bool = False  # the server ignores SIGTERM
    deny_start: bool = False  # no server can be started

    @classmethod
    def parse(cls, raw: Any) -> Faults:
        """From decoded JSON. Raises `ValueError` that says what is needed."""
        if not isinstance(raw, dict) or not set(raw) <= set(asdict(cls())):
            raise ValueError(f"an object is needed, with some of {', '.join(asdict(cls()))}")
        delay_s = raw.get("load_delay_s", 0.0)
        number = isinstance(delay_s, (int, float)) and not isinstance(delay_s, bool)
        if not number or not 0 <= delay_s <= _LOAD_DELAY_S_MAX:
            raise ValueError(f"load_delay_s: seconds from 0 to {_LOAD_DELAY_S_MAX:g} are needed")
        for key in ("ignore_stop", "deny_start"):
            if not isinstance(raw.get(key, False), bool):
                raise ValueError(f"{key}: true or false is needed")
        return cls(float(delay_s), raw.get("ignore_stop", False), raw.get("deny_start", False))

    def launcher(self) -> list[str]:
        """What starts the server's interpreter: a stop may come before it runs our first line."""
        return ["env", "--ignore-signal=TERM"] if self.ignore_stop else []

    def arguments(self) -> list[str]:
        """The options of llm_server.py for these faults."""
        delay = ["--load-delay-s", str(self.load_delay_s)] if self.load_delay_s else []
        return delay + (["--ignore-stop"] if self.ignore_stop else [])
