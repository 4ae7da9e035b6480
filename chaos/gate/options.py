"""The options of `chaos gate`. Standard library only: every `chaos --help` imports this."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common


class GateOptions(Options):
    """Run soaks A, B, C, clean and under faults, and a crash sweep, for one final verdict."""

    EPILOG = f"""\
examples:
  chaos gate                                  six runs, quick: each soak clean, then under faults
  chaos gate --profile full --seed 7          the plan's real durations
  chaos gate --soaks c --fault llm_timeout:hold=10s,count=1
  chaos gate --resume latest                  go on after an interruption, a crash, a reboot

{common.EXIT_CODES}"""

    profile: str | None = option("scale of every soak (default: the gate file's)", "NAME")
    soaks: str | None = option("only these; a part is never PRODUCTION-READY", "A,B,C")
    fault: Sequence[str] = option(
        "of the runs under faults; may be repeated (default: the gate file's)", common.FAULT
    )
    skip_unavailable: bool = common.SKIP_UNAVAILABLE
    target: str | None = common.WATCHER
    seed: int | None = option("of every schedule (default: random, printed)", "N")
    config: Path | None = option("default: experiments/gate.yaml", "FILE")
    resume: str | None = option("go on with a gate: its folder, its name, or latest", "DIR")
    fail_fast: bool = option("stop at the first failure of the Watcher")
    sandbox: Literal["namespaces", "none"] | None = option("as for chaos run")
    backend: Literal["local", "docker"] | None = common.BACKEND
    witness: Literal["all", "none"] | None = option(
        "as for chaos run; a gate without witnesses is never PRODUCTION-READY"
    )
    no_sweep: bool = option(
        "leave the crash sweep out; a gate without it is never PRODUCTION-READY"
    )
    gpu: bool = common.GPU
    runs: Path = common.RUNS
    notify: str | None = common.NOTIFY
    dry_run: bool = option("print the runs with their lengths, start nothing")
    json: bool = common.VERDICT_JSON
    no_color: bool = common.NO_COLOR
    quiet: bool = common.QUIET
    verbose: bool = common.VERBOSE
