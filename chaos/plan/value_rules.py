"""What single values of a target must be like, wherever they stand.

A function returns what is wrong with a value and what to do about it, None where it is good. Pure.
"""

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from chaos.base.units import LENGTH_MAX_S
from chaos.base.yamlfile import Key

Keys = tuple[Key, ...]
Complaint = tuple[str, str]  # what is wrong, what to do about it


def command(words: list[str]) -> Complaint | None:
    """A program and its arguments."""
    if words and words[0].strip():
        return None
    return "there is no command", "write the program and its arguments"


def source(text: str) -> Complaint | None:
    """A path to install from."""
    if text and "\0" not in text:
        return None
    return f"{text!r} is not a path", "write a path relative to this file, or an absolute one"


def inside(path: str) -> Complaint | None:
    """A path in the workspace."""
    pure = PurePosixPath(path)
    if path and "\0" not in path and not pure.is_absolute() and ".." not in pure.parts:
        return None
    return f"{path!r} is not a path in the workspace", "write one relative to the workspace"


def inside_if_given(path: Any) -> Complaint | None:
    """A path in the workspace, or none."""
    return inside(path) if path and isinstance(path, str) else None


def flag(text: str) -> Complaint | None:
    """A path in the workspace, or an absolute one."""
    pure = PurePosixPath(text)
    if text and "\0" not in text and ".." not in pure.parts:
        return None
    return f"{text!r} cannot be a flag", "a path in the workspace, or an absolute one"


def stars(text: str) -> Complaint | None:
    """A glob pattern in which `**` stands alone between slashes."""
    if not isinstance(text, str) or not any(
        "**" in part and part != "**" for part in PurePosixPath(text).parts
    ):
        return None
    return f"{text!r}: ** stands alone between slashes", "write e.g. **/*.log"


def limit(value: str | float) -> Complaint | None:
    """Seconds, or the name of a setting; empty for none."""
    text = str(value)
    try:
        good = not text or (text[0] + text[-1] == "{}" and text[1:-1].isidentifier())
        good = good or 0 < float(text) <= LENGTH_MAX_S
    except ValueError:
        good = False
    if good:
        return None
    step = 'write e.g. 5, or the name of a setting of the profile: "{llm_timeout_s}"'
    return f"{text!r} is not a number of seconds", step


def positive(number: int | None) -> Complaint | None:
    """A number of values, where there is one."""
    if number is None or number >= 1:
        return None
    return f"{number} is not a number of values", "write a whole number of at least 1"


def is_url(text: str) -> bool:
    """True for an http URL with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme == "http" and bool(parts.hostname) and (parts.port or 80) > 0
    except ValueError:
        return False
