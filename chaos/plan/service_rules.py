"""Check what a target says of its programs: names, ready signs, and the environment.

Pure; applied as the rules of target_rules.py are.
"""

import re
from collections.abc import Iterator

from chaos.base.typedtree import Problem
from chaos.plan.value_rules import Keys, is_url
from chaos.record.target import ServiceSpec, Target

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
    specs: dict[Keys, ServiceSpec | None]
    specs = {("watcher",): target.watcher, ("injector",): target.injector}
    specs |= {("services", name): spec for name, spec in target.services.items()}
    for keys, spec in specs.items():
        if spec is not None and spec.ready_url and not is_url(spec.ready_url):
            text = f"{spec.ready_url!r} is no http URL"
            yield Problem((*keys, "ready_url"), text, "write http://HOST:PORT/PATH")


def env_problems(target: Target) -> Iterator[Problem]:
    """Everything in `env` that cannot be used."""
    for name, value in target.env.items():
        if not name or "=" in name or "\0" in name:
            yield Problem(
                ("env", name), f"{name!r} cannot name a variable", "write NAME: value, without ="
            )
        if "\0" in value:
            yield Problem(("env", name), "a NUL in a value", "leave it out")
