"""`chaos` as its users call it: a process, its output, and the run directory it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.record.owner import processes_of
from chaos.record.rundir import RunDir
from tests.waiting import wait_for

REPO = Path(__file__).resolve().parents[2]
LIMIT_S = 550.0  # below the limit of a test, so that the output is shown
GONE_LIMIT_S = 30.0

# A soak C in about a minute: one fault, the same steps, criteria for the shorter length.
BRIEF = {
    "baseline_s": 8,
    "storm_s": 34,
    "quiet_s": 8,
    "criteria.completed_cycles.min": 2,
    "criteria.convergence.min_rise": 0.01,
}
ONE_FAULT = ("--fault", "llm_timeout:count=1,hold=20s")


@dataclass(frozen=True)
class Done:
    """A finished command."""

    exit_code: int
    stdout: str
    stderr: str
    runs: Path

    @property
    def text(self) -> str:
        """Both streams, for messages."""
        return f"exit {self.exit_code}\n{self.stdout}\n{self.stderr}"

    def run(self) -> RunDir:
        """The run directory it left."""
        found = [path.parent for path in self.runs.glob("*/*/config.json")]
        paths = {path.resolve() for path in found}
        assert len(paths) == 1, f"{paths}\n{self.text}"
        return RunDir(paths.pop())

    def verdict(self) -> dict[str, Any]:
        """verdict.json."""
        run = self.run()
        return run.read_json(run.verdict)

    def failed(self) -> frozenset[str]:
        """The checks that failed."""
        findings = self.verdict()["findings"]
        return frozenset(f["check"] for f in findings if f["outcome"] == "fail")

    def outcome(self, check: str) -> str:
        """The outcome of one finding."""
        outcomes = [f["outcome"] for f in self.verdict()["findings"] if f["check"] == check]
        assert len(outcomes) == 1, f"{check}: {outcomes}\n{self.text}"
        return str(outcomes[0])


def settings(**changes: Any) -> list[str]:
    """`--set` arguments for the brief soak; dots are written as double underscores."""
    merged = {**BRIEF, **{key.replace("__", "."): value for key, value in changes.items()}}
    return [word for key, value in merged.items() for word in ("--set", f"{key}={value}")]


def start(
    runs: Path, *args: str, env: dict[str, str] | None = None, **popen: Any
) -> subprocess.Popen[str]:
    """Start `chaos ARGS` with its runs in `runs`."""
    return subprocess.Popen(
        [sys.executable, "-m", "chaos", *args, *(("--runs", str(runs)) if args else ())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPO,
        env={**os.environ, **(env or {})},
        **popen,
    )


def finish(process: subprocess.Popen[str], runs: Path, limit_s: float = LIMIT_S) -> Done:
    """Wait for its end."""
    try:
        stdout, stderr = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        raise AssertionError(f"not done within {limit_s:g} s\n{stdout}\n{stderr}") from None
    return Done(process.returncode, stdout, stderr, runs)


def chaos(runs: Path, *args: str, env: dict[str, str] | None = None) -> Done:
    """Run `chaos ARGS` to its end."""
    return finish(start(runs, *args, env=env), runs)


def await_gone(run: RunDir, limit_s: float = GONE_LIMIT_S) -> None:
    """Wait until no process of the run is left, without a clean-up command."""
    wait_for(
        "every process of the run is gone",
        lambda: not processes_of(run.run_id),
        limit_s,
        seen=lambda: [f"{one.pid} {one.status()}" for one in processes_of(run.run_id)],
    )


def history(run: RunDir) -> list[dict[str, Any]]:
    """The whole records of a history as plain data."""
    lines = run.history.read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]
