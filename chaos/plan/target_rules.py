"""Check a target's values beyond their types, so that the start of a run does not fail on them.

Applied when the target's file is read, not to the target of a stored run. Rules of one section lie
in its own module; what single values must be like, in value_rules.py.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from chaos.base.errors import UsageError
from chaos.base.typedtree import Problem
from chaos.base.yamlfile import Document
from chaos.plan.llm_rules import llm_problems
from chaos.plan.record_rules import generator_problems, record_problems
from chaos.plan.service_rules import env_problems, service_problems
from chaos.plan.value_rules import (
    Complaint,
    Keys,
    command,
    flag,
    inside,
    inside_if_given,
    limit,
    positive,
    source,
    stars,
)
from chaos.plan.work_rules import work_problems
from chaos.record.target import Target


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
        *env_problems(target),
        *llm_problems(target),
        *work_problems(target),
        *service_problems(target),
        *record_problems(target),
        *_instance(target),
        *generator_problems(target.draws),
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


def _nul_in_command(data: dict[str, Any]) -> Iterator[Problem]:
    for place in _RULES[command].split():
        for keys, word in _values(data, (*place.split("."), "*")):
            if isinstance(word, str) and "\0" in word:
                yield Problem(keys, "a NUL in an argument", "leave it out")


def _instance(target: Target) -> Iterator[Problem]:
    instance = target.instance
    if instance is not None and instance.start_ticks and not instance.pid:
        step = "leave start_ticks out, or name the field of the JSON object: pid"
        yield Problem(("instance", "start_ticks"), "a number alone has no fields", step)


_GLOBS = (
    "work.pending work.pending.files work.claimed work.claimed.files work.done work.done.files "
    "work.set_aside "
    "paths.policy_candidates paths.diagnostics paths.logs.* instance.locks.*"
)
# The places that each rule applies to, in the order in which the rules are checked.
_RULES: dict[Callable[[Any], Complaint | None], str] = {
    command: "workspace.prepare.* watcher.start injector.start services.*.start halt.command "
    "batch.command",
    source: "workspace.install.*.source",
    inside: "workspace.install.*.to llm.events instance.pid_file instance.kept_locks.* "
    "inspection.memory_report prerequisites.artefacts.*.path",
    inside_if_given: "watcher.ready_file injector.ready_file services.*.ready_file policies.path "
    f"work.submit.folder {_GLOBS}",
    flag: "halt.flags.*",
    stars: _GLOBS,
    positive: "draws.modulus",
    limit: "llm.call_limit_s",
}
