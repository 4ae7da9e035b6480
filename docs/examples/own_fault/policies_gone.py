"""A fault of your own: the Watcher's policies file vanishes for a while.

Everything a kind needs is here. It is registered by the entry point in the pyproject.toml beside
it, and then `chaos run soak_c --fault policies_gone:hold=10s` breaks the Watcher with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from chaos.plugin import (
    WORK_RESUMES,
    Deadline,
    Fault,
    FaultParams,
    Measured,
    Stack,
    probe,
    text,
)

_PAUSE_S = 0.1


class PoliciesGone(Fault):
    """Renamed away, and back. Everything in it dies with the run's own workspace (`scope`)."""

    name = "policies_gone"
    summary = "the Watcher's policies file vanishes for a while"
    reconnection_path = WORK_RESUMES
    evidence: ClassVar[dict[str, str]] = {
        "bytes": "size of the policies file, where it could still be read",
        "open": "the error that opening the policies file gets",
        "file": "whether the policies file is there or missing",
    }

    class Params(FaultParams):
        """Beside `hold`, `count` and `period`, which every kind has."""

        suffix: Annotated[str, text("of the name that the file has meanwhile")] = ".gone"

    params: Params

    def available(self, stack: Stack) -> str | None:
        """Only where there is such a file."""
        path = self._path(stack)
        return None if path.is_file() else f"there is no {path.name}"

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """On disk before `inject`; the moment to measure what is normal."""
        return {"path": str(self._path(stack)), "bytes": self._path(stack).stat().st_size}

    def inject(self, stack: Stack) -> None:
        """Break, and do nothing else: the negative control is this fault without this method."""
        self._path(stack).rename(self._aside(stack))

    def effect(self, stack: Stack, deadline: Deadline) -> Measured:
        """Measured on the stack, not concluded from what `inject` did: nobody can open it."""
        try:
            with self._path(stack).open("rb") as stream:
                return Measured(False, {"bytes": len(stream.read())})
        except FileNotFoundError as error:
            return Measured(True, {"open": error.strerror})

    def recover(self, stack: Stack) -> None:
        """May be called twice, and after an `inject` that failed half-way."""
        if self._aside(stack).exists():
            self._aside(stack).rename(self._path(stack))

    def recovered(self, stack: Stack, deadline: Deadline) -> Measured:
        """Looked for until it is seen or the deadline is over."""

        def look(measured: dict[str, Any]) -> bool:
            there = self._path(stack).is_file()
            measured["file"] = "there" if there else "missing"
            return there

        return probe(look, deadline, _PAUSE_S)

    def _path(self, stack: Stack) -> Path:
        return stack.workspace / stack.target.policies.path

    def _aside(self, stack: Stack) -> Path:
        return self._path(stack).with_suffix(self.params.suffix)
