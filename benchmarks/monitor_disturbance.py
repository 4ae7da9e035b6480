"""What a monitor at 10 Hz costs the stack that it watches: completions of the real LLM server.

One client asks for completions of fixed length, back to back. One real `chaos monitor` process
watches (health and gauges of that server, a process, a workspace of 1000 archived requests and
10 000 decisions, in which a cycle ends every 3 s). It is paused and resumed (SIGSTOP, SIGCONT)
between the short windows of one block in the order off-on-on-off, so that drift of the machine
cancels out within each block. The loss is estimated from these pairs: their mean with its standard
error, and their median, which a few disturbed blocks do not move. 30 blocks take six minutes, no
more blocks begin after `--limit-s`. On a
machine that others use, too, throughput says little; the processor time that the server spends on
one completion and the monitor's share of the processors then say more.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.figures import Figure, median, parser, show
from benchmarks.planted_workspace import PlantedWorkspace, Size
from chaos.assets import locate
from chaos.runner.resolve import read_target
from chaos.stack.base import Endpoint
from chaos.stack.llm_probe import completes, healthy
from chaos.stack.proctree import tree

_REPO = Path(__file__).resolve().parents[1]
_INTERVAL_S = 0.1
_CYCLE_S = 3.0
_START_LIMIT_S = 60.0
_WARM_UP_SAMPLES = 40  # files are opened, old decisions are read
_TOKENS = 8
# What no monitor can do without. Each line is its own processor time so far.
_BARE = """
import os, sys, time
period_s, statm = float(sys.argv[1]), os.open("/proc/self/statm", os.O_RDONLY)
while True:
    time.sleep(period_s)
    os.pread(statm, 128, 0)
    os.write(1, b"%d\\n" % time.process_time_ns())
"""
_BODY = json.dumps(
    {
        "prompt": "The daemon looks at the queue and",
        "n_predict": _TOKENS,
        "temperature": 0,
        "seed": 1,
        "cache_prompt": False,
        "ignore_eos": True,
    }
)


def main(argv: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--blocks", type=int, default=30, help="default: %(default)s")
    made.add_argument("--window-s", type=float, default=2.5, help="default: %(default)s")
    made.add_argument("--limit-s", type=float, default=660.0, help="default: %(default)s")
    options = made.parse_args(argv)
    target = read_target("reference")[1]
    with tempfile.TemporaryDirectory(prefix="chaos-bench-") as folder:
        root = Path(folder)
        planted = PlantedWorkspace(root / "workspace", target, Size(1000, 10_000, 5000))
        with (
            _llm_server(root) as server,
            _monitor(root, server.endpoint) as monitor,
            _bare_loop(root) as bare,
        ):
            ended = threading.Event()
            cycles = threading.Thread(target=_advance, args=(planted, ended))
            cycles.start()
            try:
                blocks = _blocks(server, monitor, bare, options)
            finally:
                ended.set()
                cycles.join()
                planted.close()
            monitor.send_signal(signal.SIGINT)
            monitor.wait(10)
        lines = (root / "signals.jsonl").read_text().splitlines()
        spent_ns = [int(line) for line in (root / "bare.txt").read_text().splitlines()]
    bare_ms = (spent_ns[-1] - spent_ns[0]) / 1e6 / (len(spent_ns) - 1)
    figures = _figures(blocks, lines, bare_ms)
    show("monitor_disturbance", figures, as_json=options.json, notes=_NOTES)


_NOTES = f"real completions with and without a monitor at {1 / _INTERVAL_S:g} Hz"


@dataclass(frozen=True)
class Window:
    """`rate` in completions a second, `cpu_s` of the server for each."""

    rate: float
    cpu_s: float


Block = tuple[Window, Window, Window, Window]  # off, on, on, off


def _figures(blocks: list[Block], lines: list[str], bare_ms: float) -> list[Figure]:
    records = [json.loads(line) for line in lines]
    samples = [record for record in records if record["kind"] == "sample"]
    values = [record["values"] for record in samples]
    end = records[-1]
    assert end["kind"] == "end"
    assert all("watcher.pid" in found for found in values), "the monitor saw no Watcher"
    assert any(found.get("llm.requests_processing") for found in values), "it saw no completion"
    off = [window for block in blocks for window in block[::3]]
    on = [window for block in blocks for window in block[1:3]]
    loss = [100 * (1 - (b.rate + c.rate) / (a.rate + d.rate)) for a, b, c, d in blocks]
    cpu = [100 * ((b.cpu_s + c.cpu_s) / (a.cpu_s + d.cpu_s) - 1) for a, b, c, d in blocks]
    spent_s = [found["harness.cpu_s"] for found in values[_WARM_UP_SAMPLES:]]
    cpu_ms = (spent_s[-1] - spent_s[0]) * 1000 / (len(spent_s) - 1)
    share = cpu_ms / 1000 / _INTERVAL_S / (os.cpu_count() or 1) * 100
    return [
        Figure("completions a second, without", median([w.rate for w in off]), "/s"),
        Figure("completions a second, with", median([w.rate for w in on]), "/s"),
        Figure("loss, mean of the blocks", fmean(loss), "%", 1.0),
        Figure("  its standard error", _standard_error(loss), "%"),
        Figure("loss, median of the blocks", median(loss), "%"),
        Figure("server CPU per completion, change", fmean(cpu), "%", 1.0),
        Figure("  its standard error (CPU)", _standard_error(cpu), "%"),
        Figure("monitor, of all processors", share, "%", 1.0),
        Figure("CPU per sample", cpu_ms, "ms", 0.5),
        Figure("CPU of a bare loop", bare_ms, "ms"),
        Figure("sample / bare loop", cpu_ms / bare_ms, "times"),
        Figure("samples", float(len(values)), ""),
        Figure("blocks", float(len(blocks)), ""),
    ]


def _standard_error(values: Sequence[float]) -> float:
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def _blocks(
    server: Server,
    monitor: subprocess.Popen[bytes],
    bare: subprocess.Popen[bytes],
    options: argparse.Namespace,
) -> list[Block]:
    window_s = options.window_s
    _window(server, window_s)  # warm
    end_s = time.monotonic() + options.limit_s
    blocks: list[Block] = []
    while len(blocks) < options.blocks and (not blocks or time.monotonic() < end_s):
        block = []
        for watching in (False, True, True, False):
            monitor.send_signal(signal.SIGCONT if watching else signal.SIGSTOP)
            time.sleep(0.15)  # the change is outside the window
            block.append(_window(server, window_s))
        bare.send_signal(signal.SIGCONT)
        _window(server, window_s)
        bare.send_signal(signal.SIGSTOP)
        monitor.send_signal(signal.SIGCONT)
        blocks.append((block[0], block[1], block[2], block[3]))
    return blocks


def _window(server: Server, window_s: float) -> Window:
    """Whole completions only, over the time that they took."""
    link = http.client.HTTPConnection(server.endpoint.host, server.endpoint.port, timeout=60)
    done = 0
    cpu_s, start_s = server.cpu_s(), time.perf_counter()
    try:
        while (took_s := time.perf_counter() - start_s) < window_s or not done:
            link.request("POST", "/completion", _BODY, {"Content-Type": "application/json"})
            answer = json.loads(link.getresponse().read())
            if answer["tokens_predicted"] != _TOKENS:
                raise RuntimeError(f"a completion of another length: {answer}")
            done += 1
    finally:
        link.close()
    return Window(done / took_s, (server.cpu_s() - cpu_s) / done)


def _advance(planted: PlantedWorkspace, ended: threading.Event) -> None:
    while not ended.wait(_CYCLE_S):
        planted.advance()


@dataclass(frozen=True)
class Server:
    """The LLM server's process and address."""

    pid: int
    endpoint: Endpoint

    def cpu_s(self) -> float:
        """Processor time of all its threads, finer than the kernel's ticks."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as trial:
        return int(trial.getsockname()[1])


@contextmanager
def _llm_server(root: Path) -> Iterator[Server]:
    """The real server below its real supervisor, on free ports."""
    endpoint = Endpoint("127.0.0.1", _free_port())
    supervisor = subprocess.Popen(
        [
            sys.executable,
            str(_REPO / "images" / "llm" / "supervisor.py"),
            *("--control", f"127.0.0.1:{_free_port()}"),
            *("--model", str(locate().model)),
            *("--port", str(endpoint.port)),
            *("--events", str(root / "llm_events.jsonl")),
            *("--log", str(root / "llm.log")),
            "--autostart",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + _START_LIMIT_S
        while not (healthy(endpoint, 1.0) and completes(endpoint, 10.0)):
            if supervisor.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"no LLM server:\n{(root / 'llm.log').read_text()[-800:]}")
            time.sleep(0.05)
        [pid] = [pid for pid in tree(supervisor.pid) if pid != supervisor.pid]
        yield Server(pid, endpoint)
    finally:
        supervisor.terminate()
        supervisor.wait(20)


@contextmanager
def _monitor(root: Path, endpoint: Endpoint) -> Iterator[subprocess.Popen[bytes]]:
    """`chaos monitor` at 10 Hz, which has taken its first samples."""
    watched = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    out = root / "signals.jsonl"
    with out.open("wb") as stream:
        monitor = subprocess.Popen(
            [
                *(sys.executable, "-m", "chaos", "monitor", "--jsonl", "--alert", "none"),
                *("--interval", f"{_INTERVAL_S * 1000:.0f}ms"),
                *("--workspace", str(root / "workspace")),
                *("--pid", str(watched.pid), "--llm", str(endpoint)),
            ],
            cwd=_REPO,
            stdout=stream,
        )
    try:
        deadline_s = time.monotonic() + 20
        while out.read_bytes().count(b"\n") < 5:
            if monitor.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError("the monitor does not watch")
            time.sleep(0.05)
        yield monitor
    finally:
        for process in (monitor, watched):
            process.kill()
            process.wait()


@contextmanager
def _bare_loop(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The bare loop, paused."""
    with (root / "bare.txt").open("wb") as stream:
        bare = subprocess.Popen([sys.executable, "-c", _BARE, str(_INTERVAL_S)], stdout=stream)
    try:
        deadline_s = time.monotonic() + 20
        while not (root / "bare.txt").stat().st_size:
            if bare.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError("the bare loop does not run")
            time.sleep(0.05)
        bare.send_signal(signal.SIGSTOP)
        yield bare
    finally:
        bare.kill()
        bare.wait()


if __name__ == "__main__":
    main()
