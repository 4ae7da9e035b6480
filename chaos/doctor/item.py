"""One line of what the doctor saw, and the context that every look is given. Looks at nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaos.record.target import Target
from chaos.stack.base import Endpoint

State = Literal["ok", "info", "warn", "problem"]

_TEXT_MAX = 400


@dataclass(frozen=True)
class Item:
    """`seen` is what was found; `next_step` is empty for what is in order.

    `fixable`: `chaos doctor --fix` can put it right.
    """

    name: str
    title: str
    state: State
    seen: str
    next_step: str = ""
    fixable: bool = False


@dataclass(frozen=True)
class Patient:
    """What is looked at: a Watcher's working directory, by its profile."""

    target: Target
    workspace: Path
    llm: Endpoint

    def path(self, relative: str) -> Path:
        """A path of the profile; an absolute one stays as it is."""
        return self.workspace / relative


def short(text: str) -> str:
    """A text of others on one line, printable, bounded."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= _TEXT_MAX else clean[:_TEXT_MAX] + "..."


def why(error: OSError) -> str:
    """The reason of an `OSError` without its path."""
    return (error.strerror or type(error).__name__).lower()


def age_text(seconds: float) -> str:
    """How long ago, for people."""
    if seconds < 0:
        return "in the future"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} old"
    return f"{seconds:.0f} s old"


def size_text(count: int) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def command_text(words: list[str], python: str) -> str:
    """A command of the profile as a person would type it."""
    import shlex

    return shlex.join([python if word == "{python}" else word for word in words])


def removal_text(path: Path) -> str:
    """The command that removes `path`, to be pasted anywhere; a link itself, not what it names."""
    import shlex

    return shlex.join(["rm", "--", str(path.parent.resolve() / path.name)])


def readable_folder(path: Path) -> bool:
    """Whether `path` is a folder that can be listed."""
    return path.is_dir() and os.access(path, os.R_OK | os.X_OK)
