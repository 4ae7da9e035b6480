"""The monitor's displays: JSON lines, plain rows, or a live table. Reads no source."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from chaos.base.printable import printable
from chaos.base.units import duration_text
from chaos.monitor.loop import Moment, Summary
from chaos.witness.base import Values

_HEADER_EVERY = 20
_RENDER_PERIOD_S = 0.5
_ALERTS_SHOWN = 5

# The plan's signals come first, because a small terminal cuts off the rest.
_FIRST = (
    "watcher.rss_anon_bytes", "watcher.fds", "queue.pending", "queue.archived", "decisions.lines",
    "llm.health", "log.errors", "log.tracebacks", "disk.workspace_free_bytes", "gpu0.used_bytes",
    "queue.stalled_s", "watcher.threads", "watcher.children", "decisions.fallbacks",
)  # fmt: skip


def _iso(wall_s: float) -> str:
    whole_ms = int(wall_s * 1000)  # rounded down, as in the line of a sample
    return datetime.fromtimestamp(whole_ms / 1000, UTC).isoformat(timespec="milliseconds")


class SampleLine:
    """Encodes samples. Formats the date once a second, and the values only after a change.

    Most samples differ from the previous one only in their time.
    """

    _LINE = b'{"kind":"sample","at":"%b.%03d+00:00","t_s":%d.%03d,"values":%b}\n'

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._second = -1
        self._at = b""
        self._values: Values = {}
        self._encoded = b"{}"

    def of(self, moment: Moment) -> bytes:
        """The line of one sample, with its newline."""
        second, wall_ms = divmod(int(moment.wall_s * 1000), 1000)
        if second != self._second:
            self._second = second
            self._at = _iso(second)[:19].encode()
        if moment.values is not self._values:
            self._values = moment.values
            self._encoded = self._encode(moment.values)
        t_s, t_ms = divmod(round(moment.t_s * 1000), 1000)
        return self._LINE % (self._at, wall_ms, t_s, t_ms, self._encoded)


class JsonLines:
    """One JSON object per line, of the kinds `sample`, `absent`, `present`, `alert` and `end`.

    sample {at, t_s, values}; absent {at, source, reason}, once for each reason; present
    {at, source}; alert {at, state: raised|cleared, rule, measured};
    end {samples, overruns, alerts, lasted_s, cpu_ms_per_sample, never_measured, repeated_s}.
    `repeated_s` maps the sources that are not read at every sample to their period in seconds; the
    samples in between repeat their last values.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._encode = msgspec.json.Encoder().encode
        self._absent: dict[str, str] = {}
        self._sample = SampleLine()

    def _line(self, **content: Any) -> bytes:
        return self._encode(content) + b"\n"

    def show(self, moment: Moment) -> None:
        """Write the sample and the changes in one write, so that no reader sees only a part."""
        text = self._sample.of(moment)
        if moment.absent is not self._absent or moment.changes:
            text += b"".join(self._changes(moment))
        self._out.write(text)
        self._out.flush()

    def _changes(self, moment: Moment) -> Iterator[bytes]:
        at = _iso(moment.wall_s)
        if moment.absent != self._absent:
            for source, reason in moment.absent.items():
                if self._absent.get(source) != reason:
                    yield self._line(kind="absent", at=at, source=source, reason=reason)
            for source in self._absent.keys() - moment.absent.keys():
                yield self._line(kind="present", at=at, source=source)
            self._absent = moment.absent
        for change in moment.changes:
            yield self._line(
                kind="alert", at=at, state=change.state, rule=change.rule, measured=change.measured
            )

    def close(self, summary: Summary) -> None:
        """Write the line `end`."""
        end = self._line(
            kind="end",
            samples=summary.samples,
            overruns=summary.overruns,
            alerts=summary.raised,
            lasted_s=round(summary.lasted_s, 3),
            cpu_ms_per_sample=round(summary.cpu_ms_per_sample, 3),
            never_measured=summary.never_measured,
            repeated_s=summary.repeated_s,
        )
        self._out.write(end)
        self._out.flush()


def number(value: float | int | str | bool | None, key: str = "") -> str:
    """A value for people; '-' if it is absent. A key that ends in `_bytes` gives a unit."""
    if value is None:
        return "-"
    if isinstance(value, (str, bool)):
        return str(value)
    if key.endswith("_bytes") or key == "log.bytes":
        size = abs(value)
        for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if size >= factor:
                return f"{value / factor:.1f} {unit}"
        return f"{value:.0f} B"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _sum(values: Values, *keys: str) -> float | None:
    numbers = [value for key in keys if isinstance(value := values.get(key), (int, float))]
    return sum(float(value) for value in numbers) or None


def _gpu(values: Values) -> str:
    used = [number(v, k) for k, v in values.items() if k.startswith("gpu") and "used" in k]
    return " ".join(used) or "-"


class Rows:
    """One line per sample with the plan's eight signals. Alerts and absences have own lines."""

    _COLUMNS = (
        ("time", 8), ("watcher", 9), ("fds", 4), ("gpu", 8), ("free", 9), ("pend", 5),
        ("archived", 8), ("decided", 7), ("llm", 7), ("errors", 6),
    )  # fmt: skip

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows = 0
        self._absent: dict[str, str] = {}

    def show(self, moment: Moment) -> None:
        """Print the row, then the absences and alerts that changed."""
        values = moment.values
        if self._rows % _HEADER_EVERY == 0:
            self._print(" ".join(f"{name:>{width}}" for name, width in self._COLUMNS))
        self._rows += 1
        memory = _sum(values, "watcher.rss_anon_bytes", "watcher.swap_bytes")
        cells = (
            datetime.fromtimestamp(moment.wall_s).strftime("%H:%M:%S"),
            number(memory, "_bytes"),
            number(values.get("watcher.fds")),
            _gpu(values),
            number(values.get("disk.workspace_free_bytes"), "_bytes"),
            number(values.get("queue.pending")),
            number(values.get("queue.archived")),
            number(values.get("decisions.lines")),
            number(values.get("llm.health")),
            number(values.get("log.errors")),
        )
        pairs = zip(cells, self._COLUMNS, strict=True)
        self._print(" ".join(f"{cell:>{width}}" for cell, (_, width) in pairs))
        for source, reason in moment.absent.items():
            if self._absent.get(source) != reason:
                self._print(f"  absent: {source}: {reason}")
        self._absent = moment.absent
        for change in moment.changes:
            word = "ALERT" if change.state == "raised" else "over "
            self._print(f"  {word}: {change.rule} (measured {number(change.measured)})")
        self._out.flush()

    def _print(self, text: str) -> None:
        self._out.write(printable(text) + "\n")

    def close(self, summary: Summary) -> None:
        """Print the totals."""
        for line in ending(summary):
            self._print(line)
        self._out.flush()


def ending(summary: Summary) -> list[str]:
    """The totals, as lines for people."""
    lines = [
        f"{summary.samples} samples in {duration_text(summary.lasted_s)}, "
        f"{summary.cpu_ms_per_sample:.2f} ms of CPU each, {summary.overruns} skipped; "
        f"alerts raised: {summary.raised}"
    ]
    lines += [f"never measured, so never judged: {rule}" for rule in summary.never_measured]
    return lines


class Table:
    """All signals in a table that is redrawn in place, at most twice a second.

    Memory is bounded by the number of signals and of shown alerts.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._first: dict[str, float] = {}
        self._low: dict[str, float] = {}
        self._high: dict[str, float] = {}
        self._alerts: list[str] = []
        self._next_s = 0.0
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def show(self, moment: Moment) -> None:
        """Update lowest and highest values. Redraw if it is time or an alert changed."""
        for key, value in moment.values.items():
            if isinstance(value, (int, float)):
                self._first.setdefault(key, value)
                self._low[key] = min(self._low.get(key, value), value)
                self._high[key] = max(self._high.get(key, value), value)
        at = datetime.fromtimestamp(moment.wall_s).strftime("%H:%M:%S")
        for change in moment.changes:
            text = f"{at} {change.state}: {change.rule} (measured {number(change.measured)})"
            self._alerts = [*self._alerts, text][-_ALERTS_SHOWN:]
        now_s = time.monotonic()
        if now_s >= self._next_s or moment.changes:
            self._next_s = now_s + _RENDER_PERIOD_S
            self._live.update(self._text(moment, at), refresh=True)

    def _text(self, moment: Moment, at: str) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{self._title}  {at}\n", style="bold")
        for alert in self._alerts:
            text.append(alert + "\n", style="red" if "raised" in alert else "green")
        text.append(f"{'signal':<28}{'now':>12}{'change':>12}{'lowest':>12}{'highest':>12}\n")
        first = [key for key in _FIRST if key in moment.values]
        for key in first + sorted(moment.values.keys() - set(first)):
            text.append(self._line(key, moment.values[key]))
        for source, reason in moment.absent.items():
            text.append(printable(f"absent: {source}: {reason}\n"), style="dim")
        return text

    def _line(self, key: str, value: float | int | str | bool | None) -> str:
        line = f"{key:<28}{number(value, key):>12}"
        if isinstance(value, (int, float)) and not key.endswith(".pid"):
            change = value - self._first[key]
            sign = "+" if change > 0 else ""
            line += f"{sign + number(change, key) if change else '':>12}"
            line += f"{number(self._low[key], key):>12}{number(self._high[key], key):>12}"
        return line + "\n"

    def close(self, summary: Summary) -> None:
        """Keep the last table on the screen, and print the totals."""
        self._live.stop()
        for line in ending(summary):
            self._console.print(Text(line), soft_wrap=True)
