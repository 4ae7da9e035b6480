"""Errors a user meets: what is wrong, where, and the next step. Each carries its exit code.

Anything raised as `ChaosError` is printed as one clear message without a traceback; every
other exception is a defect of the harness.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from chaos.base.exitcode import ExitCode


class ChaosError(Exception):
    """A failure with a message meant for a person.

    `message` says what is wrong, `place` where (file:line key), `next_step` what to do now.
    """

    exit_code = ExitCode.INVALID

    def __init__(self, message: str, *, place: str = "", next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.next_step = next_step

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}\n  next: {self.next_step}" if self.next_step else head


class UsageError(ChaosError):
    """The command line or a configuration file is wrong (exit 2)."""

    exit_code = ExitCode.USAGE


class EnvironmentProblem(ChaosError):
    """The machine cannot host the run: no namespaces, no disk, corrupt model... (exit 4)."""

    exit_code = ExitCode.INVALID


@contextmanager
def os_errors_told(what: str, place: object, *, next_step: str = "") -> Iterator[None]:
    """Raise an `OSError` of the block as an `EnvironmentProblem`: "`what`: No space left"."""
    try:
        yield
    except OSError as error:
        text = f"{what}: {error.strerror or error}"
        raise EnvironmentProblem(text, place=str(place), next_step=next_step) from error


def unknown_name(kind: str, name: str, known: Iterable[str], *, place: str = "") -> UsageError:
    """A usage error for a name that does not exist: the nearest valid one, then the list."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(
        f"unknown {kind} {name!r}",
        place=place,
        next_step=f"{hint}known: {', '.join(names) or 'none'}",
    )
