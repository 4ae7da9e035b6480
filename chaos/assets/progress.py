"""Shows the progress of provisioning: bars on a terminal, plain lines elsewhere, or nothing.

Must not know assets. `rich` is imported only if the output is a terminal.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich import progress as bars

_PLAIN_EVERY_S = 10.0


class Step(Protocol):
    """A running step, e.g. a download."""

    def update(self, done: int | None = None) -> None:
        """Show that the step still runs; `done` is in bytes if the step has a total."""


class Reporter(Protocol):
    """Shows the steps of provisioning."""

    def step(self, title: str, total: int | None = None) -> contextlib.AbstractContextManager[Step]:
        """Start a step; `total` is in bytes, or None if the amount is unknown."""

    def note(self, text: str) -> None:
        """Show one line that is never overwritten."""


class Quiet:
    """Shows nothing."""

    def update(self, done: int | None = None) -> None:
        """Do nothing."""

    @contextlib.contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Start a step that is not shown."""
        yield self

    def note(self, text: str) -> None:
        """Do nothing."""


class _PlainStep:
    def __init__(self, stream: TextIO, title: str, total: int | None) -> None:
        self._stream = stream
        self._title = title
        self._total = total
        self._start_s = time.monotonic()
        self._next_s = self._start_s + _PLAIN_EVERY_S

    def update(self, done: int | None = None) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _PLAIN_EVERY_S
        text = f"  {self._title}: {now_s - self._start_s:.0f} s"
        if done is not None and self._total:
            text += f", {done / 1e6:.0f} of {self._total / 1e6:.0f} MB"
        print(text, file=self._stream, flush=True)

    def duration_s(self) -> float:
        return time.monotonic() - self._start_s


class Plain:
    """Writes a line at the start and the end of each step, and every 10 s between."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextlib.contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Start a step; its end is reported only if it succeeds."""
        self.note(f"{title} ...")
        step = _PlainStep(self._stream, title, total)
        yield step
        self.note(f"{title}: done in {step.duration_s():.1f} s")

    def note(self, text: str) -> None:
        """Write one line."""
        print(text, file=self._stream, flush=True)


class Bars:
    """Shows a bar per step, with bytes and remaining time if the amount is known."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream)

    @contextlib.contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Start a step with its bar; the bar of a finished step stays, with its duration."""
        from rich import progress as bars

        columns: list[bars.ProgressColumn] = [
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=30),
        ]
        if total:
            columns += [bars.DownloadColumn(), bars.TimeRemainingColumn(elapsed_when_finished=True)]
        else:
            columns += [bars.TimeElapsedColumn()]
        with bars.Progress(*columns, console=self._console) as display:
            task = display.add_task(title, total=total)
            yield _BarStep(display, task)
            end = total or 1
            display.update(task, completed=end, total=end)

    def note(self, text: str) -> None:
        """Write one line."""
        self._console.print(text, highlight=False, markup=False)


class _BarStep:
    def __init__(self, display: bars.Progress, task: bars.TaskID) -> None:
        self._display = display
        self._task = task

    def update(self, done: int | None = None) -> None:
        if done is not None:
            self._display.update(self._task, completed=done)


def progress_for(*, quiet: bool = False, stream: TextIO | None = None) -> Reporter:
    """Return bars if `stream` (default: standard error) is a terminal, else plain lines."""
    stream = stream or sys.stderr
    if quiet:
        return Quiet()
    return Bars(stream) if stream.isatty() else Plain(stream)
