"""An inspection of a Watcher's folder changes nothing, is bounded, and leads to the cause."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.base.errors import UsageError
from chaos.base.shipped import EXPERIMENTS
from chaos.cli.main import main
from chaos.cli.triage import explain
from chaos.record.target import Target
from chaos.runner.resolve import read_target
from chaos.triage.facts import Facts
from chaos.triage.from_workspace import triage_workspace
from chaos.triage.result import Triage
from chaos.triage.steps import closer
from chaos.witness.inspection import DEEP, QUICK, Bounds, inspect

OLD_S = 3600.0
# Stands for a Watcher: a process with its command line that works in the folder and holds files.
DAEMON = """\
import socket, sys, time
held = [open("held.txt", "w"), socket.socket()]
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()
accepted.close()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def target() -> Target:
    return read_target("reference")[1]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "the Watcher's"
    for name in ("watcher_requests/archive", "watcher_requests/quarantine", "logs", "agents"):
        (folder / name).mkdir(parents=True)
    (folder / "agents" / "watcher_agent.py").write_text(DAEMON)
    return folder


@pytest.fixture
def daemon(workspace: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "agents/watcher_agent.py", "--daemon"],
        cwd=workspace,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process.pid
    process.kill()
    process.wait()
    process.stdout.close()


def look(target: Target, workspace: Path, bounds: Bounds = QUICK) -> Triage:
    return triage_workspace(target, workspace, inspect(target, workspace, why="t", bounds=bounds))


def causes(found: Triage) -> list[str]:
    return [cause.name for cause in found.causes]


def request(workspace: Path, name: str, content: bytes, age_s: float = OLD_S) -> Path:
    path = workspace / "watcher_requests" / name
    path.write_bytes(content)
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


SOUND = b'{"request_type": "selfplay"}'


def decide(workspace: Path, *fallbacks: bool, age_s: float = 0.0) -> None:
    log = workspace / "watcher_decisions.jsonl"
    entries = [
        {
            "decision_id": f"d{n}",
            "status": "COMPLETED",
            **({"heuristic_fallback": True} if f else {}),
        }
        for n, f in enumerate(fallbacks)
    ]
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    os.utime(log, (time.time() - age_s, time.time() - age_s))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty file"),
        (b"\0" * 64, "nothing but NUL"),
        (SOUND + b"\0\0", "NUL bytes from byte 28"),
        (b'{"request_type": "self', "cut off"),
        (b'{"request_type": "\xff"}', "not UTF-8 at byte 18"),
        (b"[1, 2]", "a JSON array"),
        (b'{"reason": "x"}', "no text in 'request_type'"),
        (b'{"request_type": selfplay, "a": 1}', "not JSON"),
    ],
)
def test_each_kind_of_corruption_is_named(
    content: bytes, word: str, target: Target, workspace: Path
) -> None:
    path = request(workspace, "bad.json", content)
    found = look(target, workspace)
    assert causes(found) == ["queue_corruption"]
    assert word in found.causes[0].evidence[0].text
    assert found.causes[0].evidence[0].ref == "watcher_requests/bad.json"
    assert path.read_bytes() == content


def test_an_inspection_changes_no_file(target: Target, workspace: Path, daemon: int) -> None:
    request(workspace, "bad.json", b"[")
    request(workspace, "good.json", SOUND)
    decide(workspace, False, True)
    before = stamps(workspace)
    look(target, workspace, DEEP)
    assert stamps(workspace) == before


def stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
    }


def test_an_inspection_has_descriptors_and_sockets_of_a_live_watcher(
    target: Target, workspace: Path, daemon: int
) -> None:
    seen = inspect(target, workspace, why="t", bounds=DEEP)
    [process] = [one for one in seen["processes"] if one["pid"] == daemon]
    assert process["role"] == "watcher"
    assert process["descriptors"]["file"] >= 1 and process["descriptors"]["socket"] >= 3
    assert process["sockets"] == {"CLOSE_WAIT": 1, "LISTEN": 1}
    assert process["rss_anon_bytes"] > 0 and process["mappings"]
    assert "was not asked" in seen["memory"]["absent"]
    found = triage_workspace(target, workspace, seen)
    assert "process_died" in {one.name for one in found.ruled_out}
    assert any("CLOSE_WAIT" in line for line in found.seen)
    assert any("top allocators cannot be had" in line for line in found.seen)


def test_sound_requests_that_wait_over_a_live_watcher_are_a_stall(
    target: Target, workspace: Path, daemon: int
) -> None:
    request(workspace, "good.json", SOUND)
    decide(workspace, False, age_s=OLD_S)
    assert causes(look(target, workspace)) == ["stall"]


def test_a_stall_under_a_halt_flag_names_the_flag(
    target: Target, workspace: Path, daemon: int
) -> None:
    request(workspace, "good.json", SOUND)
    decide(workspace, False, age_s=OLD_S)
    (workspace / "watcher_halt.flag").write_text("by hand")
    [cause] = look(target, workspace).causes
    assert cause.name == "stall" and "watcher_halt.flag" in cause.summary


def test_new_requests_are_no_stall(target: Target, workspace: Path, daemon: int) -> None:
    request(workspace, "good.json", SOUND, age_s=0)
    decide(workspace, False, age_s=OLD_S)
    assert causes(look(target, workspace)) == []


def test_a_status_of_work_without_a_process_is_a_death(target: Target, workspace: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    status = {"pid": process.pid, "state": "working"}
    (workspace / "watcher_status.json").write_text(json.dumps(status))
    request(workspace, "good.json", SOUND)
    assert causes(look(target, workspace)) == ["process_died"]


def test_a_status_of_a_process_that_works_elsewhere_contradicts_itself(
    target: Target, workspace: Path
) -> None:
    status = {"pid": os.getpid(), "state": "working"}
    (workspace / "watcher_status.json").write_text(json.dumps(status))
    found = look(target, workspace)
    assert causes(found) == []
    assert "process_died" in {one.name for one in found.undecided}
    assert found.sentence.startswith("unknown")


def test_fallbacks_up_to_the_last_decision_are_a_connection_drop(
    target: Target, workspace: Path, daemon: int
) -> None:
    decide(workspace, False, True, True)
    [cause] = look(target, workspace).causes
    assert cause.name == "llm_connection_drop" and "2 decisions" in cause.summary


def test_fallbacks_before_an_answer_are_over(target: Target, workspace: Path, daemon: int) -> None:
    decide(workspace, True, True, False)
    assert "llm_connection_drop" in {one.name for one in look(target, workspace).ruled_out}


def test_an_empty_folder_names_no_cause(target: Target, workspace: Path) -> None:
    found = look(target, workspace)
    assert causes(found) == [] and found.sentence.startswith("unknown")
    assert {one.name for one in found.undecided} >= {"memory_leak", "llm_connection_drop"}
    assert all(one.would_decide for one in found.undecided)


def test_an_inspection_is_bounded_and_names_what_it_left_out(
    target: Target, workspace: Path
) -> None:
    for number in range(30):
        request(workspace, f"r{number:02d}.json", b"[")
    tight = Bounds(60.0, 10, 5, 64, 256, 3)
    seen = inspect(target, workspace, why="t", bounds=tight)
    assert len(seen["queue"]["stuck"]) == 5 and seen["queue"]["pending"] == 30
    assert "pending: 5 of 30 requests parsed" in seen["cut"]
    assert any(text.startswith("files: 10 walked") for text in seen["cut"])
    in_no_time = inspect(target, workspace, why="t", bounds=Bounds(0.0, 10, 5, 64, 256, 3))
    assert in_no_time["queue"]["stuck"] == [] and in_no_time["cut"]


def test_a_folder_that_is_neither_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run nor a working directory"):
        explain(str(tmp_path), tmp_path, target="reference", deep=False)


def test_the_command_prints_json_for_machines(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request(workspace, "bad.json", b"[")
    assert main(["triage", str(workspace), "--json", "--runs", str(tmp_path)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["kind"] == "workspace"
    assert [cause["name"] for cause in content["causes"]] == ["queue_corruption"]


def commands(found: Triage) -> list[list[str]]:
    """The words of each `chaos` command among the next steps, split like in a shell."""
    steps = [step for one in (*found.causes, *found.undecided) for step in one.steps]
    words = [shlex.split(step.command) for step in steps]
    return [command for command in words if command[0] == "chaos"]


def test_next_steps_name_the_same_watcher(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path of the profile becomes absolute, because steps are pasted in any folder."""
    own = tmp_path / "its own.yaml"
    text = (EXPERIMENTS / "targets" / "reference.yaml").read_text()
    own.write_text(text.replace("target: reference", "target: its_own"))
    monkeypatch.chdir(tmp_path)
    found = commands(explain(str(workspace), tmp_path, target="./its own.yaml", deep=False))
    assert {words[1] for words in found} >= {"monitor", "run"}
    for words in found:
        assert words[words.index("--target") + 1] == str(own), words


def test_next_steps_omit_the_default_target(workspace: Path, tmp_path: Path) -> None:
    found = commands(explain(str(workspace), tmp_path, target="reference", deep=False))
    assert found and not any("--target" in words for words in found)


def test_the_step_look_closer_names_the_same_watcher(target: Target, workspace: Path) -> None:
    for named, words in (("mine", ["--target", "mine"]), ("", [])):
        step = closer(Facts(workspace, workspace, is_run=False, target=target, named=named))
        assert step is not None
        assert shlex.split(step.command) == ["chaos", "triage", str(workspace), *words, "--deep"]
