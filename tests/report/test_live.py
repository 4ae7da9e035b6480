"""The live view shows the records, never blocks the recording threads, and survives its stream."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from chaos.plan.schedule import draw
from chaos.record.history import Event, FaultRecord, FaultState, Header, Phase, Record, Sample
from chaos.report.display import Display, Mode
from chaos.report.live import HEARTBEAT_S, LiveView
from chaos.report.progress import Progress, event_text
from chaos.runner.resolve import Request, resolve

SCALE = ["baseline_s=25", "storm_s=85", "quiet_s=30", "criteria.heuristic_fallbacks.allowance_s=10"]
PLAN = resolve(
    Request("soak_c", faults=["llm_timeout:hold=14s,count=2"], seed=12345, overrides=SCALE)
)
SCHEDULE = draw(PLAN)  # f001 at 13.936 s, f002 at 49.873 s of the storm
STORM_S = 26.0

VALUES: dict[str, float | int | str | bool | None] = {
    "watcher.pid": 17,
    "watcher.rss_anon_bytes": 31_457_280,
    "watcher.swap_bytes": 0,
    "watcher.fds": 6,
    "watcher.threads": 2,
    "llm.health": "ok",
    "llm.pid": 44,
    "queue.pending": 2,
    "queue.claimed": 1,
    "queue.archived": 14,
    "decisions.lines": 17,
    "decisions.completed": 15,
    "decisions.fallbacks": 3,
    "draws.count": 5029,
}


class Clock:
    """Stands in for the monotonic clock, so that countdowns are exact."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def fault(t_s: float, fault_id: str, state: FaultState, **evidence: object) -> FaultRecord:
    return FaultRecord(
        t_s=t_s,
        fault_id=fault_id,
        name="llm_timeout",
        state=state,
        scheduled_s=t_s,
        evidence=dict(evidence),
    )


def course() -> Iterator[Record]:
    """A run up to the middle of its first fault."""
    yield Header(t_s=0.0, run_id="r", wall_epoch_s=0.0)
    yield Phase(t_s=0.1, name="provision")
    yield Event(t_s=0.2, name="provisioning", detail={"step": "LLM server starting"})
    yield Event(t_s=1.0, name="ready", detail={"took_s": 0.9})
    yield Phase(t_s=1.0, name="baseline")
    yield Event(t_s=1.0, name="baseline_files", detail={"draws": 5000})
    yield Phase(t_s=STORM_S, name="storm")
    yield fault(39.0, "f001", "armed")
    yield Sample(t_s=39.5, values=VALUES)
    yield fault(STORM_S + 13.936, "f001", "injected")
    yield fault(41.0, "f001", "effect_proven")


def view(mode: Mode, stream: io.StringIO, clock: Clock | None = None) -> LiveView:
    made = LiveView(PLAN, SCHEDULE, Display(mode), stream=stream, clock=clock or Clock())
    for record in course():
        made.on_record(record)
    return made


def drawn(made: LiveView, width: int, height: int = 24) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, no_color=True
    )
    with console.capture() as captured:
        console.print(made.render(console))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
    return plain.splitlines()


def test_the_live_view_fits_80_columns() -> None:
    clock = Clock()
    made = view("live", io.StringIO(), clock)
    clock.now_s += 2.0  # run time 43 s: 68 s of the storm are left, and 30 s of quiet
    lines = drawn(made, 80)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert "seed 12345" in text
    assert SCHEDULE.hash in text
    assert "storm, 1 min 08 s left; 1 min 38 s left in all" in text
    assert "f001 llm_timeout: effect proven, heals in 11 s; next f002 in 33 s" in text
    assert "2 pending, 1 claimed, 14 archived" in text
    assert "15 cycles, 17 decisions, 3 fallbacks, 29 draws" in text
    assert "pid 17, 31.5 MB, 6 descriptors, 2 threads" in text
    assert "ok, pid 44" in text
    assert "f001 llm_timeout: injected" in text


@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = drawn(view("live", io.StringIO()), width)
    assert max(map(len, lines)) <= width
    assert len(lines) < 24


def test_a_large_terminal_is_used() -> None:
    """160 columns and 50 rows: a longer bar, and more of what happened."""
    made = view("live", io.StringIO())
    for n in range(60):
        made.on_record(Event(t_s=41.0 + n / 10, name=f"odd_{n}", severity="warning"))
    small, large = drawn(made, 80), drawn(made, 160, height=50)
    assert len(small) < 24 < len(large) < 50
    assert len(large[1].rstrip()) > 120 > 80 >= len(small[1].rstrip())


def test_the_bar_runs_once_over_the_whole_run() -> None:
    progress = Progress(PLAN, SCHEDULE)
    seen = [progress.done_s(0.0)]
    for t_s, name in ((0.1, "provision"), (1.0, "baseline"), (26.0, "storm"), (111.0, "quiet")):
        progress.take(Phase(t_s=t_s, name=name))
        seen += [progress.done_s(t_s), progress.done_s(t_s + 20.0)]
    progress.take(Phase(t_s=150.0, name="halt"))
    seen.append(progress.done_s(150.0))
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert seen[-1] == progress.total_s() == 140.0
    assert progress.strikes()[0][0] == pytest.approx(25 + 13.936)


def test_a_terminal_is_redrawn_and_left_usable() -> None:
    """On a real terminal: the view is drawn, and the cursor is visible at the end."""
    master, slave = os.openpty()
    read: list[bytes] = []

    def reader() -> None:
        while True:
            try:
                block = os.read(master, 4096)
            except OSError:  # the other side is closed
                return
            if not block:
                return
            read.append(block)

    thread = threading.Thread(target=reader)
    thread.start()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        made = LiveView(PLAN, SCHEDULE, Display("live"), stream=stream)
        made.start()
        for record in course():
            made.on_record(record)
        made.stop()
    thread.join(10)
    os.close(master)
    output = b"".join(read).decode()
    assert "effect proven" in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")


def test_phases_faults_and_notable_events_are_one_line_each() -> None:
    stream = io.StringIO()
    made = view("lines", stream)
    made.start()
    made.on_record(Event(t_s=50.0, name="artefact", detail={"path": "x"}))
    made.on_record(Event(t_s=51.0, name="odd", severity="warning", detail={"count": 3}))
    made.stop()
    assert stream.getvalue().splitlines() == [
        "[     0.1 s] provision",
        "[     0.2 s] LLM server starting",
        "[     1.0 s] stack ready in 0.9 s",
        "[     1.0 s] baseline, 25 s",
        "[    26.0 s] storm, 1 min 25 s",
        "[    39.9 s] f001 llm_timeout: injected",
        "[    41.0 s] f001 llm_timeout: effect proven",
        "[    51.0 s] odd: count=3",
    ]


def test_a_heartbeat_is_printed_only_after_a_silent_period() -> None:
    clock = Clock()
    stream = io.StringIO()
    made = view("lines", stream, clock)
    made._print_lines(heartbeat=True)
    stream.truncate(0)
    clock.now_s += HEARTBEAT_S - 0.1
    made._print_lines(heartbeat=True)
    assert stream.getvalue() == ""
    clock.now_s += 0.2
    made._print_lines(heartbeat=True)
    made._print_lines(heartbeat=True)
    lines = [line for line in stream.getvalue().replace("\0", "").splitlines() if line]
    assert len(lines) == 1
    assert "storm, " in lines[0]
    assert "Watcher 31.5 MB | LLM ok" in lines[0]


def test_quiet_shows_nothing() -> None:
    stream = io.StringIO()
    made = view("quiet", stream)
    made.start()
    made.step("something")
    made.stop()
    assert stream.getvalue() == ""


def test_json_keeps_stdout_clean(capsys: pytest.CaptureFixture[str]) -> None:
    made = LiveView(PLAN, SCHEDULE, Display("json"))
    made.start()
    made.step("provisioning")
    made.on_record(Phase(t_s=1.0, name="baseline"))
    made.stop()
    out, err = capsys.readouterr()
    assert out == ""
    assert "baseline" in err


class Stuck(io.StringIO):
    """Stands for a terminal that blocks writes (Ctrl-S, a full pipe)."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def write(self, text: str) -> int:
        self.release.wait(30)
        return super().write(text)


def test_a_blocked_stream_delays_neither_records_nor_stop() -> None:
    """Recording continues, and `stop` returns, while the stream blocks."""
    stream = Stuck()
    made = LiveView(PLAN, SCHEDULE, Display("lines"), stream=stream)
    made.start()
    for number in range(5000):
        made.on_record(Phase(t_s=float(number), name="storm"))
    made.stop()
    assert stream.getvalue() == ""
    assert len(made._lines) <= 1000
    stream.release.set()


def test_a_closed_stream_ends_the_view_only() -> None:
    stream = io.StringIO()
    stream.close()
    made = LiveView(PLAN, SCHEDULE, Display("lines"), stream=stream)
    made.start()
    for record in course():
        made.on_record(record)
    made.stop()


def test_fault_texts_through_its_life() -> None:
    """The text of the current fault in each of its states."""
    progress = Progress(PLAN, SCHEDULE)
    assert progress.fault_text(0.0) == "next f001 llm_timeout"
    progress.take(Phase(t_s=STORM_S, name="storm"))
    assert progress.fault_text(STORM_S) == "next f001 in 14 s"
    for state, words in (
        ("injected", "f001 llm_timeout: injected, heals in"),
        ("effect_unproven", "EFFECT NOT PROVEN"),
        ("recovering", "f001 llm_timeout: recovering; next"),
        ("recovered", "next f002 in"),
        ("closed", "next f002 in"),
    ):
        progress.take(fault(40.0, "f001", state))  # type: ignore[arg-type]
        assert words in progress.fault_text(41.0)
    progress.take(fault(40.0, "f002", "unavailable", reason="no proxy"))
    assert progress.fault_text(41.0) == "all finished"
    assert progress.events[-1].endswith("f002 llm_timeout: cannot be injected here (no proxy)")


def test_time_left_shrinks_through_the_phases() -> None:
    progress = Progress(PLAN, SCHEDULE)
    total_s = 25 + 85 + 30
    assert progress.left_s(0.0) == total_s
    seen = []
    for name, start_s in (("baseline", 0.0), ("storm", 25.0), ("quiet", 110.0)):
        progress.take(Phase(t_s=start_s, name=name))
        seen += [progress.left_s(start_s), progress.left_s(start_s + 10)]
    assert seen == [140.0, 130.0, 115.0, 105.0, 30.0, 20.0]
    assert progress.left_s(141.0) is None
    assert progress.phase_text(150.0) == "quiet, draining since 10 s"
    progress.take(Phase(t_s=150.0, name="halt"))
    assert progress.left_s(150.0) is None


@pytest.mark.parametrize(
    ("name", "detail", "text"),
    [
        ("drained", {"in_time": True, "took_s": 3}, "queue drained in 3.0 s"),
        ("drained", {"in_time": False, "took_s": 45, "pending": 2}, "queue NOT drained after 45 s"),
        ("halted", {"took_s": 1.2, "killed": False}, "Watcher halted in 1.2 s"),
        ("halted", {"took_s": 35, "killed": True}, "Watcher did NOT halt in 35 s"),
        ("stopped", {"reason": "complete"}, "complete"),
        ("stopped", {"reason": "interrupt", "message": "SIGINT"}, "stopped early (interrupt)"),
        ("cleanup", {"complete": True, "left": []}, "clean-up complete"),
        ("cleanup", {"complete": False, "left": ["pid 7"]}, "CLEAN-UP INCOMPLETE: pid 7"),
        ("guardrail", {"name": "disk", "measured": 1, "limit": 2}, "guardrail disk: 1, limit 2"),
        ("unheard_of", {"text": "x" * 500}, "unheard of: text=xxx"),
    ],
)
def test_events_in_words(name: str, detail: dict[str, object], text: str) -> None:
    said = event_text(Event(t_s=0.0, name=name, detail=detail))
    assert said.startswith(text)
    assert len(said) <= 160


def test_absent_values_are_absent_not_zero() -> None:
    progress = Progress(PLAN, SCHEDULE)
    assert progress.watcher_text() == progress.llm_text() == progress.queue_text() == "-"
    progress.take(Sample(t_s=1.0, values={"queue.pending": 0}))
    assert progress.queue_text() == "0 pending"
    assert progress.watcher_text() == "not running"
    assert "0" not in progress.llm_text()


def test_ended_processes_and_faults_are_not_shown_as_current() -> None:
    """After an early end, no fault is announced and no process is shown as running."""
    progress = Progress(PLAN, SCHEDULE)
    for record in course():
        progress.take(record)
    progress.take(fault(44.0, "f001", "closed"))
    progress.take(Phase(t_s=45.0, name="collect"))
    assert progress.fault_text(45.0) == "not injected: f002 and those after it"
    assert progress.watcher_text() == "not running"
    assert progress.llm_text() == "-"
    assert progress.queue_text() == "2 pending, 1 claimed, 14 archived"
