"""The options of `chaos sweep`. Standard library only: every `chaos --help` imports this."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common


class SweepOptions(Options):
    """Crash a daemon at every moment at which it makes something durable, and judge each time."""

    EPILOG = f"""\
examples:
  chaos sweep --dry-run                     the points of the reference Watcher; breaks nothing
  chaos sweep --points 12 --seed 7          twelve of them, drawn by the seed
  chaos sweep my_daemon.yaml --kind crash,crash_all,error
  chaos sweep --point 17 --kind crash       one again
  chaos sweep --resume latest               go on after an interruption

A point is a call that makes something durable: rename, link, unlink, truncate, fsync. Two control
runs show them; each is then struck in a run of its own, which is judged by the ordinary checks.
kinds: crash (the process that makes the call is killed before it happens), crash_all (the daemon
with all its children), error (the call fails once; a daemon that ends at it must name it, and is
started again), power (crash_all, and what no fsync has made durable is taken from the files before
the restart).

{common.EXIT_CODES}"""

    target: str | None = option(
        "a target's name or its file (default: reference)", "TARGET", positional=True
    )
    work: Sequence[str] = option("only this kind of work; may be repeated (default: each)", "KIND")
    kind: str = option(
        "crash, crash_all, error, power; comma-separated (default: crash)", "KINDS", default="crash"
    )
    error: Sequence[str] = option(
        "of the kind error: EIO, ENOSPC, EDQUOT, EROFS, EINTR (default: EIO,ENOSPC)", "ERROR"
    )
    points: str = option(
        "all; so many, drawn by the seed; or a list: 3,17", "all|N|LIST", default="all"
    )
    point: Sequence[int] = option("this point alone; may be repeated", "NUMBER")
    jobs: int | None = option("runs side by side (default: one a processor core)", "N")
    seed: int | None = option("of the sample and of the runs (default: random, printed)", "N")
    resume: str | None = option("go on with a sweep: its folder, its name, or latest", "DIR")
    sandbox: Literal["namespaces", "none"] | None = option("as for chaos run")
    backend: Literal["local", "docker"] | None = common.BACKEND
    gpu: bool = common.GPU
    runs: Path = common.RUNS
    dry_run: bool = option("make the controls, list the points, break nothing")
    json: bool = option("the whole result as JSON on stdout")
    quiet: bool = common.QUIET
