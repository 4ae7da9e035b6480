"""Check a target's values beyond their types, so that the start of a run does not fail on them.

Applied when the target's file is read, not to the target of a stored run.
"""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec

from chaos.base.shipped import IMAGES
from chaos.base.typedtree import Problem
from chaos.base.units import LENGTH_MAX_S
from chaos.base.yamlfile import Document, Key
from chaos.record.target import Target

Keys = tuple[Key, ...]
Complaint = tuple[str, str]  # what is wrong, what to do about it

_PORT_MAX = 65_535
_ADDRESSES = ("endpoint", "upstream", "control", "proxy_api", "wire", "wire_control")


def check_target(document: Document, target: Target) -> None:
    """Raises `UsageError` for the first value that cannot be used, with its line."""
    data: dict[str, Any] = msgspec.to_builtins(target)
    for rule, places in _RULES.items():
        for place in places.split():
            for keys, value in _values(data, tuple(place.split("."))):
                complaint = rule(value)
                if complaint is not None:
                    raise Problem(keys, *complaint).error(document.place(*keys))
    for problem in (*_nul_in_command(data), *_env(target), *_endpoints(target)):
        raise problem.error(document.place(*problem.keys))


def _values(data: Any, names: tuple[str, ...], keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """(path, value) of each place that `names` selects; `*` selects every item of a list.

    A missing optional section has no places.
    """
    if not names:
        yield keys, data
    elif names[0] == "*":
        for number, item in enumerate(data):
            yield from _values(item, names[1:], (*keys, number))
    elif data is not None:
        yield from _values(data[names[0]], names[1:], (*keys, names[0]))


def check_sources(document: Document, target: Target, *, here: bool) -> None:
    """Raises `UsageError` for the first missing program to install, with its line.

    `here`: the Watcher's programs are installed on this machine, not in a container.
    """
    for problem in _missing_sources(target, here=here):
        raise problem.error(document.place(*problem.keys))


def _command(words: list[str]) -> Complaint | None:
    if words and words[0].strip():
        return None
    return "there is no command", "write the program and its arguments"


def _nul_in_command(data: dict[str, Any]) -> Iterator[Problem]:
    for place in _RULES[_command].split():
        for keys, word in _values(data, (*place.split("."), "*")):
            if "\0" in word:
                yield Problem(keys, "a NUL in an argument", "leave it out")


def _env(target: Target) -> Iterator[Problem]:
    for name, value in target.env.items():
        if not name or "=" in name or "\0" in name:
            yield Problem(
                ("env", name), f"{name!r} cannot name a variable", "write NAME: value, without ="
            )
        if "\0" in value:
            yield Problem(("env", name), "a NUL in a value", "leave it out")


def _endpoints(target: Target) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for name in _ADDRESSES:
        text = getattr(target.llm, name)
        if not text and name.startswith("wire"):
            continue
        keys = ("llm", name)
        if not _is_endpoint(text):
            yield Problem(keys, f"{text!r} is not host:port", "write e.g. 127.0.0.1:8080")
        elif text in taken:
            yield Problem(
                keys,
                f"{text} is the address of {taken[text]} as well",
                "give each its own: the proxy listens on endpoint, the server on upstream",
            )
        taken[text] = name


def _is_endpoint(text: str) -> bool:
    host, _, port = text.rpartition(":")
    plain = port.isascii() and port.isdigit() and len(port) <= len(str(_PORT_MAX))
    named = bool(host) and not any(letter.isspace() or letter in "/\0" for letter in host)
    return named and plain and 1 <= int(port) <= _PORT_MAX


def _source(text: str) -> Complaint | None:
    if text and "\0" not in text and ".." not in PurePosixPath(text).parts:
        return None
    return (
        f"{text!r} is not a path below images/",
        "write a path below images/, or an absolute one",
    )


def _missing_sources(target: Target, *, here: bool) -> Iterator[Problem]:
    for number, item in enumerate(target.workspace.install):
        if PurePosixPath(item.source).is_absolute() and not here:
            continue  # a path in the image, which cannot be checked here
        if not (IMAGES / item.source).exists():
            keys = ("workspace", "install", number, "source")
            text = f"there is no {IMAGES / item.source} to install"
            yield Problem(keys, text, "correct the path (it is one below images/)")


def _inside(path: str) -> Complaint | None:
    pure = PurePosixPath(path)
    if path and "\0" not in path and not pure.is_absolute() and ".." not in pure.parts:
        return None
    return f"{path!r} is not a path in the workspace", "write one relative to the workspace"


def _inside_if_given(path: str) -> Complaint | None:
    return _inside(path) if path else None


def _stars(text: str) -> Complaint | None:
    if not any("**" in part and part != "**" for part in PurePosixPath(text).parts):
        return None
    return f"{text!r}: ** stands alone between slashes", "write e.g. **/*.log"


def _limit(text: str) -> Complaint | None:
    """Seconds, or a setting; empty for none."""
    try:
        good = not text or (text[0] + text[-1] == "{}" and text[1:-1].isidentifier())
        good = good or 0 < float(text) <= LENGTH_MAX_S
    except ValueError:
        good = False
    if good:
        return None
    step = 'write e.g. "5", or the name of a setting of the profile: "{llm_timeout_s}"'
    return f"{text!r} is not a number of seconds", step


def _positive(number: int) -> Complaint | None:
    if number >= 1:
        return None
    return f"{number} is not a number of values", "write a whole number of at least 1"


_GLOBS = (
    "queue.pending queue.claimed queue.archived queue.quarantined paths.policy_candidates "
    "paths.diagnostics paths.logs.* instance.locks.*"
)
# The places that each rule applies to, in the order in which the rules are checked.
_RULES: dict[Callable[[Any], Complaint | None], str] = {
    _command: "workspace.prepare.* watcher.start injector.start halt.command batch.command",
    _source: "workspace.install.*.source",
    _inside: "workspace.install.*.to halt.flag llm.events policies.path queue.submit_dir "
    "decisions.path draws.path instance.pid_file instance.kept_locks.* inspection.memory_report "
    f"prerequisites.artefacts.*.path {_GLOBS}",
    _inside_if_given: "watcher.ready_file injector.ready_file telemetry.path predictions.path",
    _stars: _GLOBS,
    _positive: "draws.modulus",
    _limit: "llm.call_limit_s",
}
