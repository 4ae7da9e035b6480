"""Completion, asked of the shells themselves."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.completion import SHELLS, script
from chaos.cli.help import topics
from chaos.cli.main import build_parser, main
from tests.waiting import wait_for

# Asks bash for the completions of the words that follow, as it does when Tab is pressed.
BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
$(complete -p chaos | sed 's/.* -F \\([^ ]*\\) .*/\\1/') 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
# fish offers completions for a command line by itself.
FISH = 'source $argv[1]; complete --do-complete "$argv[2]"'
# zsh completes only in a terminal.
ZSH = 'PS1=; autoload -Uz compinit && compinit -u -D; eval "$(<{script})"; print re""ady\n'


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The script of each shell; two runs are stored beside them."""
    folder = tmp_path_factory.mktemp("completion")
    made = {}
    for shell in SHELLS:
        made[shell] = folder / f"chaos.{shell}"
        made[shell].write_text(script(build_parser(), shell, list(topics())))
    for name in ("soak_b/r1", "soak_c/r2"):
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "config.json").write_text("{}")
    return made


@pytest.mark.parametrize("shell", SHELLS)
def test_command_prints_the_script(
    shell: str, scripts: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == ExitCode.PASS
    assert "_shtab_chaos" in capsys.readouterr().out


def asked(folder: Path, *argv: str) -> list[str]:
    env = {key: value for key, value in os.environ.items() if key != "CHAOS_RUNS"}
    done = subprocess.run(
        argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.partition("\t")[0].rstrip("/") for line in done.stdout.splitlines()]


CASES = [
    (["ca"], ["canary"]),
    (["run", "soak_"], ["soak_a", "soak_b", "soak_c"]),
    (["run", "soak_b", "--fault", "llm_timeo"], ["llm_timeout"]),
    (["run", "soak_b", "--faults", "queu"], ["queue"]),
    (["run", "soak_b", "--back"], ["--backend"]),
    (["run", "soak_b", "--backend", "d"], ["docker"]),
    (["gate", "--profile", "fu"], ["full"]),
    (["check", "soak_"], ["soak_b/r1", "soak_c/r2"]),
    (["triage", "lat"], ["latest"]),
    (["target", "check", "ref"], ["reference"]),
    (["help", "gloss"], ["glossary"]),
]


@pytest.mark.parametrize(("words", "offered"), CASES, ids=lambda value: " ".join(value)[:30])
def test_bash_offers(words: list[str], offered: list[str], scripts: dict[str, Path]) -> None:
    path = scripts["bash"]
    argv = ("bash", "--noprofile", "--norc", "-c", BASH, "bash", str(path), "chaos", *words)
    assert set(offered) <= set(asked(path.parent, *argv))


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("words", "offered"), CASES, ids=lambda value: " ".join(value)[:30])
def test_fish_offers(words: list[str], offered: list[str], scripts: dict[str, Path]) -> None:
    path = scripts["fish"]
    line = " ".join(["chaos", *words])
    assert set(offered) <= set(asked(path.parent, "fish", "-N", "-c", FISH, str(path), line))


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(("words", "offered"), CASES, ids=lambda value: " ".join(value)[:30])
def test_zsh_offers(words: list[str], offered: list[str], scripts: dict[str, Path]) -> None:
    path = scripts["zsh"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(path.parent)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb", "COLUMNS": "200"})
    shown = b""
    try:
        os.set_blocking(terminal, False)

        def said(text: str) -> bool:
            nonlocal shown
            with suppress(BlockingIOError):
                shown += os.read(terminal, 65536)
            return text.encode() in shown

        os.write(terminal, ZSH.format(script=path).encode())
        wait_for("zsh has read the script", lambda: said("ready"))
        shown = b""
        os.write(terminal, " ".join(["chaos", *words]).encode() + b"\t\t")
        for word in offered:
            wait_for(f"{word} is offered", lambda word=word: said(word), 20, seen=lambda: shown)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
