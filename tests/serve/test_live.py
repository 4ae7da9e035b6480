"""A run that goes on: what its page is sent, and how the stream ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.base.errors import ChaosError
from chaos.serve import live, stream
from chaos.serve.live import LiveRun, thinned
from tests.record.runs_folder import verdict
from tests.serve.planted import Growing
from tests.serve.serving import Server, serving
from tests.waiting import wait_for

RUN = "soak_c/20260203-101500-s7-aaaa"


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    run = Growing(tmp_path, RUN)
    yield run
    run.close()


@pytest.fixture
def server(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(stream, "PERIOD_S", 0.05)
    with serving(growing.path.parents[1]) as running:
        yield running


def opened(growing: Growing) -> LiveRun:
    return LiveRun(growing.path.parents[1], RUN)


def until(events: Iterator[tuple[str, Any]], name: str, look: Any = lambda _: True) -> Any:
    """The data of the first such event; the socket has a limit of time."""
    for event, data in events:
        assert event in ("", "update", name), (event, data)
        if event == name and look(data):
            return data
    raise AssertionError(f"the stream ended without {name}")


# -- the state --------------------------------------------------------------------------------


def test_the_state_is_that_of_the_record(growing: Growing) -> None:
    growing.until_storm()
    run = opened(growing)
    assert run.advance()
    assert run.phase == "storm"
    assert run.in_force == [("f001", "llm_timeout")]
    update = run.update()
    assert "effect proven, heals in" in update["rows"]["fault"]
    assert update["rows"]["striking"] is True
    assert update["rows"]["requests"] == "2 pending, 1 claimed"
    assert update["points"]["queue.0"] == [(43.0, 2.0)]
    assert update["windows"] == [
        {"id": "f001", "name": "llm_timeout", "start_s": 46.0, "end_s": None}
    ]
    assert [phase["name"] for phase in update["phases"]] == [
        *("preflight", "provision", "baseline", "storm")
    ]
    assert "f001 llm_timeout: effect proven" in update["events"][-1]
    growing.fault(60.0, "recovered")
    run.advance()
    assert run.in_force == []
    later = run.update()
    assert later["windows"][0]["end_s"] == 60.0
    assert later["points"] == {}  # only what is new
    run.close()


def test_the_clock_goes_on_between_records_and_stops_at_the_end(growing: Growing) -> None:
    now = [100.0]
    run = LiveRun(growing.path.parents[1], RUN, clock=lambda: now[0])
    growing.until_storm()
    run.advance()
    now[0] += 5.0
    assert run.now_s == pytest.approx(52.0)
    growing.phase(60.0, "end")
    run.advance()
    now[0] += 5.0
    assert run.now_s == 60.0
    assert run.update()["ended"]
    run.close()


def test_of_many_points_every_peak_and_trough_is_kept(growing: Growing) -> None:
    for second in range(9000):
        growing.sample(float(second), queue__pending=500 if second == 4321 else 5)
    growing.sample(9000.0, queue__pending=-7)
    run = opened(growing)
    while run.advance():
        pass
    points = run.update()["points"]["queue.0"]
    assert len(points) <= live.POINTS_MAX
    assert (4321.0, 500.0) in points
    assert points[-1] == (9000.0, -7.0)
    assert points == sorted(points)
    run.close()


def test_thinning_keeps_the_extremes_in_their_order() -> None:
    points = [(0.0, 5.0), (1.0, 9.0), (2.0, 1.0), (3.0, 5.0), (4.0, 2.0)]
    assert thinned(points) == [(1.0, 9.0), (2.0, 1.0), (4.0, 2.0)]
    assert thinned([]) == []


def sample(**values: Any) -> dict[str, Any]:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return {"kind": "sample", "t_s": 50.0, "values": named}


def event(name: str, **detail: Any) -> dict[str, Any]:
    return {"kind": "event", "t_s": 50.0, "name": name, "detail": detail}


ODD = {
    "a word for a number": sample(llm__requests_processing="many", queue__pending="x"),
    "no health": sample(llm__health=None),
    "a huge number": sample(queue__pending=10**400),
    "an infinite sum": sample(watcher__rss_anon_bytes=1.7e308, watcher__swap_bytes=1.7e308),
    "a word for draws": event("baseline_files", draws="all"),
    "a list for seconds": event("ready", took_s=[1]),
    "a number for a list": event("cleanup", left=3),
}


@pytest.mark.parametrize("record", ODD.values(), ids=ODD)
def test_an_odd_record_does_not_end_the_view(growing: Growing, record: dict[str, Any]) -> None:
    growing.until_storm()
    growing.write(**record)
    growing.raw(b"\x00\xff garbage\n{}\n" + b"[" * 100_000 + b"\n")
    growing.sample(51.0, queue__pending=4, queue__claimed=0)
    run = opened(growing)
    run.advance()
    text = json.dumps(run.update(), allow_nan=False)
    assert "4 pending" in text
    assert len(text) < 20_000
    run.close()


def test_odd_values_of_the_last_sample_are_said(growing: Growing) -> None:
    growing.until_storm()
    values = {"llm.health": "ok", "llm.requests_processing": "many"}
    growing.write(kind="sample", t_s=50.0, values=values)
    run = opened(growing)
    run.advance()
    assert "cannot be shown" in run.update()["rows"]["phase"]
    run.close()


def test_a_line_without_an_end_takes_no_memory(growing: Growing) -> None:
    for _ in range(24):
        growing.raw(b"x" * (1 << 20))
    run = opened(growing)
    for _ in range(10):
        run.advance()
    assert len(run._tail._rest) <= 5 << 20
    growing.raw(b"\n")
    growing.until_storm()
    run.advance()
    assert run.phase == "storm"
    run.close()


@pytest.mark.parametrize("name", ["config.json", "schedule.json", "history.jsonl"])
def test_links_and_pipes_are_refused(growing: Growing, name: str, tmp_path: Path) -> None:
    for make in (lambda path: path.symlink_to(tmp_path / "x"), os.mkfifo):
        (growing.path / name).unlink()
        make(growing.path / name)
        with pytest.raises(ChaosError):
            opened(growing).advance()


# -- the stream -------------------------------------------------------------------------------


def test_a_run_is_followed_to_its_verdict(server: Server, growing: Growing) -> None:
    with server.events(RUN) as events:
        until(events, "update")
        growing.until_storm()
        seen = until(events, "update", lambda data: data["rows"]["striking"])
        assert seen["windows"][0]["end_s"] is None
        growing.fault(60.0, "recovered")
        until(events, "update", lambda data: data["windows"][0]["end_s"] == 60.0)
        (growing.path / "verdict.json").write_text(json.dumps(verdict("fail")))
        growing.end()
        assert until(events, "end") == {"word": "fail", "href": f"/runs/{RUN}"}
        assert list(events) == []
    wait_for("the stream is closed", lambda: server.site.streams.count == 0)


def test_a_run_that_dies_without_a_verdict_ends_its_stream(
    server: Server, growing: Growing
) -> None:
    growing.until_storm()
    with server.events(RUN) as events:
        until(events, "update")
        (growing.path / "owner.json").unlink()
        assert until(events, "end")["word"] == "unjudged"


def test_a_silent_run_sends_heartbeats(server: Server, growing: Growing) -> None:
    with server.events(RUN) as events:  # preparing: no text of it changes
        for _ in range(50):
            if next(events) == ("", None):
                return
    raise AssertionError("no heartbeat")


def test_a_client_that_goes_away_ends_its_reader(server: Server, growing: Growing) -> None:
    growing.until_storm()
    with server.events(RUN) as events:
        until(events, "update")
        assert server.site.streams.count == 1
        assert "chaos_serve_streams 1" in server.ask("/metrics").text.replace("{}", "")
    wait_for("the stream is closed", lambda: server.site.streams.count == 0)
    wait_for("the history is closed", lambda: readers(growing.path / "history.jsonl") == 2)


def readers(path: Path) -> int:
    """How many descriptors of this process are this file: its writer, and what follows it."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.append(link.readlink())
        except FileNotFoundError:
            continue
    return links.count(path)


def test_the_number_of_streams_is_limited(
    server: Server, growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STREAMS_MAX", 1)
    with server.events(RUN) as events:
        until(events, "update")
        answer = server.ask(f"/runs/{RUN}/events")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    wait_for("there is place again", lambda: not server.site.streams.full)
    with server.events(RUN) as events:
        until(events, "update")


def test_the_end_of_the_server_ends_the_streams(growing: Growing) -> None:
    with serving(growing.path.parents[1]) as server, server.events(RUN) as events:
        next(events)
        # `serving` fails if the server does not end while a stream is open
        return


def test_a_damaged_plan_is_told_in_the_stream(server: Server, growing: Growing) -> None:
    (growing.path / "config.json").write_text('{"soak": "\\u001b<b>"}')
    with server.events(RUN) as events:
        name, data = next(events)
    assert name == "problem"
    assert "not the plan of a run" in data["text"]


def test_the_page_without_scripts_shows_the_state(server: Server, growing: Growing) -> None:
    growing.until_storm()
    page = server.ask(f"/runs/{RUN}/live").text
    assert "RUNNING" in page
    assert "effect proven, heals in" in page
    assert "2 pending, 1 claimed" in page
    assert f'href="/runs/{RUN}/history.jsonl"' in page
    assert '<meta http-equiv="refresh"' in page
