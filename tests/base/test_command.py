"""The names of the command, beside another package that installs a command `chaos`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from chaos.base.command import name_taken, program
from chaos.cli.main import main


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The metadata of an installed package, without its entry points."""
    info = tmp_path / "packages" / "chaostoolkit-1.19.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaostoolkit\nVersion: 1.19.0\n")
    monkeypatch.syspath_prepend(info.parent)
    return info


def test_another_package_with_the_command_is_named(
    other_package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (other_package / "entry_points.txt").write_text(
        "[console_scripts]\nchaos = chaostoolkit.__main__:cli\n"
    )
    main(["version"])
    assert "chaostoolkit 1.19.0" in capsys.readouterr().out
    main(["doctor", "--workspace", str(tmp_path), "--json"])
    items = json.loads(capsys.readouterr().out)["items"]
    (item,) = [item for item in items if item["name"] == "command"]
    assert item["state"] == "warn" and "chaostoolkit 1.19.0" in item["seen"]
    assert "chaos-gate" in item["next_step"]


@pytest.mark.parametrize(
    "entry_points",
    ["", "[console_scripts]\nchaosreport = a:b\n", "[chaos_gate.faults]\nchaos = a:b\n"],
)
def test_package_with_other_commands_is_not_named(
    entry_points: str, other_package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (other_package / "entry_points.txt").write_text(entry_points)
    assert name_taken() is None
    main(["version"])
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("started", "expected"),
    [("/usr/bin/chaos", "chaos"), ("/x/chaos/__main__.py", "chaos"), ("chaos-gate", "chaos-gate")],
)
def test_usage_lines_have_the_name_that_was_typed(
    started: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    assert program() == expected
