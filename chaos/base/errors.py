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


class UnknownName(UsageError):
    """A name that does not exist: a mistake of the user's, whatever else is left out."""


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


_NEAR_MAX = 3
_LISTED_MAX = 8  # a list that is no longer is printed whole
# Where all names of a kind can be read.
_LISTS = {
    "fault": "chaos faults",
    "fault or group": "chaos faults",
    "soak": "chaos soaks",
    "target": "chaos soaks",
    "profile": "chaos soaks",
    "command": "chaos --help",
}


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, place: str = "", listed_by: str = ""
) -> UnknownName:
    """A usage error for a name that does not exist: the nearest valid ones, and where all are.

    A short list is printed; of a long one only the command that prints it, `listed_by`.
    """
    names = sorted(known)
    by_small = {text.lower(): text for text in names}
    near = [
        by_small[text]
        for text in difflib.get_close_matches(name.lower(), by_small, n=_NEAR_MAX, cutoff=0.6)
    ]
    steps = [f"did you mean {near[0]!r}?"] if near else []
    listed_by = listed_by or _LISTS.get(kind, "")
    if len(names) <= _LISTED_MAX or not (near or listed_by):
        steps.append(f"known: {', '.join(names) or 'none'}")
    else:
        steps += [f"also near: {', '.join(near[1:])};"] if near[1:] else []
        steps += [f"all {len(names)}: {listed_by}"] if listed_by else []
    return UnknownName(f"unknown {kind} {name!r}", place=place, next_step=" ".join(steps))
