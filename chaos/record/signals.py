"""Every signal that a sample may hold, declared once: name, type, unit, meaning.

Samplers write these names, checks and reports read them. A name that is not declared raises
`UndeclaredName` where it is used. GPU signals are declared by form, because their number depends on
the machine: `gpu0.used_bytes`, `gpu0mig1.llm_bytes`; those of the target's `services` likewise:
`orchestrator.fds`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from chaos.record.names import Names

SignalType = Literal["number", "text"]


@dataclass(frozen=True)
class Signal:
    """One signal. `unit` is "" for counts, identifiers and texts."""

    name: str
    meaning: str
    unit: str = ""
    type: SignalType = "number"


# The name of a program of the target, as in `services`; a GPU's name is none.
SERVICE_NAME = re.compile(r"(?!gpu\d)[a-z][a-z0-9_]{0,31}")


def signals_of(program: str, what: str = "the service") -> tuple[Signal, ...]:
    """The signals of one program of the daemon; `what` stands for it in their meanings."""
    return (
        Signal(f"{program}.pid", f"process id of {what}"),
        Signal(f"{program}.generation", f"how often {what} was started again"),
        Signal(f"{program}.rss_anon_bytes", f"anonymous resident memory of {what}", "bytes"),
        Signal(f"{program}.swap_bytes", f"swapped memory of {what}", "bytes"),
        Signal(f"{program}.fds", f"open file descriptors of {what}"),
        Signal(f"{program}.threads", f"threads of {what}"),
        Signal(f"{program}.cpu_s", f"processor time of {what} so far", "s"),
        Signal(
            f"{program}.wait_s", f"time that the main thread of {what} waited for a processor", "s"
        ),
        Signal(f"{program}.children", f"live child processes of {what}"),
        Signal(f"{program}.children_faults", f"page faults of children of {what} that have ended"),
    )


SIGNALS = Names(
    "signal",
    (
        *signals_of("watcher", "the daemon"),
        Signal("watcher.zombies", "children that have ended and were not waited for"),
        Signal("watcher.sockets_established", "TCP sockets in state ESTABLISHED"),
        Signal("watcher.sockets_close_wait", "TCP sockets in state CLOSE_WAIT"),
        Signal("watcher.sockets_other", "sockets in any other state, or of another kind"),
        Signal("workspace.temp_files", "temporary files in the workspace"),
        *signals_of("injector", "the draw injector"),
        Signal("llm.pid", "process id of the LLM server"),
        Signal("llm.generation", "how often the LLM server was started, from 1"),
        Signal("llm.health", "the LLM server's answer to /health", type="text"),
        Signal("llm.requests_processing", "requests that the LLM server works on"),
        Signal("llm.requests_deferred", "requests that wait for a slot of the LLM server"),
        Signal("queue.pending", "request files that nobody has taken"),
        Signal("queue.claimed", "request files that are being worked on"),
        Signal("queue.archived", "request files that are finished"),
        Signal("queue.quarantined", "request files that were set aside"),
        Signal("queue.stalled_s", "time with work waiting and no decision", "s"),
        Signal("halt.flags", "halt flags of the daemon that are set"),
        Signal("decisions.lines", "lines of the decision log"),
        Signal("decisions.completed", "decisions with a status that means done"),
        Signal("decisions.fallbacks", "decisions that say the LLM did not make them"),
        Signal("decisions.unreadable", "lines of the decision log that are not JSON objects"),
        Signal("draws.count", "draws in the draw history"),
        Signal("candidates.count", "policy candidate files"),
        Signal("log.bytes", "bytes written to the daemon's logs, rotated files included", "bytes"),
        Signal("log.errors", "log lines of level ERROR or CRITICAL"),
        Signal("log.tracebacks", "tracebacks in the daemon's logs"),
        Signal("disk.workspace_used_bytes", "used bytes of the workspace's volume", "bytes"),
        Signal("disk.workspace_free_bytes", "free bytes of the workspace's volume", "bytes"),
        Signal("host.load1", "load average of the host over one minute"),
        Signal("host.mem_available_bytes", "available memory of the host", "bytes"),
        Signal("harness.rss_bytes", "resident memory of the harness", "bytes"),
        Signal("harness.cpu_s", "processor time of the harness so far", "s"),
    ),
)

# A device, and whose memory: all of it (`used`), or what one service of the stack holds.
GPU_SIGNAL = re.compile(r"(gpu(\d+)(?:mig(\d+))?)\.([a-z_]+)_bytes")


_OF_SERVICE = frozenset(signal.name for signal in signals_of(""))


def gpu_order(name: str) -> tuple[int, int, str]:
    """Sort key of a GPU signal: device, MIG instance, owner."""
    found = GPU_SIGNAL.fullmatch(name)
    assert found is not None, name
    return int(found[2]), -1 if found[3] is None else int(found[3]), found[4]


def declared_signal(name: str) -> Signal:
    """The declaration of `name`. Raises `UndeclaredName`."""
    if GPU_SIGNAL.fullmatch(name):
        return Signal(name, "GPU memory in use, of a device or of one holder", "bytes")
    service, dot, part = name.partition(".")
    if name not in SIGNALS and dot + part in _OF_SERVICE and SERVICE_NAME.fullmatch(service):
        return next(signal for signal in signals_of(service) if signal.name == name)
    return SIGNALS[name]
