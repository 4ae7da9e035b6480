"""The options of `chaos gate`. Standard library only: every `chaos --help` imports this."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from chaos.base.arguments import Options, argument
from chaos.runner.common_options import (
    EXIT_CODES,
    FAULT,
    RUNS,
    Backend,
    Gpu,
    NoColor,
    Quiet,
    Runs,
    VerdictJson,
    Watcher,
)


class GateOptions(Options):
    """Run soaks A, B, C, clean and under faults, for one final verdict."""

    EPILOG = f"""\
examples:
  chaos gate                                  six runs, quick: each soak clean, then under faults
  chaos gate --profile full --seed 7          the plan's real durations
  chaos gate --soaks c --fault llm_timeout:hold=10s,count=1
  chaos gate --resume latest                  go on after an interruption, a crash, a reboot

{EXIT_CODES}"""

    profile: Annotated[
        str | None, argument("scale of every soak (default: the gate file's)", "NAME")
    ] = None
    soaks: Annotated[
        str | None, argument("only these; a part is never PRODUCTION-READY", "A,B,C")
    ] = None
    fault: Annotated[
        Sequence[str],
        argument("of the runs under faults; may be repeated (default: the gate file's)", FAULT),
    ] = ()
    target: Watcher = None
    seed: Annotated[int | None, argument("of every schedule (default: random, printed)", "N")] = (
        None
    )
    config: Annotated[Path | None, argument("default: experiments/gate.yaml", "FILE")] = None
    resume: Annotated[
        str | None, argument("go on with a gate: its folder, its name, or latest", "DIR")
    ] = None
    fail_fast: Annotated[bool, argument("stop at the first failure of the Watcher")] = False
    sandbox: Annotated[Literal["namespaces", "none"] | None, argument("as for chaos run")] = None
    backend: Backend = None
    gpu: Gpu = False
    runs: Runs = RUNS
    dry_run: Annotated[bool, argument("print the runs with their lengths, start nothing")] = False
    json: VerdictJson = False
    no_color: NoColor = False
    quiet: Quiet = False
