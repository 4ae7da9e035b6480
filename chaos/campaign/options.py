"""The options of `chaos campaign`. Standard library only: every `chaos --help` imports this."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common


class CampaignOptions(Options):
    """Make many runs: soaks x faults x targets x seeds, side by side, and judge them together."""

    EPILOG = f"""\
examples:
  chaos campaign --soak soak_c --fault llm_timeout --fault none --seeds 20
  chaos campaign nightly.yaml --dry-run            the plan and its time; starts nothing
  chaos campaign nightly.yaml --shard 2/5          the second of five parts
  chaos campaign merge part1 part2 part3 --to all  the parts as one campaign
  chaos campaign --resume latest                   go on after an interruption
  chaos sql campaign/latest "select verdict, count(*) from runs group by verdict"

The file has the keys soaks, faults (each a text, or a list of faults that strike in one run), seeds
(so many, or a list), targets, profile, set. A run that was invalid (4) is made again, at most
twice; any other verdict stands. After a run that left something behind (6) no further one begins.

The exit code is the worst of all runs: 6, 1, 5, 4, 2, 3, 0; 3 at least while runs are missing.

{common.EXIT_CODES}"""

    words: Sequence[str] = option(
        "the file of a campaign; or `merge` and the folders of its parts",
        "FILE|merge DIR",
        positional=True,
    )
    soak: Sequence[str] = option("without a file: this soak; may be repeated", "SOAK")
    fault: Sequence[str] = option(
        "runs with this fault; may be repeated; `none` is the control", common.FAULT
    )
    target: Sequence[str] = option("this Watcher; may be repeated (default: the soak's)", "NAME")
    seeds: str | None = option("the seeds 1 to N of each, or a list: 3,17 (default: 1)", "N|LIST")
    profile: str | None = option("scale of the soaks (default: each soak's own)", "NAME")
    set: Sequence[str] = option("change one setting of all runs", "KEY=VALUE")
    sandbox: Literal["namespaces", "none"] | None = option("as for chaos run")
    backend: Literal["local", "docker"] | None = common.BACKEND
    gpu: bool = common.GPU
    skip_unavailable: bool = common.SKIP_UNAVAILABLE
    slots: int | None = option(
        "runs side by side (default: one for two processor cores and 2 GB of free memory)", "N"
    )
    shard: str | None = option("only part I of N: the runs I, I+N, I+2N ...", "I/N")
    resume: str | None = option("go on with a campaign: its folder, its name, or latest", "DIR")
    to: Path | None = option("merge: the folder to make", "DIR")
    runs: Path = common.RUNS
    dry_run: bool = option("print the plan and its expected time, start nothing")
    json: bool = option("the whole result as JSON on stdout")
    quiet: bool = common.QUIET
