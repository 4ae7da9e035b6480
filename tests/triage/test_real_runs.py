"""Defective Watchers on a real stack lead to the right cause, and the record has an inspection of
the running stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli.triage import explain
from tests.integration.command import ONE_FAULT, chaos, history, settings
from tests.integration.test_planted import planted_target

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=70)]


@pytest.mark.parametrize(
    ("name", "fault", "length", "expected"),
    [
        ("no_reconnection", ONE_FAULT, {}, "llm_connection_drop"),
        pytest.param(
            "leak_per_request", ("--fault", "none"), {"baseline_s": 20, "storm_s": 40},
            "memory_leak", marks=pytest.mark.long,
        ),
    ],
)  # fmt: skip
def test_a_defective_watcher_leads_to_its_cause(
    name: str, fault: tuple[str, ...], length: dict[str, int], expected: str, tmp_path: Path
) -> None:
    target = planted_target(name, tmp_path)
    done = chaos(
        tmp_path / "runs", "run", "soak_c", *fault, "--seed", "7", "--target", str(target),
        *settings(**length),
    )  # fmt: skip
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
