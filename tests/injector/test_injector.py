"""The injector appends exactly the generator's draws: none lost, none repeated, after any fault."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
IMAGES = REPO / "images"
INJECTOR = IMAGES / "injector" / "synthetic_draw_injector.py"
sys.path.insert(0, str(IMAGES / "watcher"))

from prng_registry import java_lcg  # noqa: E402

from tests.waiting import wait_for  # noqa: E402

LIMIT_S = 30.0


class Workspace:
    """A workspace with policies and a bootstrapped history of 200 draws."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path.parent / f"{path.name}.log"
        self.history = path / "lottery_history.json"
        self.policies()
        subprocess.run(
            [sys.executable, str(IMAGES / "watcher" / "bootstrap_history.py"), "--draws", "200"],
            cwd=path,
            check=True,
            capture_output=True,
            timeout=LIMIT_S,
        )

    def policies(self, test_mode: bool = True, enabled: bool = True, **more: Any) -> None:
        injection = {"enabled": enabled, "interval_seconds": 0.05, "true_seed": 12345, **more}
        content = {"test_mode": test_mode, "synthetic_injection": injection}
        part = self.path / "policies.part"
        part.write_text(json.dumps(content))
        part.replace(self.path / "watcher_policies.json")

    def draws(self) -> list[dict[str, Any]]:
        draws: list[dict[str, Any]] = json.loads(self.history.read_text())["draws"]
        return draws

    def values(self) -> list[int]:
        return [draw["value"] for draw in self.draws()]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(INJECTOR), *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )

    @contextlib.contextmanager
    def daemon(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A running injector daemon. It is killed at the end."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(INJECTOR), "--daemon", *arguments], cwd=self.path, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait(LIMIT_S)

    def logged(self, text: str) -> int:
        return self.log.read_text().count(text) if self.log.exists() else 0

    def assert_exact(self) -> None:
        """Assert that the history has exactly the generator's values."""
        values = self.values()
        assert values == [raw % 1000 for raw in java_lcg(12345, len(values))]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    path = tmp_path / "workspace"
    path.mkdir()
    return Workspace(path)


def test_once_appends_the_next_draw_of_the_generator(workspace: Workspace) -> None:
    """Draw n of the seed, dated after the draws before it."""
    before = workspace.draws()
    assert workspace.run("--once").returncode == 0
    draws = workspace.draws()
    assert draws[:-1] == before
    assert draws[-1].pop("injected_at").endswith("+00:00")
    value = java_lcg(12345, 1, skip=200)[0] % 1000
    assert draws[-1] == {
        "date": "2024-04-10",
        "session": "midday",
        "draw": [value // 100, value // 10 % 10, value % 10],
        "value": value,
        "draw_source": "synthetic_injector",
        "true_seed": 12345,
    }


def test_count_injects_that_many(workspace: Workspace) -> None:
    """N more draws, in order. In daemon mode it ends after N draws."""
    assert workspace.run("--count", "3").returncode == 0
    assert workspace.run("--daemon", "--interval", "0.05", "--count", "4").returncode == 0
    assert len(workspace.draws()) == 207
    workspace.assert_exact()


def test_kill_9_at_any_moment_neither_loses_nor_repeats_a_draw(workspace: Workspace) -> None:
    """16 kills, half of them during a write. After each, the history is exact.

    Every draw that the log acknowledges is in the history.
    """
    rng = random.Random(9)
    part = workspace.path / ".lottery_history.json.injector.part"
    for attempt in range(16):
        part.unlink(missing_ok=True)
        ready = workspace.logged("injected")
        with workspace.daemon("--interval", "0.05") as process:
            wait_for("a draw", lambda seen=ready: workspace.logged("injected") > seen)  # type: ignore[misc]
            if attempt % 2:
                deadline_s = time.monotonic() + LIMIT_S
                while not part.exists() and time.monotonic() < deadline_s:
                    pass  # busy wait, because a write is short
            else:
                time.sleep(rng.random() * 0.1)
            process.send_signal(signal.SIGKILL)
            process.wait(LIMIT_S)
        workspace.assert_exact()
        acknowledged = workspace.logged("injected")
        assert 200 + acknowledged <= len(workspace.draws()) <= 200 + acknowledged + attempt + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_injector_cleanly(workspace: Workspace, number: signal.Signals) -> None:
    """Exit code 0, a log line, no temporary file, and the lock is free."""
    with workspace.daemon("--interval", "60") as process:
        wait_for("status file", (workspace.path / "injector_status.json").exists)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
    assert workspace.logged("stopped after 0 draws") == 1
    assert not list(workspace.path.glob("*.part")) + list(workspace.path.glob(".*.part"))
    assert workspace.run("--once").returncode == 0


def test_a_second_injector_is_refused_and_changes_nothing(workspace: Workspace) -> None:
    """The refusal names the first one's PID. A killed injector does not hold the lock."""
    with workspace.daemon("--interval", "60") as process:
        wait_for("status file", (workspace.path / "injector_status.json").exists)
        second = workspace.run("--once")
        assert second.returncode == 2
        assert f"another injector is running here (pid {process.pid})" in second.stderr
        assert len(workspace.draws()) == 200
        assert json.loads(workspace.run("--status").stdout)["running"] is True
        process.kill()
        process.wait(LIMIT_S)
    assert workspace.run("--status").returncode == 1
    assert workspace.run("--once").returncode == 0


@pytest.mark.parametrize(
    ("policies", "named"),
    [({"test_mode": False}, "test_mode is off"), ({"enabled": False}, "enabled is off")],
)
def test_the_injector_refuses_if_the_policies_do_not_allow_injection(
    workspace: Workspace, policies: dict[str, bool], named: str
) -> None:
    """Exit code 2, one line that says what to set, no draw."""
    workspace.policies(**policies)
    done = workspace.run("--daemon", "--interval", "0.05")
    assert done.returncode == 2
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(workspace.draws()) == 200


NO_INTERVAL = '{"test_mode": true, "synthetic_injection": {"enabled": true, "true_seed": 1, \
"interval_seconds": 0}}'


@pytest.mark.parametrize("content", ["", "[]", '{"test_mode": true}', "\0\0", NO_INTERVAL, None])
def test_invalid_policies_are_refused_in_one_line(
    workspace: Workspace, content: str | None
) -> None:
    """Without a traceback."""
    path = workspace.path / "watcher_policies.json"
    path.unlink() if content is None else path.write_text(content)
    done = workspace.run("--once")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "watcher_policies.json" in done.stderr


def test_changed_policies_are_obeyed_while_the_injector_runs(workspace: Workspace) -> None:
    """Switched off it pauses, torn policies change nothing, switched on it continues."""
    path = workspace.path / "watcher_policies.json"
    with workspace.daemon("--interval", "0.05"):
        wait_for("a draw", lambda: workspace.logged("injected") > 0)
        workspace.policies(enabled=False)
        wait_for("the pause", lambda: workspace.logged("paused") == 1)
        paused_at = len(workspace.draws())
        path.write_text("{")
        wait_for("the torn policies", lambda: workspace.logged("policies kept as they were") == 1)
        assert len(workspace.draws()) == paused_at
        workspace.policies(enabled=True)
        wait_for("draws again", lambda: len(workspace.draws()) > paused_at + 2)
    workspace.assert_exact()


def test_an_unreadable_history_delays_draws_and_loses_none(workspace: Workspace) -> None:
    """One log line, no draw over a torn history, then all overdue draws."""
    with workspace.daemon("--interval", "0.05"):
        wait_for("a draw", lambda: workspace.logged("injected") > 0)
        aside = workspace.path / "aside.json"
        workspace.history.replace(aside)
        wait_for("the wait", lambda: workspace.logged("waiting") >= 1)
        workspace.history.write_text('{"draws": [{"val')
        wait_for("the wait over the torn file", lambda: workspace.logged("is not JSON") >= 1)
        assert workspace.history.read_text() == '{"draws": [{"val'
        aside.replace(workspace.history)
        count = workspace.logged("injected")
        wait_for("draws again", lambda: workspace.logged("injected") > count + 2)
    assert workspace.logged("waiting") == 2
    workspace.assert_exact()


class StandingClock:
    """A clock, and an injector that stands still once while it waits.

    Only a wait takes time, and each draw takes `draw_s`, as the disk would.
    """

    def __init__(self, ends_after: int, draw_s: float) -> None:
        self.now_s = 1000.0
        self.draws_s: list[float] = []
        self.ends_after, self.draw_s = ends_after, draw_s
        self.stands_still_s = {3: 8.0}  # draws made so far -> duration, once

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        """Return whether to stop, as `Event.wait` does."""
        still_s = self.stands_still_s.pop(len(self.draws_s), 0.0)
        self.now_s += max(seconds, still_s)
        return len(self.draws_s) >= self.ends_after

    def draw(self) -> bool:
        self.draws_s.append(self.now_s - 1000.0)
        self.now_s += self.draw_s
        return True


@pytest.mark.parametrize("draw_s", [0.0, 0.3])
def test_overdue_draws_are_injected_after_a_standstill_and_the_schedule_stays(
    draw_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draw k is due at start + k * interval, however long a draw or a standstill takes.

    Overdue draws follow without a pause, no draw is early, and then all are on time again.
    """
    spec = importlib.util.spec_from_file_location("injector_under_test", INJECTOR)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    clock = StandingClock(ends_after=25, draw_s=draw_s)
    monkeypatch.setattr(module, "time", clock)
    policy = module.Policy(allowed=True, reason="", interval_s=1.0, true_seed=1)
    injector = module.Injector(1.0, policy, stop=clock)
    monkeypatch.setattr(injector, "publish_status", lambda: None)
    monkeypatch.setattr(injector, "_allowed", lambda: True)
    monkeypatch.setattr(injector, "inject", clock.draw)
    injector.run(None)

    resumed_s = 3 + draw_s + 8  # the third draw, and the standstill that follows it
    due = list(range(1, 26))
    assert clock.draws_s[:3] == due[:3]
    made_up = [resumed_s + number * draw_s for number in range(8)]
    assert clock.draws_s[3:11] == pytest.approx(made_up)
    assert all(moment >= number for moment, number in zip(clock.draws_s, due, strict=True))
    assert clock.draws_s[17:] == pytest.approx(due[17:]), "on time again, and not early"


def test_overdue_draws_are_injected_after_the_process_was_stopped(workspace: Workspace) -> None:
    """The schedule is absolute: after a SIGSTOP the injector catches up, and not more.

    With a relative schedule it would stay behind by the draws that were due meanwhile.
    """
    interval_s, missed = 0.5, 8
    status_path = workspace.path / "injector_status.json"
    with workspace.daemon("--interval", str(interval_s)) as process:
        wait_for("the status file", status_path.exists)
        status = json.loads(status_path.read_text())
        began_s = datetime.fromisoformat(status["started_at"]).timestamp()

        def behind() -> float:
            """So many draws are due and not injected."""
            return (time.time() - began_s) / interval_s - workspace.logged("injected")

        process.send_signal(signal.SIGSTOP)
        wait_for("a pause in which draws are due", lambda: behind() > missed)
        process.send_signal(signal.SIGCONT)
        wait_for("the draws that were due", lambda: behind() < missed / 2, seen=behind)
    workspace.assert_exact()


def test_status_has_the_contracts_fields(workspace: Workspace) -> None:
    """--status works without a daemon, too."""
    with workspace.daemon("--interval", "0.05") as process:
        wait_for("two draws", lambda: workspace.logged("injected") > 1)
        status = json.loads((workspace.path / "injector_status.json").read_text())
        assert set(status) == {"pid", "started_at", "interval_seconds", "injected"}
        assert (status["pid"], status["interval_seconds"]) == (process.pid, 0.05)
    shown = json.loads(workspace.run("--status").stdout)
    assert shown["running"] is False
    assert shown["last_draw"]["value"] == workspace.values()[-1]


@pytest.mark.parametrize(
    "arguments", [[], ["--daemon", "--once"], ["--daemon", "--interval", "0"], ["--count", "0"]]
)
def test_a_usage_error_is_exit_2_and_injects_nothing(
    workspace: Workspace, arguments: list[str]
) -> None:
    done = workspace.run(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert len(workspace.draws()) == 200


FULL_DISK = """
import json, pathlib, subprocess, sys, time
from tests.waiting import wait_for
injector, bootstrap, log_path = sys.argv[1:]
log = open(log_path, "w")
logged = lambda text: pathlib.Path(log_path).read_text().count(text)
subprocess.run([sys.executable, bootstrap, "--draws", "200"], check=True)
process = subprocess.Popen([sys.executable, injector, "--daemon", "--interval", "0.05"], stderr=log)
wait_for("draws", lambda: logged("injected") > 1)
filler = pathlib.Path("filler")
with filler.open("wb", buffering=0) as stream:
    try:
        while True:
            stream.write(bytes(1024))
    except OSError as error:
        print("full:", error.strerror)
wait_for("the full disk", lambda: logged("cannot write lottery_history.json: No space left"))
json.loads(pathlib.Path("lottery_history.json").read_text())
before, waits = logged("injected"), logged("waiting")
time.sleep(0.5)
assert process.poll() is None and logged("injected") == before, "drew on a full disk"
assert logged("waiting") == waits == 1, "one line, not a flood"
filler.unlink()
wait_for("the draws that were due", lambda: logged("injected") > before + 10)
process.terminate()
assert process.wait(30) == 0
print(pathlib.Path("lottery_history.json").read_text())
"""


def _private_mounts() -> bool:
    unshare = shutil.which("unshare")
    return (
        unshare is not None
        and subprocess.run(
            [unshare, "-rm", "true"], capture_output=True, timeout=LIMIT_S
        ).returncode
        == 0
    )


@pytest.mark.skipif(not _private_mounts(), reason="no private mounts for this user here")
def test_a_full_disk_delays_draws_and_loses_none(tmp_path: Path) -> None:
    """On ENOSPC it logs one line, waits, keeps the history intact, and catches up."""
    inside = 'mount -t tmpfs -o size=256k tmpfs "$1" && cd "$1" && shift && exec "$@"'
    volume = tmp_path / "volume"
    volume.mkdir()
    done = subprocess.run(
        [
            *("unshare", "-rmp", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", inside, "sh", str(volume), sys.executable, "-c", FULL_DISK),
            *(str(INJECTOR), str(IMAGES / "watcher" / "bootstrap_history.py")),
            str(tmp_path / "injector.log"),
        ],
        capture_output=True,
        text=True,
        timeout=4 * LIMIT_S,
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    full, _, history = done.stdout.partition("\n{")
    assert "No space left" in full
    values = [draw["value"] for draw in json.loads("{" + history)["draws"]]
    assert values == [raw % 1000 for raw in java_lcg(12345, len(values))]
    assert len(values) > 210
