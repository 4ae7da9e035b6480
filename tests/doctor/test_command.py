"""`chaos doctor` on real workspaces of the reference Watcher, before and after `--fix`."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from tests.doctor.conftest import examine
from tests.workspaces import REPO, Daemon, free_port, snapshot

ARTEFACTS = {
    "optimal_window_config.json",
    "bidirectional_survivors.json",
    "optimal_scorer_config.json",
    "survivors_with_scores.json",
}
MADE_BY_FIX = ARTEFACTS | {"lottery_history.json", "watcher_policies.json"}
# Files that the Watcher's commands write in addition to their results.
MADE_BY_THE_WATCHER = {"logs", "logs/dispatch.log", "logs/watcher_agent.log", "watcher.lock"}
HOUR_S = 3600.0
DEAD = 2**22  # above the largest PID of Linux


def aged(path: Path, seconds: float = 2 * HOUR_S) -> Path:
    """Make a file look old."""
    then_s = time.time() - seconds
    os.utime(path, (then_s, then_s))
    return path


def test_the_doctor_reports_problems_of_a_new_workspace_and_changes_nothing(
    new_workspace: Path,
) -> None:
    before = snapshot(new_workspace)
    seen = examine(new_workspace)
    assert seen.exit_code == ExitCode.INVALID
    assert seen.bad() == {"policies", "history", "artefact"}
    assert len(seen.named("artefact", "problem")) == len(ARTEFACTS)
    assert all(item["next_step"] for item in seen.items if item["state"] in ("warn", "problem"))
    assert snapshot(new_workspace) == before


def test_fix_makes_only_the_missing_files_and_names_them(new_workspace: Path) -> None:
    before = snapshot(new_workspace)
    done = examine(new_workspace, "--fix")
    after = snapshot(new_workspace)
    assert done.bad() == set()
    assert all(change["done"] for change in done.changes)
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed - {"work"} == MADE_BY_FIX | MADE_BY_THE_WATCHER
    assert before.keys() <= after.keys()
    report = " ".join(change["what"] for change in done.changes)
    assert all(name in report for name in MADE_BY_FIX)
    assert "bootstrap_history.py" in report and "--start-step 1 --end-step 3" in report


def test_a_second_fix_changes_nothing(workspace: Path) -> None:
    before = snapshot(workspace)
    second = examine(workspace, "--fix")
    assert second.changes == []
    assert snapshot(workspace) == before


def test_fix_runs_only_the_missing_steps(workspace: Path) -> None:
    (workspace / "survivors_with_scores.json").unlink()
    window = (workspace / "optimal_window_config.json").read_bytes()
    done = examine(workspace, "--fix")
    assert [c for c in done.changes if "--start-step 3 --end-step 3" in c["what"]]
    assert len(done.changes) == 1 and done.bad() == set()
    assert (workspace / "optimal_window_config.json").read_bytes() == window


def test_fix_keeps_the_other_policies(workspace: Path) -> None:
    policies = workspace / "watcher_policies.json"
    policies.write_text(json.dumps({"test_mode": False, "mine": {"kept": [1, 2]}}))
    done = examine(workspace, "--fix")
    assert done.bad() == set() and len(done.changes) == 1
    content = json.loads(policies.read_text())
    assert content["mine"] == {"kept": [1, 2]}
    assert content["test_mode"] is True and content["synthetic_injection"]["enabled"] is True


Plant = Callable[[Path], object]


def _write(name: str, text: str) -> Plant:
    return lambda root: (root / name).write_text(text)


def _old_artefact(root: Path) -> None:
    aged(root / "survivors_with_scores.json")


def _other_seed(root: Path) -> None:
    path = root / "lottery_history.json"
    content = json.loads(path.read_text())
    content["draws"][3]["value"] += 1
    path.write_text(json.dumps(content))


def _torn(root: Path) -> None:
    (root / "watcher_decisions.jsonl").write_text('{"decision_id": "d1"}\n{"decision_')


def _unreadable(root: Path) -> None:
    (root / "watcher_decisions.jsonl").write_bytes(b'{"a": 1}\n[2]\n\xff\xfe\n{"a": 4}\n')


def _claimed(root: Path) -> None:
    (root / "watcher_requests" / "claimed").mkdir(parents=True)
    (root / "watcher_requests" / "claimed" / "x.json").write_text("{}")


def _quarantined(root: Path) -> None:
    folder = root / "watcher_requests" / "quarantine"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("[]")
    (folder / "x.json.reason.json").write_text("{}")


def _dangling_flag(root: Path) -> None:
    (root / "watcher_halt.flag").symlink_to("nowhere")


def _dead_lock(root: Path) -> None:
    (root / "agents" / "some.lock").write_text(f"{DEAD}\n")
    aged(root / "agents" / "some.lock")


def _recycled_lock(root: Path) -> None:
    (root / "some.lock").write_text(json.dumps({"pid": os.getpid(), "start_ticks": 1}))
    aged(root / "some.lock")


def _old_lock(root: Path) -> None:
    (root / "some.lock").touch()
    aged(root / "some.lock")


PLANTED: list[tuple[Plant, str, str, str]] = [
    (_write("watcher_halt.flag", "Soak A complete"), "halt_flag", "problem", "Soak A complete"),
    (_write("watcher_halt.flag", ""), "halt_flag", "problem", "is set"),
    (_dangling_flag, "halt_flag", "problem", "is set"),
    (_dead_lock, "locks", "problem", "agents/some.lock: names process"),
    (_recycled_lock, "locks", "problem", "now belongs to another one"),
    (_old_lock, "locks", "warn", "not provably stale"),
    (_write("watcher_policies.json", '{"test_mode": '), "policies", "problem", "not JSON"),
    (_write("watcher_policies.json", "[]"), "policies", "problem", "not a JSON object"),
    (_write("watcher_policies.json", "{}"), "policies", "problem", "test_mode is null, not true"),
    (_write("lottery_history.json", '{"draws": ['), "history", "problem", "not JSON"),
    (_write("lottery_history.json", '{"draws": []}'), "history", "problem", "no draws"),
    (_other_seed, "history", "warn", "not the synthetic history of seed 12345"),
    (_write("bidirectional_survivors.json", ""), "artefact", "problem", "empty"),
    (_write("optimal_scorer_config.json", '{"a"'), "artefact", "problem", "not JSON"),
    (
        _write("optimal_window_config.json", '{"bootstrap": true}'),
        "artefact", "problem", "step 1 has not run",
    ),
    (_old_artefact, "artefact", "warn", "older than those of earlier steps"),
    (_torn, "decisions", "warn", "the last line is torn"),
    (_unreadable, "decisions", "warn", "2 unreadable (first: line 2)"),
    (_claimed, "queue", "warn", "1 claimed"),
    (_quarantined, "queue", "warn", "1 quarantined"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "name", "state", "seen"), PLANTED)
def test_exactly_the_planted_problem_is_reported(
    plant: Plant, name: str, state: str, seen: str, workspace: Path
) -> None:
    assert examine(workspace).bad() == set()
    plant(workspace)
    examined = examine(workspace)
    assert examined.bad() == {name}
    [item] = [i for i in examined.named(name) if i["state"] != "ok"]
    assert item["state"] == state and seen in item["seen"], item
    assert item["next_step"]


def test_a_full_disk_is_a_problem(workspace: Path, tmp_path: Path) -> None:
    """A limit above any disk's size stands for a disk that is nearly full."""
    profile = tmp_path / "mine.yaml"
    text = (REPO / "experiments" / "targets" / "reference.yaml").read_text()
    text = text.replace("disk_free_mb_min: 1000", "disk_free_mb_min: 1000000000000")
    profile.write_text(text.replace("target: reference", "target: mine"))
    assert examine(workspace, "--target", str(profile)).bad() == {"disk"}


def test_fix_never_removes_a_halt_flag_and_runs_no_pipeline_while_it_is_set(
    new_workspace: Path,
) -> None:
    flag = new_workspace / "watcher_halt.flag"
    flag.write_text("stay")
    done = examine(new_workspace, "--fix")
    assert flag.read_text() == "stay"
    assert done.named("halt_flag", "problem")
    assert [c["what"] for c in done.changes if not c["done"]] == [
        "no artefacts: the halt flag is set, and it is not ours to remove"
    ]
    assert not (new_workspace / "watcher.lock").exists()


def test_fix_removes_a_lock_only_if_its_holder_is_provably_dead(workspace: Path) -> None:
    dead = aged(_written(workspace / "dead.lock", str(DEAD)))
    fresh = _written(workspace / "fresh.lock", str(DEAD))  # perhaps the PID in a container
    alive = aged(_written(workspace / "alive.lock", str(os.getpid())))
    unnamed = aged(_written(workspace / "nobody.lock", ""))
    held = aged(_written(workspace / "held.lock", str(DEAD)))
    with held.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        done = examine(workspace, "--fix")
    assert not dead.exists()
    assert fresh.exists() and alive.exists() and unnamed.exists() and held.exists()
    assert len(done.changes) == 1 and "dead.lock" in done.changes[0]["what"]


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_lock_file_of_a_killed_watcher_is_no_problem_and_stays(
    workspace: Path, daemon: Callable[[Path], Daemon]
) -> None:
    """The kernel has released the lock. Removing the file could let two Watchers run."""
    watcher = daemon(workspace)
    running = examine(workspace)
    assert running.named("watcher")[0]["seen"] == f"running, process {watcher.process.pid}"
    assert "held" in running.named("locks", "ok")[0]["seen"]
    watcher.kill()
    killed = examine(workspace, "--fix")
    assert "which is dead" in killed.named("locks", "ok")[0]["seen"]
    assert (workspace / "watcher.lock").exists()
    assert "not running" in killed.named("watcher")[0]["seen"]


def test_fix_changes_nothing_while_the_watcher_runs(
    workspace: Path, daemon: Callable[[Path], Daemon]
) -> None:
    watcher = daemon(workspace)
    (workspace / "bidirectional_survivors.json").unlink()
    done = examine(workspace, "--fix")
    assert [c["done"] for c in done.changes] == [False]
    assert f"process {watcher.process.pid}" in done.changes[0]["what"]
    assert not (workspace / "bidirectional_survivors.json").exists()


def test_a_folder_without_the_watcher_is_a_problem(tmp_path: Path) -> None:
    seen = examine(tmp_path, "--fix")
    assert seen.exit_code == ExitCode.INVALID
    assert "agents/watcher_agent.py" in seen.named("workspace", "problem")[0]["seen"]
    assert not any(tmp_path.iterdir())


def test_an_unknown_placeholder_is_a_usage_error(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REPO / "experiments" / "targets" / "reference.yaml").read_text()
    profile = tmp_path / "mine.yaml"
    text = text.replace("target: reference", "target: mine")
    profile.write_text(text.replace('"{start_step}"', '"{first}"'))
    assert main(["doctor", "--workspace", str(workspace), "--target", str(profile)]) == 2
    assert "unknown placeholder 'first'" in capsys.readouterr().err


def test_the_text_output_has_a_state_and_a_next_step_per_item(
    new_workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = f"127.0.0.1:{free_port()}"
    assert main(["doctor", "--workspace", str(new_workspace), "--llm", closed]) == 4
    out = capsys.readouterr().out
    assert f"no server listens on {closed}" in out and "000" not in out.split("LLM health")[1][:40]
    assert "problem  draw history" in out and "next: python3 bootstrap_history.py" in out
    assert "--fix can repair: policies, draw history, artefact." in out
    assert "\x1b[" not in out


def test_the_command_examines_the_current_folder(workspace: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "doctor", "--llm", f"127.0.0.1:{free_port()}"],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.INVALID, done.stderr
    assert "1 problem(s)" in done.stdout and not done.stderr


def test_without_a_watchers_folder_only_the_machine_is_examined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("chaos.assets.status", lambda: [])  # a machine with nothing to provision
    assert main(["doctor", "--json"]) == ExitCode.PASS
    content = json.loads(capsys.readouterr().out)
    assert content["workspace"] is None
    assert {item["name"] for item in content["items"]} == {"namespaces", "memory", "docker", "gpu"}
    assert main(["doctor"]) == ExitCode.PASS
    assert "chaos doctor: this machine" in capsys.readouterr().out
    assert main(["doctor", "--fix"]) == ExitCode.USAGE
    assert "--workspace DIR" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_in_a_watchers_folder_that_folder_is_examined(
    new_workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(new_workspace)
    assert main(["doctor", "--json"]) == ExitCode.INVALID
    assert json.loads(capsys.readouterr().out)["workspace"] == str(new_workspace)
