"""Check what a target says of its programs: names, ready signs, and the environment.

Pure; applied as the rules of target_rules.py are.
"""

import re
from collections.abc import Iterator

from chaos.base.typedtree import Problem
from chaos.plan.value_rules import is_url
from chaos.record.target import Target

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


def service_problems(target: Target) -> Iterator[Problem]:
    """Everything in `watcher`, `injector` and `services` that cannot be used."""
    for name in target.services:
        if name in _TAKEN or not _SERVICE.fullmatch(name):
            step = "small letters, digits and underscores; not a name that the harness uses"
            yield Problem(("services", name), f"{name!r} cannot name a service", step)
    for name, spec in {
        "watcher": target.watcher,
        **({"injector": target.injector} if target.injector else {}),
    }.items():
        if spec.ready_url and not is_url(spec.ready_url):
            keys = (name, "ready_url")
            yield Problem(keys, f"{spec.ready_url!r} is no http URL", "write http://HOST:PORT/PATH")


def env_problems(target: Target) -> Iterator[Problem]:
    """Everything in `env` that cannot be used."""
    for name, value in target.env.items():
        if not name or "=" in name or "\0" in name:
            yield Problem(
                ("env", name), f"{name!r} cannot name a variable", "write NAME: value, without ="
            )
        if "\0" in value:
            yield Problem(("env", name), "a NUL in a value", "leave it out")
