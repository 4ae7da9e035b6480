"""Time until the real stack is ready, in the sandbox: from nothing to Watcher, LLM and proxy.

Ready means proven: health and a completion, direct and through the proxy, and the Watcher's own
ready file. The workspace's preparation (bootstrap history, pipeline steps 1-3) is counted, too.
Needs what `chaos setup` provides.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, median, parser, show
from chaos.assets import cache, locate
from chaos.base.yamlfile import load
from chaos.plan.experiment import Experiment
from chaos.record import rundir
from chaos.runner.resolve import read_target
from chaos.sandbox.command import guardian_argv
from chaos.sandbox.enter import enter, inside
from chaos.sandbox.probe import require
from chaos.stack.local.backend import LocalBackend

_REPO = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    made = parser(__doc__)
    made.add_argument("--times", type=int, default=3)
    made.add_argument("--work", type=Path, help="set by the benchmark itself")
    options = made.parse_args(argv)
    if not inside():
        locate()  # fails here, outside, when something is missing
        with tempfile.TemporaryDirectory(prefix="chaos-bench-") as work:
            return _in_sandbox(Path(work), options.times, as_json=options.json)
    _measure(options.work, options.times, as_json=options.json)
    return 0


def _in_sandbox(work: Path, times: int, *, as_json: bool) -> int:
    """Run this benchmark inside the guardian's namespaces; returns its exit code."""
    words = [sys.executable, "-m", "benchmarks.stack_ready", "--work", str(work)]
    words += ["--times", str(times), *(["--json"] if as_json else [])]
    guardian = guardian_argv(
        words, run_id=work.name, mode="namespaces", user_namespace=require().user
    )
    environment = {**os.environ, "PYTHONPATH": str(_REPO)}
    return subprocess.run(guardian, env=environment, timeout=600, check=False).returncode


def _measure(work: Path, times: int, *, as_json: bool) -> None:
    assets = locate()
    enter([work, _REPO, cache.cache_dir(), *assets.files])
    experiment = load(_REPO / "experiments" / "soak_c.yaml", Experiment)
    target = read_target(experiment.target)[1]
    settings = experiment.profiles[experiment.default_profile].settings
    ready: list[float] = []
    down: list[float] = []
    steps: dict[str, list[float]] = {}
    for number in range(times):
        run = rundir.create(work, "stack_ready", number)
        backend = LocalBackend(target, settings, run, assets, _REPO / "images", sandboxed=True)
        marks: list[tuple[str, float]] = []
        start_s = time.monotonic()
        backend.up(lambda step, marks=marks: marks.append((step, time.monotonic())))  # type: ignore[misc]
        ready.append(time.monotonic() - start_s)
        ends = [moment for _, moment in marks[1:]] + [start_s + ready[-1]]
        for (step, began_s), ended_s in zip(marks, ends, strict=True):
            steps.setdefault(f"  {step}"[:60], []).append(ended_s - began_s)
        start_s = time.monotonic()
        left = backend.down()
        down.append(time.monotonic() - start_s)
        if left:
            raise RuntimeError(f"left behind: {left}")
    figures = [Figure("ready", median(ready), "s", 2.0)]
    figures += [Figure(step, median(took), "s") for step, took in steps.items()]
    figures.append(Figure("taken down", median(down), "s"))
    show("stack_ready", figures, as_json=as_json, notes=f"median of {times}")


if __name__ == "__main__":
    raise SystemExit(main())
