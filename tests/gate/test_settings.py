"""A mistake in a gate file is reported with its line and key, not as an option of `chaos run`."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main

GATE = """\
soaks: [soak_b, soak_c]
faults: [llm_timeout]
default_profile: quick
profiles:
  quick:
    cooldown_s: 1
    set:
      soak_c:
        storm_s: 100
        criteria.halt.limit_s: 20
  full:
    cooldown_s: 1
"""


def dry_run(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, *words: str
) -> tuple[int, str]:
    """Run a gate file in which `old` is replaced. Returns the exit code and stderr."""
    path = folder / "my_gate.yaml"
    assert old in GATE
    path.write_text(GATE.replace(old, new, 1), encoding="utf-8")
    code = main(["gate", "--dry-run", "--config", str(path), "--seed", "1", *words])
    return code, capsys.readouterr().err


def test_the_unchanged_file_has_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(tmp_path, capsys, "soaks", "soaks") == (ExitCode.PASS, "")


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("storm_s", "bogus", "9 profiles.quick.set.soak_c.bogus", "unknown key 'bogus'"),
        ("100", "soon", "9 profiles.quick.set.soak_c.storm_s", "not a duration"),
        ("100", "-1", "9 profiles.quick.set.soak_c.storm_s", "more than 0"),
        ("halt.limit_s: 20", "halt.limit_s: -1", "10 ", "halt.limit_s"),
        ("halt.limit_s: 20", "hlt.limit_s: 1", "10 ", "'halt'"),
        ("100", "5", "2 faults", "do not fit"),
        ("soak_c:", "soak_d:", "8 profiles.quick.set.soak_d", "unknown soak"),
        ("[llm_timeout]", "[nope]", "2 faults[0]", "unknown fault 'nope'"),
        ("[llm_timeout]", "[llm_timeout:hold=x]", "2 faults[0]", "not a duration"),
        ("[llm_timeout]", "[none, llm_timeout]", "2 faults", "exclude each other"),
        ("default_profile: quick", "default_profile: zz", "3 default_profile", "unknown profile"),
        ("soak_b,", "../x,", "1 soaks[0]", "no such file"),
        ("soak_b,", "soak_x,", "1 soaks[0]", "unknown soak 'soak_x'"),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_key(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    place: str,
    words: str,
) -> None:
    code, text = dry_run(tmp_path, capsys, old, new)
    assert code == ExitCode.USAGE
    first = text.splitlines()[0]
    assert f"my_gate.yaml:{place}" in first
    assert words in text
    assert not first.startswith("chaos: error: --")


def test_a_profile_that_a_soak_lacks_is_reported_at_the_default_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = GATE.replace("quick:", "own:", 1).replace("default_profile: quick", "")
    new = "default_profile: own" + changed[changed.index("\nprofiles") :]
    code, text = dry_run(tmp_path, capsys, GATE[GATE.index("default_profile") :], new)
    assert code == ExitCode.USAGE
    assert "my_gate.yaml:3 default_profile: unknown profile 'own'" in text


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("--profile", "zz"), "--profile: unknown profile 'zz'"),
        (("--fault", "nope"), "--fault: unknown fault 'nope'"),
        (("--soaks", "x"), "--soaks: unknown soak 'x'"),
    ],
)
def test_a_mistake_in_an_option_names_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], place: str
) -> None:
    code, text = dry_run(tmp_path, capsys, "soaks", "soaks", *words)
    assert code == ExitCode.USAGE
    assert text.startswith(f"chaos: error: {place}")
