"""The result of one examination (`Item`), its subject, and the texts that they share.

Examines nothing itself.
"""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaos.record.target import Target
from chaos.stack.base import Endpoint

State = Literal["ok", "info", "warn", "problem"]

_TEXT_MAX = 400


@dataclass(frozen=True)
class Item:
    """The result of one examination, ready for JSON.

    `seen` says what the state is based on. `next_step` is "" if the state is in order. `fixable`:
    `chaos doctor --fix` can repair it.
    """

    name: str
    title: str
    state: State
    seen: str
    next_step: str = ""
    fixable: bool = False


@dataclass(frozen=True)
class Subject:
    """The subject of an examination: a Watcher's workspace, its profile, and its LLM server."""

    target: Target
    workspace: Path
    llm: Endpoint

    def path(self, relative: str) -> Path:
        """The path of a file in the workspace; an absolute path stays unchanged."""
        return self.workspace / relative


def short(text: str) -> str:
    """Make foreign text printable: one line, at most `_TEXT_MAX` characters."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= _TEXT_MAX else clean[:_TEXT_MAX] + "..."


def reason_of(error: OSError) -> str:
    """The reason of an `OSError`, without its path."""
    return (error.strerror or type(error).__name__).lower()


def age_text(seconds: float) -> str:
    """An age for people: '3 h old'."""
    if seconds < 0:
        return "in the future"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} old"
    return f"{seconds:.0f} s old"


def size_text(count: int) -> str:
    """A number of bytes for people: '1.5 GB'."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def command_text(words: list[str], python: str) -> str:
    """A command of the profile as shell text, with `python` for the interpreter."""
    return shlex.join([python if word == "{python}" else word for word in words])


def removal_text(path: Path) -> str:
    """The shell command that removes `path`, from any folder. Removes a link, not its target."""
    return shlex.join(["rm", "--", str(path.parent.resolve() / path.name)])


def readable_folder(path: Path) -> bool:
    """True if `path` is a folder that can be listed."""
    return path.is_dir() and os.access(path, os.R_OK | os.X_OK)
