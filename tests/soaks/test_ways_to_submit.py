"""Work reaches a daemon by a file, by a command, or by HTTP; each submission is recorded."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.record.work import Done, Submit, Work
from chaos.soaks.autonomous_loop import AutonomousLoop
from chaos.soaks.one_of_each import OneOfEach
from chaos.soaks.requests import RequestSubmitter, withdrawable
from chaos.soaks.waiting import unanswered
from chaos.stack.base import CommandResult, Stack
from tests.soaks.ground import Ground


class Commands:
    """Stands for the stack: a command of the target is noted, with the file it was given."""

    def __init__(self, workspace: Path, exit_code: int | None = 0) -> None:
        self.workspace = workspace
        self.exit_code = exit_code
        self.seen: list[tuple[list[str], Any]] = []

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        words = list(argv)
        self.seen.append((words, json.loads((self.workspace / words[-1]).read_text())))
        return CommandResult(tuple(words), self.exit_code, "it said no", 0.1)


def by_command(ground: Ground, commands: Commands) -> RequestSubmitter:
    work = Work(submit=Submit(command=["ask", "{id}", "{file}"]), done="out/*", body={"of": "{id}"})
    return RequestSubmitter(ground.workspace, work, ground.history, cast(Stack, commands))


def test_a_command_gets_the_name_and_a_file_with_the_work(ground: Ground) -> None:
    commands = Commands(ground.workspace)
    name = by_command(ground, commands).probe("x")
    ((words, body),) = commands.seen
    assert words[:2] == ["ask", name] and body == {"of": name}
    assert [(op.id, op.outcome) for op in ground.ops("submit")] == [(name, "ok")]
    assert not list(ground.workspace.glob(".*.work")), "the file is gone again"


@pytest.mark.parametrize(("exit_code", "outcome"), [(3, "fail"), (None, "info")])
def test_a_command_that_fails_is_recorded(
    ground: Ground, exit_code: int | None, outcome: str
) -> None:
    by_command(ground, Commands(ground.workspace, exit_code)).probe("x")
    assert [op.outcome for op in ground.ops("submit")] == [outcome]


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    taken: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, json.loads(body)))
            self.send_response(503 if "no" in self.path else 202)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    serving = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", taken
    serving.shutdown()
    serving.server_close()
    thread.join(5.0)


def by_post(ground: Ground, url: str) -> RequestSubmitter:
    work = Work(submit=Submit(post=url), done="out/*", body={"of": "{id}"})
    return RequestSubmitter(ground.workspace, work, ground.history)


def test_work_is_posted_as_json(ground: Ground, server: tuple[str, list[Any]]) -> None:
    url, taken = server
    name = by_post(ground, f"{url}/jobs/{{id}}").probe("x")
    assert taken == [(f"/jobs/{name}", {"of": name})]
    assert [op.outcome for op in ground.ops("submit")] == ["ok"]


def test_a_refusal_and_a_daemon_that_is_away_are_failures(
    ground: Ground, server: tuple[str, list[Any]]
) -> None:
    by_post(ground, f"{server[0]}/no").probe("x")
    by_post(ground, "http://127.0.0.1:9/x").probe("x")
    assert [op.outcome for op in ground.ops("submit")] == ["fail", "fail"]


def test_what_waits_is_what_was_submitted_and_is_not_finished(tmp_path: Path) -> None:
    pattern = r"(?P<status>[A-Z_]+)_\d{8}_\d{6}_(?P<request>.+)"
    work = Work(submit=Submit(folder="in"), done=Done("out/*", pattern), set_aside="bad/*")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "DRY_RUN_OK_20260101_120000_a.json").touch()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "c.json").touch()
    names = ["a.json", "b.json", "c.json"]
    assert unanswered(tmp_path, work, names) == ["b.json"]
    assert work.status_of("DRY_RUN_OK_20260101_120000_a.json") == "DRY_RUN_OK"
    assert work.request_of("other") == ""


@pytest.mark.parametrize(("claimed", "waits"), [("", ["b.json", "a.json"]), ("at/*", ["b.json"])])
def test_work_that_the_daemon_keeps_out_of_sight_waits_until_it_is_done(
    claimed: str, waits: list[str], tmp_path: Path
) -> None:
    """Where `work.claimed` is said, all that is worked on can be seen."""
    work = Work(submit=Submit(folder="in"), pending="in/*", claimed=claimed, done="out/*")
    for path in ("in/b.json", "out/c.json"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    assert unanswered(tmp_path, work, ["a.json", "b.json", "c.json"]) == waits
    assert unanswered(tmp_path, work) == ["b.json"]


def test_a_request_to_be_withdrawn_is_no_operation(ground: Ground) -> None:
    path = withdrawable(ground.workspace, ground.target.work)
    assert path is not None and json.loads(path.read_text())["request_type"] == "selfplay"
    assert ground.ops("submit") == []


def test_one_of_each_kind_is_submitted(ground: Ground) -> None:
    loop = OneOfEach(ground.target, {}, ground.history)
    loop.stage(ground.workspace)
    kinds = [op.detail["type"] for op in ground.ops("submit")]
    assert kinds == ["selfplay", "learning_loop"]


def test_the_loop_feeds_a_daemon_without_an_injector(ground: Ground) -> None:
    from msgspec.structs import replace

    target = replace(ground.target, injector=None)
    loop = AutonomousLoop(target, {"draw_interval_s": 3.0}, ground.history)

    class Fed:
        """Stands for the stack of a target whose work is files."""

        workspace = ground.workspace

    ground.history.clock_s = 10.0  # type: ignore[attr-defined]
    loop.start(cast(Stack, Fed()))
    for now_s in (10.0, 11.0, 13.0, 14.0, 16.0):
        ground.history.clock_s = now_s  # type: ignore[attr-defined]
        loop.tick()
    ids = [op.id for op in ground.ops("submit")]
    assert ids == ["feed_00001.json", "feed_00002.json", "feed_00003.json"], (
        "at the pace, open loop"
    )
    loop.abort()
    loop.tick()
    assert len(ground.ops("submit")) == 3
