"""`chaos monitor`: choose the sources and the display, and run the monitor until it ends.

Starts, stops and judges nothing. Exit codes: 0 ended (by Ctrl-C, SIGTERM or --count) without an
alert, 5 an alert was raised, 2 usage, 4 the workspace cannot be read or there is no such process.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from chaos.base.errors import EnvironmentProblem, UsageError, unknown_name
from chaos.base.exitcode import ExitCode
from chaos.base.output import failed, unread
from chaos.base.units import duration_s
from chaos.faults.disk.volume import total_bytes
from chaos.monitor.alerts import NONE, Rule, free_space_rule, parse_rules
from chaos.monitor.display import JsonLines, Rows, Table
from chaos.monitor.instance import FixedProcess, OwnFile, instance_of, start_ticks
from chaos.monitor.loop import STRETCH, Display, Monitor
from chaos.monitor.options import MonitorOptions
from chaos.monitor.stall import Stall
from chaos.record.signals import GPU_SIGNAL, SIGNALS
from chaos.record.target import Target
from chaos.runner.resolve import read_target
from chaos.stack.base import Endpoint
from chaos.witness.base import Source, SourceBase, Values
from chaos.witness.build import build_sources
from chaos.witness.pause import Pause
from chaos.witness.process import DETAILS_PERIOD_S

PERIOD_MIN_S = 0.02
_NETWORK_SOURCES = ("llm.health", "llm.metrics")

# Declared signals that no source of the monitor reads.
_ONLY_IN_RUNS = ("injector.", "harness.")


def monitor(options: MonitorOptions) -> int:
    """Watch until the end. Returns the exit code. Raises `ChaosError`."""
    rules = parse_rules(options.alert)
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
    if NONE not in options.alert:
        rules.append(free_space_rule(total_bytes(workspace)))
    instance: FixedProcess | OwnFile
    if options.pid is None:
        instance = OwnFile(instance_of(target), workspace)
    else:
        instance = FixedProcess(options.pid)
    sources = _sources(target, workspace, options, instance)
    _refuse_unknown(rules)
    watched = Monitor(sources, rules, instance)
    display = _display(options, f"{target.title} in {workspace}")
    # With a known end, the exit code is useful even if nobody reads the output.
    ends_by_itself = options.count is not None or options.until_alert
    with _ended_by_signals() as stop:
        summary = watched.run(
            display,
            period_s,
            stop,
            count=options.count,
            until_alert=options.until_alert,
            in_vain=lambda: bool(failed()) or (unread() and not ends_by_itself),
        )
    return int(ExitCode.GUARDRAIL if summary.raised else ExitCode.PASS)


def _workspace(options: MonitorOptions) -> Path:
    """The workspace option, else the process's working directory, else the current folder."""
    if options.pid is not None and start_ticks(options.pid) is None:
        raise EnvironmentProblem(
            f"there is no process {options.pid}", place="--pid", next_step="check the number"
        )
    if options.workspace is not None:
        path = options.workspace
    else:
        # The unresolved link also works for a process in another mount namespace.
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
    target: Target, workspace: Path, options: MonitorOptions, pid: Callable[[], int | None]
) -> list[Source]:
    endpoint = endpoint_of(options.llm or target.llm.endpoint)
    sources = build_sources(
        target, workspace, endpoint, pid, details_period_s=DETAILS_PERIOD_S * STRETCH
    )
    sources.append(Stall())
    if options.llm is None and options.pid is not None and not _same_network(options.pid):
        for source in [s for s in sources if s.name in _NETWORK_SOURCES]:
            source.close()
            sources.remove(source)
        sources.append(_OtherNetwork())
    return sources


def endpoint_of(text: str) -> Endpoint:
    """Parse HOST:PORT. Raises `UsageError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is not HOST:PORT", place="--llm", next_step="127.0.0.1:8080")
    return Endpoint(host, int(port))


def _same_network(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    except OSError:  # another user's process: assume that it is the same
        return True


class _OtherNetwork(SourceBase):
    """The absence of `llm.health`: the LLM server is on the loopback of another namespace."""

    def __init__(self) -> None:
        super().__init__("llm.health", 1.0)

    def read(self, values: Values) -> None:
        """Add nothing."""

    def absences(self) -> dict[str, str]:
        """Return the reason."""
        return {
            "llm.health": "the process lives in another network namespace; "
            "name a server that can be reached from here with --llm HOST:PORT"
        }


def _refuse_unknown(rules: Sequence[Rule]) -> None:
    """Raise `UsageError` for an alert on an unknown signal, because it could never be raised."""
    known = [name for name in SIGNALS if not name.startswith(_ONLY_IN_RUNS)]
    for rule in rules:
        if rule.key not in known and not GPU_SIGNAL.fullmatch(rule.key):
            raise unknown_name(
                "signal",
                rule.key,
                known,
                place=f"--alert {rule.text}",
                listed_by="chaos monitor --count 1 --jsonl, or docs/tables.md (moments)",
            )


def _display(options: MonitorOptions, title: str) -> Display:
    if options.jsonl:
        return JsonLines(sys.stdout.buffer)
    if sys.stdout.isatty():
        plain = options.no_color or bool(os.environ.get("NO_COLOR"))
        return Table(Console(no_color=plain, highlight=False), title)
    return Rows(sys.stdout)


@contextmanager
def _ended_by_signals() -> Iterator[Pause]:
    """A pause that SIGINT and SIGTERM set, because both are a normal end of a monitor."""
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
