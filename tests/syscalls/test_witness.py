"""The system-call witness on real programs: what it notes, and that nothing runs unwatched."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_for

WITNESS = Path(__file__).resolve().parents[2] / "images" / "witness"
LIMIT_S = 60
Line = dict[str, Any]


@pytest.fixture
def seen(tmp_path: Path) -> Callable[..., list[Line]]:
    """`seen(*program)` -> the lines about it, paths from `tmp_path` on. It must end well."""

    def run(*program: str) -> list[Line]:
        record = tmp_path.parent / f"{tmp_path.name}-record.jsonl"
        command = [sys.executable, str(WITNESS), "--record", str(record), "--root", str(tmp_path)]
        subprocess.run([*command, "--", *program], cwd=tmp_path, check=True, timeout=LIMIT_S)
        lines = [json.loads(line) for line in record.read_text().splitlines()]
        record.unlink()
        return lines

    return run


def of(lines: list[Line], call: str, *keys: str) -> list[tuple[Any, ...]]:
    """The values of `keys` in the lines of one call that name no file of the system."""
    found = [line for line in lines if line["call"] == call and "unread" not in line]
    return [tuple(line.get(key) for key in keys) for line in found]


def python(*statements: str) -> tuple[str, ...]:
    return sys.executable, "-BSc", "; ".join(["import os", *statements])


def test_what_is_published_is_noted_with_its_hash_before_it_can_be_replaced(
    seen: Callable[..., list[Line]],
) -> None:
    lines = seen(
        *python(
            "[(open('t', 'w').write(f'{n}'), os.rename('t', 'result')) for n in range(200)]",
        )
    )
    hashes = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(200)]
    wanted = [("t", "result", len(str(n)), hashes[n]) for n in range(200)]
    assert of(lines, "rename", "path", "to", "bytes", "sha256") == wanted


@pytest.mark.parametrize(
    ("statement", "call", "facts"),
    [
        ("open('made', 'x')", "open", {"path": "made"}),
        ("os.open('made', os.O_WRONLY | os.O_CREAT)", "open", {"path": "made"}),
        ("os.open('there', os.O_RDWR)", "open", {"path": "there"}),
        ("os.unlink('there')", "unlink", {"path": "there"}),
        ("os.remove(os.path.abspath('there'))", "unlink", {"path": "there"}),
        ("os.rmdir('folder')", "unlink", {"path": "folder"}),
        ("os.link('there', 'again')", "link", {"path": "there", "to": "again", "bytes": 5}),
        ("os.truncate('there', 2)", "truncate", {"path": "there"}),
        ("os.ftruncate(os.open('there', os.O_WRONLY), 0)", "truncate", {"path": "there"}),
        ("os.fsync(os.open('there', os.O_RDONLY))", "fsync", {"path": "there", "bytes": 5}),
        ("os.fsync(os.open('folder', os.O_RDONLY))", "fsync", {"path": "folder"}),
        (
            "os.rename('there', 'moved', dst_dir_fd=os.open('folder', os.O_RDONLY))",
            "rename",
            {"path": "there", "to": "folder/moved"},
        ),
        ("os.chdir('folder'), os.replace('../there', 'x')", "rename", {"to": "folder/x"}),
        ("os.kill(os.getpid(), 0)", "kill", {"signal": 0}),
    ],
)
def test_a_call_is_noted_with_what_it_names(
    seen: Callable[..., list[Line]],
    tmp_path: Path,
    statement: str,
    call: str,
    facts: dict[str, Any],
) -> None:
    (tmp_path / "there").write_text("hello")
    (tmp_path / "folder").mkdir()
    lines = seen(*python(statement))
    assert any(facts.items() <= line.items() for line in lines if line["call"] == call), lines


@pytest.mark.parametrize(
    ("statement", "call", "cut"),
    [
        ("open('log', 'w')", "open", 8),
        ("open('log', 'a')", "open", None),
        ("open('new', 'w')", "open", None),
        ("os.truncate('log', 4)", "truncate", 4),
        ("os.truncate('log', 8)", "truncate", None),
        ("os.rename('short', 'log')", "rename", 4),
        ("os.rename('log', 'short')", "rename", None),
    ],
)
def test_whole_lines_that_a_call_cuts_off_are_counted(
    seen: Callable[..., list[Line]], tmp_path: Path, statement: str, call: str, cut: int | None
) -> None:
    (tmp_path / "log").write_text("one\ntwo\nhal")
    (tmp_path / "short").write_text("one\n")
    assert of(seen(*python(statement)), call, "cut_bytes") == [(cut,)]


def test_reading_is_not_watched(seen: Callable[..., list[Line]], tmp_path: Path) -> None:
    (tmp_path / "there").write_text("hello")
    lines = seen(*python("open('there').read()", "os.listdir('.')", "os.stat('there')"))
    assert not [line for line in lines if line.get("path") == "there"]


def test_every_process_is_noted_with_its_program_its_time_and_its_end(
    seen: Callable[..., list[Line]],
) -> None:
    busy = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.2: pass"
    lines = seen("sh", "-c", f"{sys.executable} -Sc '{busy}'; sleep 0.01; exit 0")
    programs = [argv[0].rpartition("/")[2] for (argv,) in of(lines, "exec", "argv")]
    assert programs == ["sh", Path(sys.executable).name, "sleep"]
    processes = [pid for (pid,) in of(lines, "process", "pid")]
    assert len(processes) == 3
    assert sorted(pid for (pid,) in of(lines, "end", "pid")) == sorted(processes)
    used = {pid: cpu_s for pid, cpu_s in of(lines, "exit", "pid", "cpu_s")}
    python_pid = of(lines, "exec", "pid")[1][0]
    assert used[python_pid] >= 0.2 > used[processes[0]]
    parents = dict(of(lines, "process", "pid", "parent"))
    assert parents[python_pid] == processes[0]


def test_threads_and_forks_are_seen(seen: Callable[..., list[Line]]) -> None:
    lines = seen(
        *python(
            "import threading",
            "t = [threading.Thread(target=lambda n=n: open(f'by{n}', 'w')) for n in range(4)]",
            "[x.start() for x in t]",
            "[x.join() for x in t]",
            "p = os.fork()",
            "open('both', 'w') if p == 0 else os.waitpid(p, 0)",
        )
    )
    opened = of(lines, "open", "path", "pid")
    assert {path for path, _ in opened} == {"by0", "by1", "by2", "by3", "both"}
    pids = {path: pid for path, pid in opened}
    assert pids["both"] != pids["by0"] == pids["by3"]
    assert all("thread" in line for line in lines if str(line.get("path")).startswith("by"))


def test_signals_among_its_own_threads_are_not_noted(seen: Callable[..., list[Line]]) -> None:
    lines = seen(
        *python(
            "import signal, threading",
            "signal.signal(signal.SIGURG, lambda *_: None)",
            "[signal.pthread_kill(threading.get_ident(), signal.SIGURG) for _ in range(50)]",
            "os.kill(os.getppid(), 0)",
        )
    )
    assert len(of(lines, "kill", "target")) == 1


def test_a_connection_is_noted_with_its_address(seen: Callable[..., list[Line]]) -> None:
    lines = seen(
        *python(
            "import socket",
            "s = socket.create_server(('127.0.0.1', 0))",
            "socket.create_connection(s.getsockname())",
        )
    )
    ((address,),) = of(lines, "connect", "address")
    assert address.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("program", "code"),
    [("exit 7", 7), ("kill -9 $$", 128 + signal.SIGKILL)],
)
def test_the_exit_code_is_the_programs(program: str, code: int) -> None:
    command = [sys.executable, str(WITNESS), "--", "sh", "-c", program]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == code


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc", 126)])
def test_a_program_that_cannot_be_started_ends_as_in_a_shell(program: str, code: int) -> None:
    """Not as one that cannot be watched: the command is wrong, not the machine."""
    command = [sys.executable, str(WITNESS), "--", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == code
    assert f"{program} cannot be started" in done.stderr


def test_without_a_supervisor_nothing_is_started(tmp_path: Path) -> None:
    enter = [sys.executable, str(WITNESS / "enter.py"), str(tmp_path / "nobody"), "it", "--"]
    done = subprocess.run(
        [*enter, "touch", str(tmp_path / "started")],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 125
    assert "touch cannot be watched" in done.stderr
    assert not (tmp_path / "started").exists()


def test_a_program_does_not_go_on_unwatched_when_its_supervisor_dies(tmp_path: Path) -> None:
    """Its watched calls fail at once: it neither hangs nor works unseen."""
    door, record = tmp_path / "door", tmp_path / "record"
    command = [sys.executable, str(WITNESS), "--socket", str(door), "--record", str(record)]
    with subprocess.Popen(command) as supervisor:
        wait_for("the supervisor", door.exists)
        script = "read line; touch after; echo $?"
        enter = [sys.executable, str(WITNESS / "enter.py"), str(door), "it", "--"]
        with subprocess.Popen(
            [*enter, "sh", "-c", script],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as program:
            wait_for("the program", lambda: '"exec"' in record.read_text())
            supervisor.kill()
            supervisor.wait()
            out, _ = program.communicate("go\n", timeout=LIMIT_S)
    assert program.returncode != 0 or out.strip() != "0"
    assert not (tmp_path / "after").exists()


@pytest.mark.parametrize("arguments", [[], ["--socket", "x", "--", "true"], ["--nonsense"]])
def test_wrong_arguments_are_exit_code_2(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(WITNESS), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_signals_to_protected_processes_are_refused_and_noted(tmp_path: Path) -> None:
    """Directly, by group, by pidfd, or to everybody; others are reached."""
    protected = subprocess.Popen(["sleep", "60"], start_new_session=True)
    program = f"""
import os, signal, subprocess
child = subprocess.Popen(["sleep", "60"])
target = {protected.pid}
for send in (
    lambda: os.kill(target, 9),
    lambda: os.killpg(target, 9),
    lambda: os.kill(-1, 9),
    lambda: signal.pidfd_send_signal(os.pidfd_open(target), 9),
):
    try:
        send()
    except PermissionError:
        continue
    raise SystemExit("a signal was not refused")
os.kill(target, 0)
os.kill(child.pid, 9)
child.wait()
"""
    record = tmp_path / "record.jsonl"
    try:
        command = [sys.executable, str(WITNESS), "--record", str(record)]
        command += ["--protect", str(protected.pid), "--", sys.executable, "-c", program]
        subprocess.run(command, check=True, timeout=LIMIT_S)
        assert protected.poll() is None
    finally:
        protected.kill()
        protected.wait(LIMIT_S)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    refused = [x["target"] for x in lines if x["call"] == "kill" and x.get("refused")]
    assert refused == [protected.pid, -protected.pid, -1, protected.pid]
    assert sum(x["call"] == "kill" and not x.get("refused") for x in lines) == 2
