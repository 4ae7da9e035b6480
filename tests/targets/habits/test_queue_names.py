"""A daemon that renames what lies in its queue, and whose work has names of another form.

Stands for queue workers that number what arrives (`0007-ID.task`), that mark what they work on by
its name (`ID.processing`) or by a lock beside it (`ID.task.lock`), and that name the result after
the work alone (`ID.result`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from chaos.checks.registry import check_named
from chaos.faults.base import parse_params
from chaos.faults.queue.folder import QueueFolder
from chaos.faults.queue.queue_bad_file import QueueWrongShape
from chaos.record.history import HistoryWriter
from chaos.record.open_run import OpenRun
from chaos.record.target import Target
from chaos.record.work import Place, Submit, Work
from chaos.runner.judge import findings_of
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.sequential_requests import ten_requests
from chaos.soaks.waiting import unanswered
from chaos.stack.base import Stack
from chaos.targets.check import errors_in
from chaos.witness.files import Folders, waiting_requests
from tests.checks.history_builder import PlantedRun
from tests.checks.witness_builder import WATCHER, Witnessed
from tests.waiting import wait_for

TARGET = r"""
target: renames
watcher: {start: ["{python}", worker.py]}
work:
  submit: {folder: queue, suffix: .task}
  pending: {files: queue/*.task, name: '(?:\d+-)?(?P<request>[^-]+)'}
  claimed: queue/*.processing
  done: done/*.result
  set_aside: bad/*
  body: {question: "{id}"}
"""
# Numbers what has arrived; takes the lowest once there is a file `go`, and ends with `end`.
WORKER = """
import pathlib, sys, time
queue, done, number = pathlib.Path("queue"), pathlib.Path("done"), 0
done.mkdir()
while not pathlib.Path("end").exists():
    time.sleep(0.01)
    for path in sorted(queue.glob("*.task")):
        if "-" not in path.name:
            number += 1
            path.rename(queue / f"{number:04d}-{path.name}")
    for path in sorted(queue.glob("*-*.task"))[:1] if pathlib.Path("take").exists() else []:
        stem = path.name.partition("-")[2].removesuffix(".task")
        working = path.rename(queue / f"{stem}.processing")
        while not pathlib.Path("finish").exists():
            time.sleep(0.01)
        working.rename(done / f"{stem}.result")
"""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    path = tmp_path / "mine.yaml"
    path.write_text(TARGET)
    _, target, wrong = errors_in(str(path))
    assert target is not None and wrong == []
    return target


@pytest.fixture
def work(target: Target) -> Work:
    return target.work


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """In which the worker runs."""
    folder = tmp_path / "workspace"
    (folder / "queue").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-S", "-c", WORKER], cwd=folder) as process:
        yield folder
        for name in ("take", "finish", "end"):
            (folder / name).touch()
        process.wait(timeout=30)


def counts(workspace: Path, work: Work) -> dict[str, Any]:
    source, values = Folders.of_queue(workspace, work), dict[str, Any]()
    source.read(values)
    return values


def test_work_is_known_by_its_request_wherever_it_lies(
    work: Work, workspace: Path, tmp_path: Path
) -> None:
    with closing(HistoryWriter(tmp_path / "history.jsonl", "r")) as history:
        submitter = RequestSubmitter(workspace, work, history)
        names = [submitter.probe("x") for _ in range(2)]
    assert names == ["probe_0001.task", "probe_0002.task"]
    wait_for("numbers", lambda: len([*workspace.glob("queue/*-*.task")]) == 2)
    assert sorted(waiting_requests(workspace, work)) == names
    (workspace / "take").touch()
    wait_for("a claim", lambda: [*workspace.glob("queue/*.processing")])
    assert waiting_requests(workspace, work) == [names[1], names[0]]
    assert counts(workspace, work)["queue.pending"] == 1
    assert counts(workspace, work)["queue.claimed"] == 1
    assert QueueFolder(workspace, work).places(names[0]) == ["claimed"]
    assert QueueFolder(workspace, work).places(names[1]) == ["pending"]
    (workspace / "finish").touch()
    wait_for("the results", lambda: len([*workspace.glob("done/*.result")]) == 2)
    assert submitter.waiting() == []
    assert work.requests("archived", ["probe_0001.result"]) == [names[0]]


def test_every_name_that_the_harness_makes_has_the_suffix(work: Work) -> None:
    assert all(wanted.name.endswith(".task") for wanted in ten_requests(work))
    bare = Work(submit=Submit(post="http://127.0.0.1:9/jobs", suffix=""), done="out/*.json")
    assert ten_requests(bare)[0].name == "soak_B_01_20260203_100000"
    assert bare.request_of("soak_B_01_20260203_100000.json") == "soak_B_01_20260203_100000"


def test_what_faults_plant_has_the_suffix(target: Target, tmp_path: Path) -> None:
    fault = QueueWrongShape("f1", parse_params(QueueWrongShape, {}, place="test"))
    stack = cast(Stack, SimpleNamespace(target=target, workspace=tmp_path))
    planted = fault.undo_record(stack)["planted"]
    assert planted and all(name.endswith(".task") for name in planted)


def record(folder: Path, files: dict[str, str]) -> OpenRun:
    """A stored run of the worker: three requests, and what lies in its folders."""
    planted = PlantedRun(folder / "run", cuts=())
    planted.config["target"] = yaml.safe_load(TARGET)
    planted.config["criteria"] = {"requests_pending": {}, "request_queue": {}}
    planted.drop(kind="op")
    for number in (1, 2, 3):
        planted._add(3.0 + number, "op", op="submit", id=f"r{number}.task", outcome="ok", detail={})
    planted.files |= {f"artefacts/{path}": content for path, content in files.items()}
    return OpenRun(planted.write())


def found(opened: OpenRun, check: str) -> tuple[str, list[str]]:
    finding = findings_of(opened, check_named(check), {})[0]
    return finding.outcome, [one.text for one in finding.evidence]


def test_renamed_requests_are_not_lost(tmp_path: Path) -> None:
    files = {f"done/r{number}.result": "fine" for number in (1, 2, 3)}
    with record(tmp_path, files | {"queue/0004-note.txt": "", "queue/a.lock": ""}) as opened:
        assert found(opened, "request_queue")[0] == "pass"
        assert found(opened, "requests_pending")[0] == "pass"


def test_requests_that_wait_under_another_name_are_found(tmp_path: Path) -> None:
    files = {"done/r1.result": "", "queue/r2.processing": "{}", "queue/0007-r3.task": "{}"}
    with record(tmp_path, files) as opened:
        rows = opened.sql("select place, name from files where name like 'r%' order by name")
        assert rows == [("archived", "r1.task"), ("claimed", "r2.task"), ("pending", "r3.task")]
        outcome, said = found(opened, "requests_pending")
        assert outcome == "fail" and said == ["still pending", "claimed, not done"]


def test_request_that_is_nowhere_is_lost(tmp_path: Path) -> None:
    with record(tmp_path, {"done/r1.result": "", "done/r2.result": ""}) as opened:
        outcome, said = found(opened, "request_queue")
        assert outcome == "fail" and any("r3.task submitted" in text for text in said)


def test_request_with_a_lock_beside_it_is_claimed_once(tmp_path: Path) -> None:
    planted = PlantedRun(tmp_path / "run", cuts=())
    planted.config["target"]["work"]["claimed"] = "watcher_requests/*.json.lock"
    name = "ch13_waits.json"
    planted.files |= {
        f"artefacts/watcher_requests/{name}": '{"request_type": "selfplay"}',
        f"artefacts/watcher_requests/{name}.lock": "",
    }
    with OpenRun(planted.write()) as opened:
        rows = opened.sql(f"select place from files where name = '{name}'")
        assert rows == [("claimed",)]
        assert found(opened, "exactly_once")[0] == "pass"


def test_what_waits_is_counted_once_where_a_lock_lies_beside_it(tmp_path: Path) -> None:
    claimed = Place("queue/*.lock", r"(?P<request>.+)\.lock")
    locked = Work(
        submit=Submit(folder="queue"), done="out/*", pending="queue/*.json", claimed=claimed
    )
    (tmp_path / "queue").mkdir()
    for name in ("a.json", "a.json.lock", "b.json"):
        (tmp_path / "queue" / name).touch()
    assert sorted(unanswered(tmp_path, locked)) == ["a.json", "b.json"]


@pytest.mark.parametrize("deleted", [False, True])
def test_witnessed_renames_follow_the_request(tmp_path: Path, deleted: bool) -> None:
    """Waiting, worked and archived under three names; one that is deleted instead is found."""
    planted = PlantedRun(tmp_path / "run", cuts=())
    witnessed = Witnessed(planted)
    work = planted.config["target"]["work"]
    name = r"(?:n\d+-)?(?P<request>.+)\.json"
    work["pending"] = {"files": "watcher_requests/*.json", "name": name}
    work["claimed"] = "watcher_requests/claimed/*.processing"
    for line in witnessed.lines:
        for key in ("path", "to"):
            path = line.get(key, "")
            if path.startswith("watcher_requests/claimed/"):
                line[key] = path.removesuffix(".json") + ".processing"
            elif path.startswith("watcher_requests/ch13"):
                line[key] = path.replace("ch13", "n0001-ch13")
    last = [line for line in witnessed.lines if "/archive/" in line.get("to", "")][-1]
    request = last["to"].rpartition("/")[2]
    if deleted:
        planted.folders["archive"].remove(request)
        witnessed.drop(lambda line: line is last)
        witnessed.add(140.0, "unlink", WATCHER, path=last["path"])
    found = witnessed.judged("requests_witnessed")
    assert found.outcome == ("fail" if deleted else "pass"), found
    if deleted:
        assert f"{request} was deleted" in found.evidence[0].text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("submit: {folder: q, suffix: a/b}, done: out/*", "work.submit.suffix"),
        ("submit: {folder: q}, done: o/*, pending: {files: q/*, name: '('}", "work.pending.name"),
        ("submit: {folder: q}, done: o/*, claimed: {files: q/*, name: x}", "work.claimed.name"),
        ("submit: {folder: q}, done: o/*, claimed: {files: ../q/*}", "work.claimed.files"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"target: mine\nwatcher: {{start: [x]}}\nwork: {{{text}, body: {json.dumps({'a': 1})}}}\n"
    )
    wrong = errors_in(str(path))[2]
    assert any(key in error.place for error in wrong), [error.place for error in wrong]
