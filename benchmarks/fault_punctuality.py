"""How late faults start: 100 real toxics, one each 100 ms, through the whole life of a fault.

Each goes through availability, ledger (fsynced), injection, proof of effect, hold, recovery and
its proof, by the real storm on a real Toxiproxy; the toxic is a harmless one (latency), so that
the proofs are quick. Lateness is the start of the injection against its scheduled moment.
Beside it a loop that sleeps between its actions, as Chaos Toolkit does: it falls behind.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from benchmarks.figures import Figure, median, parser, percentile, show
from chaos.assets import locate
from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, Fault
from chaos.faults.ledger import Ledger
from chaos.faults.lifecycle import Occurrence, Storm
from chaos.faults.params import Value
from chaos.record.history import FaultRecord, HistoryWriter, read_history
from chaos.stack.base import Endpoint, Stack
from chaos.stack.toxiproxy import ProxyProblem, ToxiproxyClient

_START_LIMIT_S = 10.0


class HarmlessToxic(Fault):
    """A latency toxic of 1 ms: a real injection whose effect is proven by the proxy's own list."""

    name = "harmless_toxic"
    summary = "adds 1 ms of latency"

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._toxic = f"measure_{fault_id}"

    def available(self, stack: Stack) -> str | None:
        """Where the proxy answers."""
        return None if stack.proxy.version() else "the proxy does not answer"

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the toxic."""
        return {"toxic": self._toxic}

    def inject(self, stack: Stack) -> None:
        """Add it."""
        stack.proxy.add_toxic(self._toxic, "latency", {"latency": 1})

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The proxy lists it."""
        toxics = stack.proxy.toxics()
        return Evidence(self._toxic in toxics, {"toxics": toxics})

    def recover(self, stack: Stack) -> None:
        """Remove it."""
        stack.proxy.remove_toxic(self._toxic)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The proxy does not list it any more."""
        toxics = stack.proxy.toxics()
        return Evidence(self._toxic not in toxics, {"toxics": toxics})


class ProxyOnly:
    """A stack of which only the proxy exists: all that the fault above touches."""

    def __init__(self, proxy: ToxiproxyClient) -> None:
        self.proxy = proxy


def main(argv: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--faults", type=int, default=100)
    made.add_argument("--every-ms", type=int, default=100)
    made.add_argument("--sleeping-faults", type=int, default=40)
    options = made.parse_args(argv)
    every_s = options.every_ms / 1000
    binary = locate().toxiproxy
    if binary is None:
        made.error("there is no Toxiproxy to measure; see `chaos setup`")
    with proxy(binary) as client:
        late_ms, unproven = by_storm(client, options.faults, every_s)
        sleeping_ms = by_sleeping(client, options.sleeping_faults, every_s)
        left = client.toxics()
    drift_ms = (sleeping_ms[-1] - sleeping_ms[0]) / (len(sleeping_ms) - 1)
    first, last = median(late_ms[:10]), median(late_ms[-10:])
    show(
        "fault_punctuality",
        [
            Figure("late, p50", percentile(late_ms, 50), "ms"),
            Figure("late, p99", percentile(late_ms, 99), "ms", 10.0),
            Figure("late, median of the first ten", first, "ms"),
            Figure("late, median of the last ten", last, "ms"),
            Figure("drift per fault", (last - first) / max(1, len(late_ms) - 10), "ms"),
            Figure("sleeping loop: drift per fault", drift_ms, "ms"),
            Figure("faults without a life to the end", unproven, "faults", 0.0),
            Figure("toxics left behind", len(left), "toxics", 0.0),
        ],
        as_json=options.json,
        notes=f"{options.faults} faults, one each {options.every_ms} ms",
    )


@contextlib.contextmanager
def proxy(binary: Path) -> Iterator[ToxiproxyClient]:
    """A Toxiproxy of our own on free loopback ports, with one proxy; gone afterwards."""
    api, listen, upstream = (Endpoint("127.0.0.1", port) for port in free_ports(3))
    process = subprocess.Popen(
        [str(binary), "-host", api.host, "-port", str(api.port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = ToxiproxyClient(api)
        deadline = Deadline(_START_LIMIT_S)
        while True:
            try:
                client.create(listen, upstream)
                break
            except ProxyProblem:
                if not deadline.wait(0.02):
                    raise
        yield client
    finally:
        process.terminate()
        process.wait(timeout=10)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def by_storm(client: ToxiproxyClient, count: int, every_s: float) -> tuple[Sequence[float], int]:
    """Lateness of each injection in ms, and how many faults were not proven and closed."""
    with tempfile.TemporaryDirectory(prefix="chaos-bench-") as folder:
        history = HistoryWriter(Path(folder) / "history.jsonl", "benchmark")
        ledger = Ledger(Path(folder) / "ledger.jsonl")
        storm = Storm(cast(Stack, ProxyOnly(client)), history, ledger, threading.Event())
        begin_s = history.now_s() + 1.5
        storm.run(
            [
                Occurrence(
                    f"f{number:03d}",
                    HarmlessToxic(f"f{number:03d}", {}),
                    begin_s + number * every_s,
                    every_s / 4,
                )
                for number in range(count)
            ]
        )
        history.close()
        states: dict[str, list[FaultRecord]] = {}
        for _, record in read_history(Path(folder) / "history.jsonl"):
            if isinstance(record, FaultRecord):
                states.setdefault(record.state, []).append(record)
        proven = len(states.get("effect_proven", [])) == len(states.get("closed", [])) == count
        closed = len(states.get("closed", []))
        late = [float(record.evidence["late_ms"]) for record in states["injected"]]
        return late, 0 if proven else max(1, count - closed)


def by_sleeping(client: ToxiproxyClient, count: int, every_s: float) -> Sequence[float]:
    """The same toxics by a loop that acts, then sleeps: lateness of each in ms."""
    late: list[float] = []
    begin_s = time.monotonic()
    for number in range(count):
        late.append((time.monotonic() - begin_s - number * every_s) * 1000)
        client.add_toxic("measure", "latency", {"latency": 1})
        client.toxics()
        client.remove_toxic("measure")
        time.sleep(every_s)
    return late


if __name__ == "__main__":
    main()
