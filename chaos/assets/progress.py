"""How provisioning shows what it does: bars on a terminal, plain lines elsewhere, or nothing.

Knows nothing of assets; `rich` is loaded only when there is a terminal to draw on.
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
    """One piece of work under way."""

    def update(self, done: int | None = None) -> None:
        """Say that it goes on; `done` in bytes where the step has a total."""


class Progress(Protocol):
    """Where progress is shown."""

    def step(self, title: str, total: int | None = None) -> contextlib.AbstractContextManager[Step]:
        """Open a step; `total` in bytes, None when the amount is not known."""

    def note(self, text: str) -> None:
        """One line that stays."""


class Quiet:
    """Shows nothing."""

    def update(self, done: int | None = None) -> None:
        """Nothing."""

    @contextlib.contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Open a step that shows nothing."""
        yield self

    def note(self, text: str) -> None:
        """Nothing."""


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

    def took_s(self) -> float:
        return time.monotonic() - self._start_s


class Plain:
    """A line at the start and the end of each step, and every 10 s between."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextlib.contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Open a step; its end is told only when it succeeded."""
        self.note(f"{title} ...")
        step = _PlainStep(self._stream, title, total)
        yield step
        self.note(f"{title}: done in {step.took_s():.1f} s")

    def note(self, text: str) -> None:
        """One line."""
        print(text, file=self._stream, flush=True)


class Bars:
    """A bar per step, with bytes, rate and time where the amount is known."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream)

    @contextlib.contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Open a step with its bar; a finished bar stays, with the time it took."""
        from rich import progress as bars

        columns: list[bars.ProgressColumn] = [
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=30),
        ]
        if total:
            columns += [bars.DownloadColumn(), bars.TimeRemainingColumn(elapsed_when_finished=True)]
        else:
            columns += [bars.TimeElapsedColumn()]
        with bars.Progress(*columns, console=self._console) as shown:
            task = shown.add_task(title, total=total)
            yield _BarStep(shown, task)
            end = total or 1
            shown.update(task, completed=end, total=end)

    def note(self, text: str) -> None:
        """One line."""
        self._console.print(text, highlight=False, markup=False)


class _BarStep:
    def __init__(self, shown: bars.Progress, task: bars.TaskID) -> None:
        self._shown = shown
        self._task = task

    def update(self, done: int | None = None) -> None:
        if done is not None:
            self._shown.update(self._task, completed=done)


def progress_for(*, quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """The fitting way for `stream` (standard error by default)."""
    stream = stream or sys.stderr
    if quiet:
        return Quiet()
    return Bars(stream) if stream.isatty() else Plain(stream)
