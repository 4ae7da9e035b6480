"""The command that makes a sweep again, or one break of it."""

import shlex

from chaos.sweep.state import Asked, Result, Sweep


def command_of(sweep: Sweep, result: Result | None = None) -> str:
    """The command that makes this sweep again, or only one break of it."""
    asked = sweep.asked
    if result is None:
        return asked_command(asked)
    words = ["--point", str(result.point), "--kind", result.kind]
    return _command(asked, words + (["--error", result.error] if result.error else []))


def asked_command(asked: Asked) -> str:
    """The command of a sweep with these options."""
    words = ["--kind", ",".join(asked.kinds)]
    words += ["--error", ",".join(asked.errors)] if "error" in asked.kinds else []
    words += ["--points", str(asked.sample)] if asked.sample is not None else []
    for number in asked.chosen:
        words += ["--point", str(number)]
    return _command(asked, words)


def _command(asked: Asked, chosen: list[str]) -> str:
    words = ["chaos", "sweep", *filter(None, [asked.target]), *chosen]
    for work in asked.work:
        words += ["--work", work]
    words += ["--backend", asked.backend] if asked.backend != "local" else []
    words += ["--sandbox", asked.sandbox] if asked.sandbox != "namespaces" else []
    words += ["--gpu"] if asked.gpu else []
    return shlex.join([*words, "--seed", str(asked.seed)])
