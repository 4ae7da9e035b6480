"""`chaos help`: topics that say what is true, and the help of commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.base.shipped import HELP
from chaos.cli.help import topic_text, topics
from chaos.cli.main import _COMMANDS, build_parser, main
from chaos.report.words import MEANING
from chaos.runner.common_options import EXIT_CODES
from chaos.runner.resolve import soak_names

WIDTH = 80


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["help", *words]) == ExitCode.PASS
    return capsys.readouterr().out


def test_overview_lists_every_topic_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys)
    for name in [*topics(), *_COMMANDS]:
        assert re.search(rf"^  {name} +\S", out, re.MULTILINE), name


@pytest.mark.parametrize("name", topics())
def test_topic_fits_a_terminal_and_has_no_markup(name: str) -> None:
    out = topic_text(name, [])
    assert all(len(line) <= WIDTH for line in out.splitlines())
    assert "](" not in out and "```" not in out and not out.startswith("#")


def test_command_prints_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["canary", "--help"])
    own = capsys.readouterr().out
    assert printed(capsys, "canary") == own


def test_name_of_a_topic_and_a_command_prints_both(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "faults")
    assert out.startswith("Faults: ") and "usage: chaos faults" in out


def test_typo_names_the_nearest_topic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "verdcits"]) == ExitCode.USAGE
    assert "did you mean 'verdicts'?" in capsys.readouterr().err


def test_exit_codes_are_those_of_every_help() -> None:
    assert f"```\n{EXIT_CODES}```" in (HELP / "exit-codes.md").read_text()


def test_verdicts_and_soaks_are_complete() -> None:
    verdicts = (HELP / "verdicts.md").read_text()
    assert all(f"- `{word}`: " in verdicts for word in MEANING)
    assert all(f"- `{name}`: " in (HELP / "soaks.md").read_text() for name in soak_names())


def test_commands_in_the_topics_can_be_parsed() -> None:
    parser = build_parser()
    for path in HELP.glob("*.md"):
        text = path.read_text()
        for line in re.findall(r"^ {4}chaos (.+?)(?: {2,}.*| > .*)?$", text, re.MULTILINE):
            parser.parse_args(re.sub(r'"[^"]*"', "QUERY", line).split())
        for words in re.findall(r"`chaos ([^`]+)`", text):
            assert words.split()[0] in _COMMANDS, words


def test_variables_that_are_read_are_explained(repo: Path) -> None:
    """Those for the processes of a run itself, which no user sets, are named here."""
    own = {"CHAOS_COMMAND_LINE", "CHAOS_REPLAY_OF", "CHAOS_RUN_ID", "CHAOS_SANDBOX"}
    own |= {"CHAOS_SERVICE", "CHAOS_CLOCK_OFFSET_FILE", "CHAOS_TOXIPROXY_REASON", "CHAOS_INNER"}
    listed = subprocess.run(
        ["grep", "-rhoE", r"environ(\.get)?[\[(]\"[A-Z_0-9]+|\{CHAOS_[A-Z_]+", "chaos", "scripts"],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    read = set(re.findall(r"(?:\"|\{)([A-Z_0-9]+)", listed)) - own
    text = (HELP / "environment.md").read_text()
    containers = (repo / "docs" / "containers.md").read_text()
    known = {name for name in read if name in text or f"`{name}`" in containers}
    assert {name for name in read - known if name.startswith("CHAOS_")} == set()
