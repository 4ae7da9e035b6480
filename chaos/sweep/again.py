"""The command that makes a sweep again, or one break of it."""

import shlex

from chaos.sweep.state import Result, Sweep


def command_of(sweep: Sweep, result: Result | None = None) -> str:
    """The command that makes this sweep again, or only one break of it."""
    asked = sweep.asked
    words = ["chaos", "sweep", *filter(None, [asked.target])]
    if result is not None:
        words += ["--point", str(result.point), "--kind", result.kind]
        words += ["--error", result.error] if result.error else []
    else:
        words += ["--kind", ",".join(asked.kinds)]
        words += ["--error", ",".join(asked.errors)] if "error" in asked.kinds else []
        words += ["--points", str(asked.sample)] if asked.sample is not None else []
        for number in asked.chosen:
            words += ["--point", str(number)]
    for work in asked.work:
        words += ["--work", work]
    words += ["--backend", asked.backend] if asked.backend != "local" else []
    return shlex.join([*words, "--seed", str(asked.seed)])
