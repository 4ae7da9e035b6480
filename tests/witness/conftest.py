"""The workspace of the reference target, without a Watcher."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.base.yamlfile import load
from chaos.record.target import Target

REFERENCE = Path(__file__).parents[2] / "experiments" / "targets" / "reference.yaml"


@pytest.fixture
def target() -> Target:
    return load(REFERENCE, Target)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    for folder in (
        "watcher_requests/claimed",
        "watcher_requests/archive",
        "watcher_requests/quarantine",
        "policy_history",
        "telemetry",
        "logs",
    ):
        (root / folder).mkdir(parents=True)
    return root
