"""What a target installs and which model it names: where these files lie, and whether they do."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from chaos.base.errors import UsageError
from chaos.base.shipped import IMAGES
from chaos.base.typedtree import Problem
from chaos.base.yamlfile import Document
from chaos.plan.llm_rules import server_elsewhere
from chaos.record.target import Target

_PROGRAMS = "{programs}/"  # the folder of the programs that come with the package


def with_sources(target: Target, folder: Path) -> Target:
    """`target` with what it installs as it is stored: below `images/`, else absolute.

    `folder`: of the target's file.
    """
    install = [
        replace(item, source=_stored(folder, item.source)) for item in target.workspace.install
    ]
    llm = target.llm
    model = str((folder / llm.model).absolute()) if llm.model else ""
    return replace(
        target,
        workspace=replace(target.workspace, install=install),
        llm=replace(llm, model=model),
    )


def _stored(folder: Path, source: str) -> str:
    if source.startswith(_PROGRAMS):
        return source.removeprefix(_PROGRAMS)
    plain = Path(os.path.normpath((folder / source).absolute()))
    return str(plain.relative_to(IMAGES) if plain.is_relative_to(IMAGES) else plain)


def check_sources(document: Document, target: Target, *, here: bool) -> None:
    """Raises `UsageError` for the first thing that is missing where the run is, with its line.

    `here`: the Watcher's programs are installed on this machine, not in a container.
    """
    missing = (*_missing_sources(target, here=here), *_model(target))
    for problem in (*missing, *server_elsewhere(target, here=here)):
        raise problem.error(document.place(*problem.keys))


def source_errors(document: Document, target: Target) -> Iterator[UsageError]:
    """Every program to install that is missing; `target` as it stands in the file."""
    whole = with_sources(target, document.path.parent)
    for problem in (*_missing_sources(whole, here=True), *_model(whole)):
        yield problem.error(document.place(*problem.keys))


def _missing_sources(target: Target, *, here: bool) -> Iterator[Problem]:
    for number, item in enumerate(target.workspace.install):
        if PurePosixPath(item.source).is_absolute() and not here:
            continue  # a path in the image, which cannot be checked here
        if not (IMAGES / item.source).exists():
            keys = ("workspace", "install", number, "source")
            text = f"there is no {IMAGES / item.source} to install"
            yield Problem(keys, text, "correct the path (it is relative to this file)")


def _model(target: Target) -> Iterator[Problem]:
    if target.llm.model and not Path(target.llm.model).is_file():
        text = f"there is no {target.llm.model}"
        yield Problem(("llm", "model"), text, "name a GGUF file (relative to this file)")
