"""`chaos monitor`: what is watched, how it is shown, how it ends. Starts, stops, judges nothing.

Exit codes: 0 ended (by Ctrl-C, SIGTERM or --count) with no alert; 5 an alert was raised, i.e. a
threshold was crossed; 2 usage; 4 the workspace cannot be read or the process is not there.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from chaos.base.errors import EnvironmentProblem, UsageError, unknown_name
from chaos.base.exitcode import ExitCode
from chaos.base.output import failed, unread
from chaos.base.units import duration_s
from chaos.monitor.alerts import Rule, parse_rules
from chaos.monitor.display import JsonLines, Rows, Table
from chaos.monitor.instance import FixedProcess, OwnFile, instance_of, start_ticks
from chaos.monitor.loop import STRETCH, Display, Monitor
from chaos.monitor.stall import Stall
from chaos.record.target import Target
from chaos.runner.resolve import read_target
from chaos.stack.base import Endpoint
from chaos.witness.base import Source, SourceBase, Values
from chaos.witness.build import build_sources
from chaos.witness.pause import Pause
from chaos.witness.process import DETAILS_PERIOD_S

PERIOD_MIN_S = 0.02
_OF_THE_NET = ("llm.health", "llm.metrics")

# Signals that may be absent from the first sample. GPUs are numbered, sockets come by state.
_KNOWN = frozenset(
    {
        f"watcher.{n}"
        for n in ("pid", "generation", "rss_anon_bytes", "swap_bytes", "fds", "threads", "cpu_s")
    }
    | {
        "watcher.children",
        "watcher.children_faults",
        "llm.pid",
        "llm.generation",
        "llm.health",
        "llm.requests_processing",
    }
    | {"llm.requests_deferred", "draws.count", "candidates.count", "queue.stalled_s"}
    | {f"queue.{n}" for n in ("pending", "claimed", "archived", "quarantined")}
    | {f"decisions.{n}" for n in ("lines", "completed", "fallbacks", "unreadable")}
    | {f"log.{n}" for n in ("bytes", "errors", "tracebacks")}
    | {"gpu0.used_bytes", "watcher.zombies", "watcher.sockets_close_wait", "workspace.temp_files"}
)
_NUMBERED = ("gpu", "watcher.sockets_")


@dataclass(frozen=True)
class Options:
    """What was asked for. `count` None: until it is ended."""

    target: str = "reference"
    workspace: Path | None = None
    pid: int | None = None
    llm: str | None = None
    interval: str = "5s"
    count: int | None = None
    jsonl: bool = False
    alerts: Sequence[str] = ()
    until_alert: bool = False
    no_color: bool = False


def monitor(options: Options) -> int:
    """Watch until the end; returns the exit code."""
    rules = parse_rules(options.alerts)
    period_s = duration_s(options.interval, place="--interval")
    if period_s < PERIOD_MIN_S:
        raise UsageError(
            f"{options.interval} is too short",
            place="--interval",
            next_step=f"{PERIOD_MIN_S * 1000:.0f}ms at least",
        )
    if options.count is not None and options.count < 1:
        raise UsageError(
            f"{options.count} is not a number of samples", place="--count", next_step="1 at least"
        )
    target = read_target(options.target, place="--target")[1]
    workspace = _workspace(options)
    instance: FixedProcess | OwnFile
    if options.pid is None:
        instance = OwnFile(instance_of(target), workspace)
    else:
        instance = FixedProcess(options.pid)
    sources = _sources(target, workspace, options, instance)
    _refuse_unknown(rules, sources)
    watched = Monitor(sources, rules, instance)
    display = _display(options, f"{target.title} in {workspace}")
    # Its end is known, and its exit code is an answer to somebody who does not read.
    awaits_an_alert = options.count is not None or options.until_alert
    with _ended_by_signals() as stop:
        summary = watched.run(
            display,
            period_s,
            stop,
            count=options.count,
            until_alert=options.until_alert,
            in_vain=lambda: bool(failed()) or (unread() and not awaits_an_alert),
        )
    return int(ExitCode.GUARDRAIL if summary.raised else ExitCode.PASS)


def _workspace(options: Options) -> Path:
    """The named one, else the process's own working directory, else the current folder."""
    if options.pid is not None and start_ticks(options.pid) is None:
        raise EnvironmentProblem(
            f"there is no process {options.pid}", place="--pid", next_step="check the number"
        )
    if options.workspace is not None:
        path = options.workspace
    else:
        # The link itself, not where it leads: it also reaches into another mount namespace.
        path = Path(f"/proc/{options.pid}/cwd") if options.pid is not None else Path.cwd()
    try:
        next(iter(path.iterdir()), None)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot read the Watcher's working directory: {error.strerror}",
            place=str(path),
            next_step="name it with --workspace DIR",
        ) from error
    return path


def _sources(
    target: Target, workspace: Path, options: Options, pid: Callable[[], int | None]
) -> list[Source]:
    endpoint = endpoint_of(options.llm or target.llm.endpoint)
    sources = build_sources(
        target, workspace, endpoint, pid, details_period_s=DETAILS_PERIOD_S * STRETCH
    )
    sources.append(Stall())
    if options.llm is None and options.pid is not None and not _same_network(options.pid):
        for source in [s for s in sources if s.name in _OF_THE_NET]:
            source.close()
            sources.remove(source)
        sources.append(_ElsewhereNetwork())
    return sources


def endpoint_of(text: str) -> Endpoint:
    """HOST:PORT. Raises `UsageError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is not HOST:PORT", place="--llm", next_step="127.0.0.1:8080")
    return Endpoint(host, int(port))


def _same_network(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    except OSError:  # another user's process: nothing says that it is elsewhere
        return True


class _ElsewhereNetwork(SourceBase):
    """States why the LLM server is not asked: our loopback is not the Watcher's."""

    def __init__(self) -> None:
        super().__init__("llm.health", 1.0)

    def read(self, values: Values) -> None:
        """Adds nothing."""

    def absences(self) -> dict[str, str]:
        """The reason."""
        return {
            "llm.health": "the process lives in another network namespace; "
            "name a server that can be reached from here with --llm HOST:PORT"
        }


def _refuse_unknown(rules: Sequence[Rule], sources: Sequence[Source]) -> None:
    """An alert on a signal that cannot come would never be raised: refused before the start."""
    values: Values = {}
    for source in sources:
        try:
            source.read(values)
        except OSError:
            continue  # absent for now; its signals are among the known ones
    known = _KNOWN | values.keys()
    for rule in rules:
        if rule.key not in known and not rule.key.startswith(_NUMBERED):
            raise unknown_name("signal", rule.key, known, place=f"--alert {rule.text}")


def _display(options: Options, title: str) -> Display:
    if options.jsonl:
        return JsonLines(sys.stdout.buffer)
    if sys.stdout.isatty():
        plain = options.no_color or bool(os.environ.get("NO_COLOR"))
        return Table(Console(no_color=plain, highlight=False), title)
    return Rows(sys.stdout)


@contextmanager
def _ended_by_signals() -> Iterator[Pause]:
    """An event that Ctrl-C or SIGTERM sets: both are the normal end of a monitor."""
    stop = Pause()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
