"""What a target's values must be beyond their types, so that the start does not fail on them.

Judged when the target's file is read: a stored run keeps the target that it had.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from chaos.base.errors import UsageError
from chaos.base.shipped import IMAGES
from chaos.base.typedtree import Problem
from chaos.base.yamlfile import Document, Key
from chaos.record.target import Target

Keys = tuple[Key, ...]

_PORT_MAX = 65_535


def check_target(document: Document, target: Target) -> None:
    """Raises `UsageError` for the first value that cannot be used, with its line."""
    for rule in (_commands, _env, _endpoints, _installs, _paths, _globs, _numbers):
        for problem in rule(target):
            raise _error(document, problem)


def check_sources(document: Document, target: Target, *, here: bool) -> None:
    """Raises `UsageError` for the first program to install that is not there, with its line.

    `here`: the Watcher's programs are installed on this machine, not in a container.
    """
    for problem in _missing_sources(target, here=here):
        raise _error(document, problem)


def _error(document: Document, problem: Problem) -> UsageError:
    place = document.place(*problem.keys)
    return UsageError(problem.message, place=place, next_step=problem.next_step)


def _commands(target: Target) -> Iterator[Problem]:
    commands: list[tuple[Keys, list[str]]] = [
        (("workspace", "prepare", number), words)
        for number, words in enumerate(target.workspace.prepare)
    ]
    commands += [(("watcher", "start"), target.watcher.start)]
    commands += [(("injector", "start"), target.injector.start)]
    commands += [(("halt", "command"), target.halt.command)]
    if target.batch is not None:
        commands += [(("batch", "command"), target.batch.command)]
    for keys, words in commands:
        if not words or not words[0].strip():
            yield Problem(keys, "there is no command", "write the program and its arguments")
        for number, word in enumerate(words):
            if "\0" in word:
                yield Problem((*keys, number), "a NUL in an argument", "leave it out")


def _env(target: Target) -> Iterator[Problem]:
    for name, value in target.env.items():
        if not name or "=" in name or "\0" in name:
            yield Problem(
                ("env", name), f"{name!r} cannot name a variable", "write NAME: value, without ="
            )
        if "\0" in value:
            yield Problem(("env", name), "a NUL in a value", "leave it out")


def _endpoints(target: Target) -> Iterator[Problem]:
    llm = target.llm
    needed = {name: getattr(llm, name) for name in ("endpoint", "upstream", "control", "proxy_api")}
    other = {name: getattr(llm, name) for name in ("wire", "wire_control") if getattr(llm, name)}
    taken: dict[str, str] = {}
    for name, text in (needed | other).items():
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


def _installs(target: Target) -> Iterator[Problem]:
    for number, item in enumerate(target.workspace.install):
        keys: Keys = ("workspace", "install", number)
        source = PurePosixPath(item.source)
        if not item.source or "\0" in item.source or ".." in source.parts:
            yield Problem(
                (*keys, "source"),
                f"{item.source!r} is not a path below images/",
                "write a path below images/, or an absolute one",
            )
        yield from _inside((*keys, "to"), item.to)


def _missing_sources(target: Target, *, here: bool) -> Iterator[Problem]:
    for number, item in enumerate(target.workspace.install):
        if PurePosixPath(item.source).is_absolute() and not here:
            continue  # a path in the image, which nobody can look into from here
        if not (IMAGES / item.source).exists():
            keys = ("workspace", "install", number, "source")
            text = f"there is no {IMAGES / item.source} to install"
            yield Problem(keys, text, "correct the path (it is one below images/)")


def _paths(target: Target) -> Iterator[Problem]:
    """Files and folders of the workspace; some may be left out."""
    needed: list[tuple[Keys, str]] = [
        (("halt", "flag"), target.halt.flag),
        (("llm", "events"), target.llm.events),
        (("policies", "path"), target.policies.path),
        (("queue", "submit_dir"), target.queue.submit_dir),
        (("decisions", "path"), target.decisions.path),
        (("draws", "path"), target.draws.path),
    ]
    other: list[tuple[Keys, str]] = [
        (("watcher", "ready_file"), target.watcher.ready_file),
        (("injector", "ready_file"), target.injector.ready_file),
        (("telemetry", "path"), target.telemetry.path),
        (("predictions", "path"), target.predictions.path),
    ]
    if target.instance is not None:
        needed += [(("instance", "pid_file"), target.instance.pid_file)]
        kept = enumerate(target.instance.kept_locks)
        needed += [(("instance", "kept_locks", number), path) for number, path in kept]
    if target.inspection is not None:
        needed += [(("inspection", "memory_report"), target.inspection.memory_report)]
    for number, artefact in enumerate(target.prerequisites.artefacts):
        needed += [(("prerequisites", "artefacts", number, "path"), artefact.path)]
    for keys, path in [*needed, *((keys, path) for keys, path in other if path)]:
        yield from _inside(keys, path)


def _globs(target: Target) -> Iterator[Problem]:
    queue, paths = target.queue, target.paths
    patterns: list[tuple[Keys, str]] = [
        (("queue", "pending"), queue.pending),
        (("queue", "claimed"), queue.claimed),
        (("queue", "archived"), queue.archived),
        (("queue", "quarantined"), queue.quarantined),
        (("paths", "policy_candidates"), paths.policy_candidates),
        (("paths", "diagnostics"), paths.diagnostics),
    ]
    patterns += [(("paths", "logs", number), text) for number, text in enumerate(paths.logs)]
    if target.instance is not None:
        locks = enumerate(target.instance.locks)
        patterns += [(("instance", "locks", number), text) for number, text in locks]
    for keys, text in patterns:
        yield from _inside(keys, text)
        if any("**" in part and part != "**" for part in PurePosixPath(text).parts):
            yield Problem(keys, f"{text!r}: ** stands alone between slashes", "write e.g. **/*.log")


def _inside(keys: Keys, path: str) -> Iterator[Problem]:
    pure = PurePosixPath(path)
    if not path or "\0" in path or pure.is_absolute() or ".." in pure.parts:
        yield Problem(
            keys, f"{path!r} is not a path in the workspace", "write one relative to the workspace"
        )


def _numbers(target: Target) -> Iterator[Problem]:
    if target.draws.modulus < 1:
        yield Problem(
            ("draws", "modulus"),
            f"{target.draws.modulus} is not a number of values",
            "write a whole number of at least 1",
        )
