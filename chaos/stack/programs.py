"""The SHA-256 of a target's programs, which identify the version of the Watcher.

Knows the target profile and the folder that it installs from; starts and copies nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chaos.record.target import Target
from chaos.stack.workspace import is_cache

_PROGRAMS = "{programs}"


def described(target: Target, images: Path) -> dict[str, Any]:
    """What the provenance records: `programs`, place -> SHA-256 of each file, and the SHA-256 of
    them all.
    """
    digests = _digests(target, images)
    return {"programs_sha256": _total(digests), "programs": dict(digests)}


def programs_sha256(target: Target, images: Path) -> str:
    """SHA-256 (hex) over the files that the target installs and those that its commands name.

    Covers the place and content of each file. An unreadable file counts as absent; its installation
    or start reports it.
    """
    return _total(_digests(target, images))


def _digests(target: Target, images: Path) -> list[tuple[str, str]]:
    """(place, SHA-256 of the content) of each file, in order."""
    digests = []
    for place, path in sorted(set(_files(target, images))):
        try:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            content = "absent"
        digests.append((place, content))
    return digests


def _total(digests: Iterable[tuple[str, str]]) -> str:
    total = hashlib.sha256()
    for place, content in digests:
        total.update(f"{place}\0{content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _files(target: Target, images: Path) -> Iterator[tuple[str, Path]]:
    """(place, path); the place does not depend on the folder of the programs."""
    for item in target.workspace.install:
        source = images / item.source
        if not source.is_dir():
            yield item.to, source
            continue
        for path in source.rglob("*"):
            relative = path.relative_to(source)
            if path.is_file() and not any(is_cache(name) for name in relative.parts):
                yield f"{item.to}/{relative}", path
    for word in _words(target):
        path = Path(word.replace(_PROGRAMS, str(images)))
        if path.is_absolute() and path.is_file():
            yield word, path


def _words(target: Target) -> Iterator[str]:
    services = [target.watcher, target.injector, *target.services.values()]
    halt, batch, server = target.halt, target.batch, target.llm.own
    commands = [
        *(service.start for service in services if service is not None),
        *target.workspace.prepare,
        *([] if halt is None else [halt.command, halt.stop]),
        *([] if batch is None else [batch.command]),
        target.work.submit.command,
        *([] if server is None else [server.command, server.start, server.stop]),
    ]
    for command in commands:
        yield from command
