"""The view of a run while it goes on: redrawn on a terminal, plain lines elsewhere.

`on_record` only stores, because the threads that inject faults and take samples call it, and a slow
terminal must not delay them. A separate thread draws, at most twice a second.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from chaos.base.units import duration_text
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record.history import Record
from chaos.report.display import Display
from chaos.report.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

DRAW_PERIOD_S = 0.5
LINES_PERIOD_S = 0.25
HEARTBEAT_S = 10.0
LONG_HEARTBEAT_S = 60.0
LONG_RUN_S = 900.0
_BACKLOG_MAX = 1000  # lines; if the stream is not read, the oldest are lost
_STOP_LIMIT_S = 2.0
_EVENTS_MIN = 5
_BAR_CELLS_MAX = 120
_HEAD_ROWS = 8  # title, bar, rows


class LiveView:
    """Shows one run. `json` is `lines` on stderr; `quiet` shows nothing.

    An error of the stream ends the view, never the run.
    """

    def __init__(
        self,
        plan: Plan,
        schedule: Schedule,
        display: Display,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._head = (
            f"{plan.soak}  profile {plan.profile_name}  seed {plan.seed}  schedule {schedule.hash}"
        )
        self._mode = mode = display.mode
        self._stream = stream or (sys.stderr if mode == "json" else sys.stdout)
        self._no_color = display.no_color
        self._clock = clock
        self._lock = threading.Lock()
        self._progress = Progress(plan, schedule)
        self._anchor = (clock(), 0.0)  # (time of `clock`, run time) at the last record
        self._lines: deque[str] = deque(maxlen=_BACKLOG_MAX)
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        long = self._progress.total_s() > LONG_RUN_S
        self._heartbeat_s = LONG_HEARTBEAT_S if long else HEARTBEAT_S
        self._last_line_s = clock()

    def start(self) -> None:
        """Start the drawing thread. Idempotent."""
        if self._mode == "quiet" or self._thread is not None:
            return
        draw = self._draw_loop if self._mode == "live" else self._lines_loop
        self._thread = threading.Thread(target=draw, name="view", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Show the rest and end. Returns within two seconds, even if the stream blocks."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(_STOP_LIMIT_S)
            self._thread = None

    def on_record(self, record: Record) -> None:
        """Store a record. Thread-safe; does not block."""
        with self._lock:
            self._anchor = (self._clock(), record.t_s)
            line = self._progress.take(record)
            if line is not None and self._mode in ("lines", "json"):
                self._lines.append(f"[{record.t_s:8.1f} s] {line}")

    def step(self, text: str) -> None:
        """Show a text that is not in the history."""
        with self._lock:
            now_s = self._now_s()
            self._progress.events.append(f"{now_s:7.1f} s  {text}")
            if self._mode in ("lines", "json"):
                self._lines.append(f"[{now_s:8.1f} s] {text}")

    def _now_s(self) -> float:
        clock_s, run_s = self._anchor
        return run_s + self._clock() - clock_s

    def _lines_loop(self) -> None:
        ended = False
        while not ended:
            ended = self._end.wait(LINES_PERIOD_S)
            try:
                self._print_lines(heartbeat=not ended)
            except (OSError, ValueError):  # the reader has ended, or the stream is closed
                return

    def _print_lines(self, *, heartbeat: bool) -> None:
        with self._lock:
            lines = list(self._lines)
            self._lines.clear()
            due = self._clock() - self._last_line_s >= self._heartbeat_s
            if heartbeat and due and not lines:
                now_s = self._now_s()
                lines.append(f"[{now_s:8.1f} s] {self._progress.heartbeat(now_s)}")
            if lines:
                self._last_line_s = self._clock()
        if lines:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()

    def _draw_loop(self) -> None:
        # Imported here: only a terminal needs it, and it costs 10 MB.
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._stream, no_color=self._no_color, highlight=False)
        shown = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        try:
            with shown:
                ended = False
                while not ended:
                    shown.update(self.render(console), refresh=True)
                    ended = self._end.wait(DRAW_PERIOD_S)
                shown.update(self.render(console), refresh=True)
        except (OSError, ValueError):  # the terminal is closed
            return

    def render(self, console: Console) -> Text:
        """The whole view as one text; each line is cut to the width of the console."""
        from rich.text import Text

        with self._lock:
            now_s = self._now_s()
            progress = self._progress
            rows = self._rows(now_s)
            events = list(progress.events)[-max(_EVENTS_MIN, console.height - _HEAD_ROWS - 2) :]
            active = progress.current() is not None
            bar = _bar(
                progress.done_s(now_s),
                progress.total_s(),
                progress.strikes(),
                cells=min(_BAR_CELLS_MAX, console.width - 8),
                unicode=console.encoding.startswith("utf"),
            )
        text = Text(self._head, style="bold")
        text.append("\n")
        text.append_text(bar)
        for name, value in rows:
            text.append(f"\n  {name:<9}", style="cyan")
            text.append(value, style="bold red" if name == "fault" and active else "not bold")
        for line in events:
            text.append(f"\n  {line}", style="dim not bold")
        lines = text.split()
        for row in lines:
            row.truncate(console.width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _rows(self, now_s: float) -> list[tuple[str, str]]:
        progress = self._progress
        left_s = progress.left_s(now_s)
        overall = "" if left_s is None else f"; {duration_text(left_s)} left in all"
        return [
            ("phase", f"{progress.phase_text(now_s)}{overall}"),
            ("fault", progress.fault_text(now_s)),
            ("requests", progress.queue_text()),
            ("work", progress.work_text()),
            ("Watcher", progress.watcher_text()),
            ("LLM", progress.llm_text()),
        ]


def _bar(
    done_s: float,
    total_s: float,
    strikes: list[tuple[float, float]],
    *,
    cells: int,
    unicode: bool,
) -> Text:
    """The progress of the whole run as a bar, with its faults in red where they are scheduled."""
    from rich.text import Text

    full, empty, strike = ("━", "─", "╍") if unicode else ("#", "-", "!")
    cells = max(1, cells)
    share = done_s / total_s if total_s else 0.0
    done = round(share * cells)
    cell_s = total_s / cells
    bar = Text("  ", style="not bold")
    for number in range(cells):
        begin_s, end_s = number * cell_s, (number + 1) * cell_s
        struck = any(begin < end_s and end > begin_s for begin, end in strikes)
        if number < done:
            bar.append(full, style="red" if struck else "green")
        else:
            bar.append(strike if struck else empty, style="red" if struck else "dim")
    return bar.append(f" {share:4.0%}", style="dim")
