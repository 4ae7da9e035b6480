"""Check a target's values beyond their types, so that the start of a run does not fail on them.

Applied when the target's file is read, not to the target of a stored run.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from chaos.base.errors import UsageError
from chaos.base.shipped import IMAGES
from chaos.base.typedtree import Problem
from chaos.base.units import LENGTH_MAX_S
from chaos.base.yamlfile import Document, Key
from chaos.plan.llm_rules import llm_problems, server_elsewhere
from chaos.record.draws import Draws, Generator
from chaos.record.record_sql import columns_of
from chaos.record.target import Target
from chaos.record.work import Place

Keys = tuple[Key, ...]
Complaint = tuple[str, str]  # what is wrong, what to do about it

_PROGRAMS = "{programs}/"  # the folder of the programs that come with the package
_WORD_MAX, _SHIFT_MAX = 1 << 64, 63  # of a generator's numbers


def check_target(document: Document, target: Target) -> None:
    """Raises `UsageError` for the first value that cannot be used, with its line."""
    for error in target_errors(document, target):
        raise error


def target_errors(document: Document, target: Target) -> Iterator[UsageError]:
    """Every value that cannot be used, with its line."""
    data: dict[str, Any] = msgspec.to_builtins(target)
    for problem in (
        *_by_rules(data),
        *_nul_in_command(data),
        *_env(target),
        *llm_problems(target),
        *_submit(target),
        *_services(target),
        *_records(target),
        *_instance(target),
        *_generator(target.draws),
    ):
        yield problem.error(document.place(*problem.keys))


def _by_rules(data: dict[str, Any]) -> Iterator[Problem]:
    for rule, places in _RULES.items():
        for place in places.split():
            for keys, value in _values(data, tuple(place.split("."))):
                complaint = rule(value)
                if complaint is not None:
                    yield Problem(keys, *complaint)


def _values(data: Any, names: tuple[str, ...], keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """(path, value) of each place that `names` selects; `*` selects every item of a list.

    What is not there has no places.
    """
    if not names:
        yield keys, data
    elif names[0] == "*":
        items = data.items() if isinstance(data, dict) else enumerate(data)
        for key, item in items:
            yield from _values(item, names[1:], (*keys, key))
    elif isinstance(data, dict) and names[0] in data:
        yield from _values(data[names[0]], names[1:], (*keys, names[0]))


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


def _command(words: list[str]) -> Complaint | None:
    if words and words[0].strip():
        return None
    return "there is no command", "write the program and its arguments"


def _nul_in_command(data: dict[str, Any]) -> Iterator[Problem]:
    for place in _RULES[_command].split():
        for keys, word in _values(data, (*place.split("."), "*")):
            if isinstance(word, str) and "\0" in word:
                yield Problem(keys, "a NUL in an argument", "leave it out")


def _env(target: Target) -> Iterator[Problem]:
    for name, value in target.env.items():
        if not name or "=" in name or "\0" in name:
            yield Problem(
                ("env", name), f"{name!r} cannot name a variable", "write NAME: value, without ="
            )
        if "\0" in value:
            yield Problem(("env", name), "a NUL in a value", "leave it out")


def _submit(target: Target) -> Iterator[Problem]:
    submit = target.work.submit
    given = [name for name in ("folder", "command", "post") if getattr(submit, name)]
    if len(given) != 1:
        what = " and ".join(given) or "none of them"
        step = "say one: folder (a file is put there), command, or post (a URL)"
        yield Problem(("work", "submit"), f"exactly one way is needed, this has {what}", step)
    if submit.post and not _is_url(submit.post):
        step = "write e.g. http://127.0.0.1:9000/jobs"
        yield Problem(("work", "submit", "post"), f"{submit.post!r} is no http URL", step)
    if "/" in submit.suffix or "\0" in submit.suffix:
        keys = ("work", "submit", "suffix")
        yield Problem(keys, f"{submit.suffix!r} cannot end a name", "write e.g. .task")
    for key in ("done", "pending", "claimed"):
        place = getattr(target.work, key)
        if isinstance(place, Place):
            yield from _name_pattern(("work", key, "name"), place.name)


def _name_pattern(keys: Keys, pattern: str) -> Iterator[Problem]:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        step = "correct the regular expression"
        yield Problem(keys, f"{pattern!r} cannot be read: {error}", step)
        return
    if pattern and "request" not in groups:
        step = "name the part that is the request: (?P<request>.+)"
        yield Problem(keys, f"{pattern!r} does not say which request it is", step)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme == "http" and bool(parts.hostname) and (parts.port or 80) > 0
    except ValueError:
        return False


_TAKEN = frozenset(
    [
        "watcher",
        "injector",
        "llm",
        "llm_supervisor",
        "llm_relay",
        "proxy",
        "wire",
        "witness",
        "wire_witness",
        "command",
        "probe",
    ]
)
_SERVICE = re.compile(r"[a-z][a-z0-9_]{0,31}")


def _services(target: Target) -> Iterator[Problem]:
    for name in target.services:
        if name in _TAKEN or not _SERVICE.fullmatch(name):
            step = "small letters, digits and underscores; not a name that the harness uses"
            yield Problem(("services", name), f"{name!r} cannot name a service", step)
    for name, spec in {
        "watcher": target.watcher,
        **({"injector": target.injector} if target.injector else {}),
    }.items():
        if spec.ready_url and not _is_url(spec.ready_url):
            keys = (name, "ready_url")
            yield Problem(keys, f"{spec.ready_url!r} is no http URL", "write http://HOST:PORT/PATH")


def _instance(target: Target) -> Iterator[Problem]:
    instance = target.instance
    if instance is not None and instance.start_ticks and not instance.pid:
        step = "leave start_ticks out, or name the field of the JSON object: pid"
        yield Problem(("instance", "start_ticks"), "a number alone has no fields", step)


# The columns of each record; those that it must have stand before the bar.
_COLUMNS = {
    "decisions": "request | line id sequence source status dispatch kind fallback started_at "
    "ended_at child_pid child_exit written",
    "calls": "line ok | number started_at ended_at attempts answer",
    "draws": "value | line position source",
    "telemetry": "model_count | line timestamp",
    "predictions": "values | line draw_index timestamp",
}


def _records(target: Target) -> Iterator[Problem]:
    for name, words in _COLUMNS.items():
        record = getattr(target.records, name)
        if record is None:
            continue
        columns = columns_of(record.sql)
        keys = ("records", name, "sql")
        required, _, optional = words.partition(" | ")
        known = f"{required} {optional}".split()
        for column in sorted(columns - set(known)):
            step = f"columns of {name}: {', '.join(known)}"
            yield Problem(keys, f"there is no column {column!r} in the table {name}", step)
        for column in required.split():
            if column not in columns:
                step = f"select … as {column}; every column is named in the last select list"
                yield Problem(keys, f"the column {column} is missing", step)


def _generator(draws: Draws) -> Iterator[Problem]:
    generator, keys = draws.generator, ("draws", "generator")
    if not isinstance(generator, Generator):
        return
    if bool(generator.command) == (generator.lcg is not None):
        yield Problem(keys, "exactly one of lcg and command is needed", "write one of them")
    if generator.command and (complaint := _command(generator.command)):
        yield Problem((*keys, "command"), *complaint)
    if generator.lcg is None:
        return
    for name, value in msgspec.structs.asdict(generator.lcg).items():
        least = 1 if name == "m" else 0
        most = _SHIFT_MAX if name == "shift" else _WORD_MAX
        if not least <= value <= most:
            step = f"write a whole number from {least} to {most}"
            yield Problem((*keys, "lcg", name), f"{value} is out of range", step)


def _source(text: str) -> Complaint | None:
    if text and "\0" not in text:
        return None
    return f"{text!r} is not a path", "write a path relative to this file, or an absolute one"


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


def _inside(path: str) -> Complaint | None:
    pure = PurePosixPath(path)
    if path and "\0" not in path and not pure.is_absolute() and ".." not in pure.parts:
        return None
    return f"{path!r} is not a path in the workspace", "write one relative to the workspace"


def _inside_if_given(path: Any) -> Complaint | None:
    return _inside(path) if path and isinstance(path, str) else None


def _flag(text: str) -> Complaint | None:
    pure = PurePosixPath(text)
    if text and "\0" not in text and ".." not in pure.parts:
        return None
    return f"{text!r} cannot be a flag", "a path in the workspace, or an absolute one"


def _stars(text: str) -> Complaint | None:
    if not isinstance(text, str) or not any(
        "**" in part and part != "**" for part in PurePosixPath(text).parts
    ):
        return None
    return f"{text!r}: ** stands alone between slashes", "write e.g. **/*.log"


def _limit(value: str | float) -> Complaint | None:
    """Seconds, or a setting; empty for none."""
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


def _positive(number: int | None) -> Complaint | None:
    if number is None or number >= 1:
        return None
    return f"{number} is not a number of values", "write a whole number of at least 1"


_GLOBS = (
    "work.pending work.pending.files work.claimed work.claimed.files work.done work.done.files "
    "work.set_aside "
    "paths.policy_candidates paths.diagnostics paths.logs.* instance.locks.*"
)
# The places that each rule applies to, in the order in which the rules are checked.
_RULES: dict[Callable[[Any], Complaint | None], str] = {
    _command: "workspace.prepare.* watcher.start injector.start services.*.start halt.command "
    "batch.command",
    _source: "workspace.install.*.source",
    _inside: "workspace.install.*.to llm.events instance.pid_file instance.kept_locks.* "
    "inspection.memory_report prerequisites.artefacts.*.path",
    _inside_if_given: "watcher.ready_file injector.ready_file services.*.ready_file policies.path "
    f"work.submit.folder {_GLOBS}",
    _flag: "halt.flags.*",
    _stars: _GLOBS,
    _positive: "draws.modulus",
    _limit: "llm.call_limit_s",
}
