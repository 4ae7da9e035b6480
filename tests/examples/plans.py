"""Runs of an example that are not run: a plan, and a record with the files of its daemon."""

from __future__ import annotations

from pathlib import Path

import yaml

from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir
from chaos.runner.resolve import Request, resolve
from tests.checks.history_builder import PlantedRun
from tests.examples.cases import EXAMPLES


def plan_of(example: str, soak: str) -> Plan:
    """What `chaos run SOAK --target …` would do with the example."""
    return resolve(Request(soak=soak, target=str(EXAMPLES / example / "target.yaml"), seed=1))


def record_of(example: str, folder: Path, files: dict[str, str]) -> RunDir:
    """A stored run of the example; `files` are those of its workspace."""
    planted = PlantedRun(folder / "run", cuts=())
    text = (EXAMPLES / example / "target.yaml").read_text(encoding="utf-8")
    planted.config["target"] = yaml.safe_load(text)
    planted.files |= {f"artefacts/{path}": content for path, content in files.items()}
    return planted.write()
