"""Defective Watchers on a real stack lead to the right cause, and the record has an inspection of
the running stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli.triage import explain
from tests.integration.command import history
from tests.planted.table import DEFECTS
from tests.truth_table import run as run_planted

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=70)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("no_reconnection", "llm_connection_drop", marks=pytest.mark.long),
        pytest.param("leak_per_request", "memory_leak", marks=pytest.mark.long),
    ],
)
def test_a_defective_watcher_leads_to_its_cause(name: str, expected: str, tmp_path: Path) -> None:
    planted = next(one for one in DEFECTS if one.name == name)
    done = run_planted(planted, tmp_path)
    assert done.exit_code == 1, done.text
    run = done.run()
    found = explain(str(run.path), tmp_path / "runs", target="reference", deep=False)
    assert found.causes[0].name == expected, done.text
    assert found.causes[0].owner == "product"
    assert "unknown" not in {cause.name for cause in found.causes}
    looks = [r["detail"] for r in history(run) if r.get("name") == "inspection"]
    assert looks[-1]["why"] == "the end of quiet"
    roles = {process["role"] for process in looks[-1]["processes"]}
    assert {"watcher", "llm_supervisor", "proxy"} <= roles
    assert "## Triage" in run.report.read_text(encoding="utf-8")
    if name == "leak_per_request":
        assert any("bytes " in item.text for item in found.causes[0].evidence), done.text
    if name == "no_reconnection":
        assert [(p.role, p.taken) for p in found.paths] == [
            ("triage", True),
            ("reconnection", False),
        ]
