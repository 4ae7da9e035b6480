"""chaos: a resilience gate for autonomous, LLM-driven daemons.

The Python API, for notebooks and tests::

    import chaos

    with chaos.open_run("runs/soak_c/latest") as run:
        print(run.verdict.verdict, [f.summary for f in run.findings if f.outcome == "fail"])
        print(run.sql("select name, proven_s, recovered_s from faults"))

    run = chaos.run("soak_c", faults=["llm_timeout"], seed=7)

What third-party faults, checks and targets need stands in `chaos.plugin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from chaos.base.version import __version__

if TYPE_CHECKING:
    from chaos.runner.api import Run

__all__ = ["__version__", "open_run", "run"]


def open_run(path: str | PathLike[str], *, runs: str | PathLike[str] | None = None) -> Run:
    """Open a stored run: its directory, `SOAK/latest` or `latest` below `runs`.

    `runs`: default $CHAOS_RUNS, else `runs` in the working directory. Use the result in a `with`
    statement, or call its `close`. Raises `chaos.plugin.UsageError` when there is no such run.
    """
    from chaos.runner.api import open_run as opened

    return opened(path, runs)


def run(
    soak: str,
    *,
    faults: Sequence[str] = (),
    seed: int | None = None,
    runs: str | PathLike[str] | None = None,
    **options: Any,
) -> Run:
    """Execute one run as `chaos run` does, and open it. Takes minutes; prints nothing.

    `faults` are those of `--fault`; `runs`: see `open_run`. `options` are `profile`, `target`,
    `overrides` (a list for `--set`), `strikes`, `overlap`, `skip_unavailable`, `backend`, `gpu`,
    `sandbox`. Raises
    `chaos.plugin.UsageError` for what is wrong in them, before anything starts, and
    `chaos.plugin.ChaosError` when the run left nothing to judge.
    """
    from chaos.runner.api import execute

    return execute(soak, faults=faults, seed=seed, runs=runs, **options)
