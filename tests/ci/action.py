"""Runs the shell steps of action.yml as a runner does: by bash, with the inputs as variables."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((REPO / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
# How a runner starts a step with `shell: bash`.
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_PINNED = ("requirements.lock", "chaos/assets/wheels.lock", "chaos/assets/pins.py")
# Stands for scripts/chaos: it keeps its arguments, and ends with the exit code that it is given.
RECORDS = """\
#!/usr/bin/env bash
printf '%s\\0' "$@" >>"$RECORD"; printf '\\n' >>"$RECORD"
exit "${CODE:-0}"
"""
# Stands for scripts/chaos in a test of a real run: the environment is made already.
REAL = f"""\
#!/usr/bin/env bash
exec {sys.executable} -m chaos "$@"
"""


@dataclass
class Job:
    """A job that uses the action. `files` has what a runner gives to it."""

    folder: Path
    inputs: dict[str, str]
    program: str = RECORDS
    env: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)  # "STEP.NAME" -> value

    def __post_init__(self) -> None:
        assert set(self.inputs) <= set(ACTION["inputs"])
        self.action = self.folder / "action"
        for name in _PINNED:
            (self.action / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, self.action / name)
        program = self.action / "scripts" / "chaos"
        program.parent.mkdir()
        program.write_text(self.program)
        program.chmod(0o755)
        for name in ("temp", "workspace"):
            (self.folder / name).mkdir()

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call of the recording program."""
        lines = (self.folder / "record").read_text().splitlines()
        return [line.split("\0")[:-1] for line in lines]

    @property
    def summary(self) -> Path:
        """The job summary."""
        return self.folder / "summary.md"

    def step(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the shell step `name` to its end, and keep its outputs."""
        (step,) = (step for step in STEPS if step["name"] == name)
        output = self.folder / "output"
        output.write_text("")
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            [*BASH, str(script)],
            cwd=self.folder / "workspace",
            env={
                **os.environ,
                "GITHUB_ACTION_PATH": str(self.action),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                "RUNNER_TEMP": str(self.folder / "temp"),
                "RECORD": str(self.folder / "record"),
                **{key: self.value(text) for key, text in step.get("env", {}).items()},
                **self.env,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            self.outputs[f"{step.get('id')}.{key}"] = value
        return done

    def value(self, text: str) -> str:
        """`text` with its expressions replaced."""
        return _EXPRESSION.sub(lambda match: self._of(match[1]), text)

    def _of(self, expression: str) -> str:
        kind, _, rest = expression.partition(".")
        if kind == "inputs":
            return self.inputs.get(rest, str(ACTION["inputs"][rest]["default"]))
        if kind == "steps":
            return self.outputs[rest.replace(".outputs", "")]
        return {"runner.os": "Linux", "runner.arch": "X64"}[expression]
