"""Rules that change watched calls: on real programs under the real supervisor."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.base.shipped import IMAGES
from chaos.stack.base import RuleState
from chaos.stack.call_rules import WitnessProblem
from chaos.stack.process import Surroundings, run_command
from tests.stack.local_witness import local_witness
from tests.waiting import wait_for

LIMIT_S = 60.0
# Opens f0 to f9, and prints for each "ok" or the error.
TEN = """
import errno, os
for n in range(10):
    try:
        os.close(os.open(f"f{n}", os.O_WRONLY | os.O_CREAT))
        print("ok", end=" ")
    except OSError as error:
        print(errno.errorcode[error.errno], end=" ")
"""
FAIL: dict[str, Any] = {"service": "it", "call": "open", "action": "fail", "error": "EIO"}


class Lab:
    """A witness, and programs that it watches."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.door, self.record = folder / "door", folder / "witness.jsonl"
        self.where = Surroundings(self.work, {"PATH": os.environ["PATH"]})
        self.witness = local_witness(folder, self.work, self.where)
        self.rules = self.witness.rules

    def start(self, code: str, name: str = "it") -> subprocess.Popen[str]:
        through = self.witness.watched(self.where, name).through
        return subprocess.Popen(
            [*through, sys.executable, "-BSc", code],
            cwd=self.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str = TEN, name: str = "it") -> list[str]:
        """The words that the program prints."""
        argv = [sys.executable, "-BSc", code]
        done = run_command(argv, self.witness.watched(self.where, name), LIMIT_S)
        assert done.exit_code == 0, done.output
        return done.output.split()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def changed(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "rule" in line]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    one = Lab(tmp_path)
    one.witness.service.start()
    yield one
    one.witness.service.stop(5.0)


def test_the_door_has_its_name_only_once_it_listens(tmp_path: Path) -> None:
    """Its name says that it is ready; a connection before would be refused."""
    code = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
import door
class Listens(socket.socket):
    def listen(self, backlog):
        print("there before" if os.path.exists("door") else "not yet")
        super().listen(backlog)
socket.socket = Listens
class Supervisor:
    def also(self, descriptor, ready): print("there" if os.path.exists("door") else "missing")
door.Door("door", Supervisor())
"""
    command = [sys.executable, "-BSc", code, str(IMAGES / "witness")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["not yet", "there", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["door"]


def test_each_nth_matching_call_fails_and_is_not_done(lab: Lab) -> None:
    lab.rules.put("r", {**FAIL, "path": "f*", "nth": 3})
    assert lab.run() == ["ok", "ok", "EIO"] * 3 + ["ok"]
    assert {path.name for path in lab.work.iterdir()} == {f"f{n}" for n in (0, 1, 3, 4, 6, 7, 9)}
    state = lab.rules.rules()["r"]
    assert (state.seen, state.struck) == (10, 3)
    lines = wait_for("three lines", lambda: found if len(found := lab.changed()) == 3 else None)
    assert [(line["path"], line["injected"]) for line in lines] == [
        ("f2", "EIO"),
        ("f5", "EIO"),
        ("f8", "EIO"),
    ]


def test_only_so_many_calls_fail(lab: Lab) -> None:
    lab.rules.put("r", {**FAIL, "nth": 3, "times": 2})
    assert lab.run() == ["ok", "ok", "EIO"] * 2 + ["ok"] * 4
    assert lab.rules.rules()["r"].struck == 2


def test_a_share_of_the_calls_fails_and_the_seed_says_which(lab: Lab) -> None:
    words = []
    for seed in ("a", "a", "b"):
        lab.rules.put("r", {**FAIL, "nth": 0, "rate": 0.5, "seed": seed})
        words.append(lab.run())
        lab.rules.remove("r")
    assert words[0] == words[1] != words[2]
    assert 0 < words[0].count("EIO") < 10


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ({"path": "g*"}, "it"),
        ({"call": "rename"}, "it"),
        ({"nth": 11}, "it"),
        ({"nth": 0, "rate": 0.0}, "it"),
        ({"pid": 1}, "it"),
        ({}, "another"),
    ],
)
def test_what_does_not_match_is_left_alone(lab: Lab, rule: dict[str, Any], name: str) -> None:
    lab.rules.put("r", {**FAIL, **rule})
    assert lab.run(name=name) == ["ok"] * 10
    assert lab.changed() == []


def test_a_new_path_and_an_address_match_too(lab: Lab) -> None:
    lab.rules.put("r", {**FAIL, "call": "rename", "path": "new"})
    lab.rules.put("c", {**FAIL, "call": "connect", "path": "127.0.0.1:*", "error": "ETIMEDOUT"})
    code = """
import errno, os, socket
open("old", "w").close()
listener = socket.create_server(("127.0.0.1", 0))
for call in (
    lambda: os.rename("old", "new"),
    lambda: os.rename("old", "other"),
    lambda: socket.create_connection(listener.getsockname()),
):
    try:
        call()
        print("ok")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
    assert lab.run(code) == ["EIO", "ok", "ETIMEDOUT"]


def test_a_slow_call_waits_and_holds_up_no_other(lab: Lab) -> None:
    """The second program makes all of its calls while the first one waits."""
    rule = {**FAIL, "action": "delay", "error": "", "path": "slow", "delay_ms": 600_000}
    lab.rules.put("r", rule)
    slow = lab.start("import os; os.open('slow', os.O_CREAT | os.O_WRONLY); print('opened')")
    wait_for("the slow call", lambda: lab.rules.rules()["r"].seen == 1)
    assert lab.run() == ["ok"] * 10
    assert not (lab.work / "slow").exists() and slow.poll() is None
    assert lab.rules.remove("r") == RuleState(1, 1)  # lets go of it at once
    assert slow.communicate(timeout=LIMIT_S)[0] == "opened\n"
    (line,) = wait_for("its line", lab.changed)
    assert line["path"] == "slow" and 0 < line["delayed_ms"] < 600_000


def test_a_call_waits_as_long_as_the_rule_says(lab: Lab) -> None:
    lab.rules.put("r", {**FAIL, "action": "delay", "delay_ms": 50})
    start_s = time.monotonic()
    assert lab.run() == ["ok"] * 10
    assert time.monotonic() - start_s >= 10 * 0.05
    assert lab.rules.rules()["r"].struck == 10
    lines = wait_for("ten lines", lambda: found if len(found := lab.changed()) == 10 else None)
    assert all(line["delayed_ms"] >= 50 for line in lines)


def test_a_process_that_is_killed_while_its_call_waits_is_forgotten(lab: Lab) -> None:
    lab.rules.put("r", {**FAIL, "action": "delay", "path": "slow", "delay_ms": 600_000})
    slow = lab.start("import os; os.open('slow', os.O_CREAT | os.O_WRONLY)")
    wait_for("the slow call", lambda: lab.rules.rules()["r"].seen == 1)
    slow.kill()
    slow.communicate(timeout=LIMIT_S)
    lab.rules.remove("r")
    assert lab.run() == ["ok"] * 10
    assert not (lab.work / "slow").exists()


def test_a_process_is_killed_at_its_nth_call_before_it_happens(lab: Lab) -> None:
    lab.rules.put("r", {**FAIL, "action": "kill", "nth": 3})
    program = lab.start(TEN)
    program.communicate(timeout=LIMIT_S)
    assert program.returncode == -9
    assert {path.name for path in lab.work.iterdir()} == {"f0", "f1"}
    assert lab.rules.rules()["r"].struck == 1
    (line,) = wait_for("its line", lab.changed)
    assert (line["path"], line["crashed"], line["pid"]) == ("f2", True, program.pid)
    assert lab.run() == ["ok"] * 10, "it acts once"


# The child is known to the witness by a call of its own; then the parent opens f0.
PARENT_AND_CHILD = """
import os, time
ready, told = os.pipe()
child = os.fork()
if not child:
    open("c", "w").close()
    os.write(told, b"x")
    time.sleep(60)
os.read(ready, 1)
print(child, flush=True)
open("f0", "w")
"""


@pytest.mark.parametrize("whole", [False, True])
def test_a_kill_takes_the_children_only_where_the_whole_service_is_meant(
    lab: Lab, whole: bool
) -> None:
    kill = {"service": "it", "call": "open", "action": "kill", "path": "f0", "whole": whole}
    lab.rules.put("r", kill)
    process = lab.start(PARENT_AND_CHILD)
    with process:
        assert process.stdout is not None and process.stdin is not None
        child = psutil.Process(int(process.stdout.readline()))
        assert process.wait(LIMIT_S) == -signal.SIGKILL
        if whole:
            wait_for("the child is gone", lambda: not _runs(child))
        else:
            assert _runs(child)
            child.kill()
    assert not (lab.work / "f0").exists()


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_rule_goes_with_the_process_that_set_it(lab: Lab) -> None:
    """Also with one that is killed: no rule outlives its run."""
    rule = json.dumps({"rule": {**FAIL, "id": "r"}})
    code = f"""
import socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect({str(lab.door)!r})
link.send({rule!r}.encode())
link.recv(9999)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-Sc", code], stdin=subprocess.PIPE) as owner:
        wait_for("the rule", lambda: "r" in lab.rules.rules())
        assert lab.run() == ["EIO"] * 10
        owner.kill()
    wait_for("the end of the rule", lambda: not lab.rules.rules())
    assert lab.run() == ["ok"] * 10


def test_removing_a_rule_gives_its_last_counters_once(lab: Lab) -> None:
    lab.rules.put("r", {**FAIL, "nth": 2})
    lab.run()
    assert [lab.rules.remove(rule) for rule in ("r", "r", "x")] == [RuleState(10, 5), None, None]
    assert lab.rules.rules() == {}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"call": "read"}, "unknown call 'read'"),
        ({"call": "exit"}, "unknown call 'exit'"),
        ({"action": "explode"}, "unknown action 'explode'"),
        ({"error": "EWHAT"}, "unknown error 'EWHAT'"),
        ({"nonsense": 1}, "nonsense"),
        ({"nth": "often"}, "often"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(lab: Lab, rule: dict[str, Any], words: str) -> None:
    with pytest.raises(WitnessProblem, match=words):
        lab.rules.put("r", {**FAIL, **rule})
    assert lab.rules.rules() == {}
    assert lab.run() == ["ok"] * 10


@pytest.mark.parametrize("message", [b"{", b"{}}", b'{"rule": 1}', b'{"rule": []}', b'{"a": 1}'])
def test_a_message_without_sense_does_not_end_the_supervisor(lab: Lab, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(str(lab.door))
        link.send(message)
        assert json.loads(link.recv(9999)).keys() <= {"error", "rules"}
    assert lab.rules.rules() == {}


def test_a_dead_witness_is_a_problem_of_the_infrastructure(lab: Lab) -> None:
    lab.rules.put("r", FAIL)
    lab.witness.service.kill()
    with pytest.raises(WitnessProblem, match="witness"):
        lab.rules.rules()
    lab.rules.remove("r")  # it went with the witness
