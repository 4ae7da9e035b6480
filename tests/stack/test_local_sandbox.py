"""The reference stack inside the sandbox: two at a time, own disks, nothing left."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from chaos.assets import Assets
from chaos.record.rundir import RunDir
from chaos.sandbox.command import guardian_argv
from chaos.sandbox.guardian import marked_pids
from chaos.sandbox.probe import require

PROGRAM = Path(__file__).with_name("inside_stack.py")


def start(folder: Path, repo: Path, assets: Assets) -> tuple[RunDir, subprocess.Popen[str]]:
    run = RunDir(folder / uuid.uuid4().hex)
    run.logs.mkdir(parents=True)
    run.artefacts.mkdir()
    config: dict[str, Any] = {
        "run": str(run.path),
        "model": str(assets.model),
        "toxiproxy": str(assets.toxiproxy),
        "images": str(repo / "images"),
        "target": str(repo / "experiments" / "targets" / "reference.yaml"),
        "settings": {"draw_interval_s": 1, "llm_timeout_s": 5, "llm_attempts": 2},
        "wait_for": "diagnostics_history/*.json",
    }
    run.config.write_text(json.dumps(config))
    argv = guardian_argv(
        [sys.executable, str(PROGRAM), str(run.config)],
        run_id=run.run_id,
        mode="namespaces",
        user_namespace=require().user,
    )
    return run, subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.stack
@pytest.mark.slow(seconds=40)
@pytest.mark.long  # at every change two whole runs: tests/integration/test_lifecycle.py
def test_two_reference_stacks_run_side_by_side(tmp_path: Path, repo: Path, assets: Assets) -> None:
    """Same ports, same paths, no conflict; each diagnoses a draw; a full disk stays inside."""
    both = [start(tmp_path / name, repo, assets) for name in ("a", "b")]
    for run, process in both:
        output = process.communicate(timeout=240)[0]
        assert process.returncode == 0, output
        facts = json.loads((run.path / "facts.json").read_text())
        assert facts["seen"], "no draw was diagnosed"
        assert facts["errno"] == errno.ENOSPC
        assert facts["written_mb"] <= facts["size_mb"] * 1.05
        assert facts["left"] == []
        assert facts["swept"] == []
        assert (run.artefacts / "lottery_history.json").is_file()
        assert (run.artefacts / "logs" / "llm_events.jsonl").is_file()
        assert not list(run.artefacts.rglob("*.py"))
        assert not (run.path / "workspace").exists()
        assert marked_pids(run.run_id) == {}
