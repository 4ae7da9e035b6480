"""The options of `chaos compare`. Standard library only: every `chaos --help` imports this."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common


class CompareOptions(Options):
    """Is this daemon less resilient than that one? Pairs of runs, until it is decided."""

    EPILOG = """\
examples:
  chaos compare old.yaml new.yaml --fault llm_timeout --seed 7
  chaos compare main:daemon/target.yaml daemon/target.yaml     a git revision against what is here
  chaos compare old.yaml new.yaml --pairs-max 20 --margin 0.2  a quick look: large losses alone
  chaos compare --resume latest                                go on after an interruption
  chaos compare plan runs/soak_b                               how many pairs it will take

Both runs of a pair have the same seed and schedule; the seed draws which is made first. A run has a
score from 0 to 1. It is decided as soon as the pairs show that the candidate is not worse by the
margin (PASS) or worse by more (BLOCK), each with the error rate alpha, however often one looks.
A request that the candidate loses or doubles, and the base in the same pair does not, blocks at
once.
scores: survived (the share of the strikes that the daemon survives), recovery (how soon it uses its
LLM again, as a share of the time limit).

exit codes:
  0    PASS: not worse by the margin
  1    BLOCK: worse, or a request was lost or doubled
  2    usage or configuration error
  3    INCONCLUSIVE: not decided after --pairs-max pairs
  4    the environment: runs that say nothing, again and again
  130  interrupted; --resume goes on
"""

    arms: Sequence[str] = option(
        "BASE and CANDIDATE: each a target's name, its file, or REV:path/to/target.yaml of a git "
        "revision; or the word plan and recorded runs (folders)",
        "ARM",
        positional=True,
    )
    soak: str | None = option("name of a soak, or its file (default: soak_b)", "SOAK")
    profile: str | None = option("profile of the soak (default: the soak's own)", "NAME")
    fault: Sequence[str] = option("a kind of fault; may be repeated", common.FAULT)
    set: Sequence[str] = option("override a value of the plan, e.g. storm_s=60", "KEY=VALUE")
    margin: float | None = option("the loss of score that must not be (default: 0.1)", "SHARE")
    alpha: float | None = option("the error rate of each decision (default: 0.05)", "SHARE")
    pairs_min: int | None = option("decide after so many pairs at the earliest (default: 5)", "N")
    pairs_max: int | None = option("give up after so many (default: 200)", "N")
    score: Literal["survived", "recovery"] | None = option(
        "what is compared: survived (the default) or recovery"
    )
    seed: int | None = option("of pairs, order and schedules (default: random, printed)", "N")
    jobs: int = option("pairs side by side (default: 1)", "N", default=1)
    resume: str | None = option("go on with a comparison: its folder, its name, or latest", "DIR")
    backend: Literal["local", "docker"] | None = common.BACKEND
    runs: Path = common.RUNS
    dry_run: bool = option("print what would be compared, and start nothing")
    json: bool = option("the whole result as JSON on stdout")
    quiet: bool = common.QUIET
