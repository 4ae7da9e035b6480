"""CPU of one monitor sample of all signals, beside the plan's monitor script on the same files.

The workspace has 1000 archived requests, 10 000 decisions and 5000 draws; a whole cycle (draw,
request, decision, log lines) ends every 3 s. Samples are taken at the real pace (`--period`), for
sources are not read at every sample: it is the mean that a run pays, the median is a sample in
which little was due. Each includes writing the sample to the history; the waiting in between and
the waking up do not count. The script's body is run by bash with the programs
that it calls; its processor time is that of all its processes. Both ask the same stand-in for
an LLM server (it answers /health and /metrics, in a process of its own).
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

from benchmarks.figures import Figure, median, parser, percentile, show
from benchmarks.planted_workspace import PlantedWorkspace, Size
from chaos.record.history import HistoryWriter, Sample
from chaos.record.target import Target
from chaos.runner.resolve import read_target
from chaos.stack.base import Endpoint
from chaos.witness.artefacts import ArtefactWatcher
from chaos.witness.base import Source
from chaos.witness.build import build_sources
from chaos.witness.sampler import Sampler

_REPO = Path(__file__).resolve().parents[1]
_CYCLE_S = 3.0
_WARM_UP_S = 6.0  # files are opened, old decisions are read
_PER_MILLE_MAX = 0.5 / 57 * 1000  # both aims were stated on an idle machine; this holds on any

# Stands for the LLM server; asked by both sides.
_SERVER = """
import http.server, socketserver
METRICS = b"llamacpp:requests_processing 0\\nllamacpp:requests_deferred 0\\n" + b"# filler\\n" * 300
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = METRICS if self.path == "/metrics" else b'{"status":"ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
socketserver.ThreadingTCPServer.daemon_threads = True
server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""

# What the plan's script does for each sample: the same programs on the same signals.
_SCRIPT = """
for ((turn = 0; turn < $1; turn++)); do
  now=$(date '+%Y-%m-%d %H:%M:%S')
  echo "--- $now" >> "$LOG"
  pid=$(pgrep -f "$MARK" | head -1)
  rss=$(ps -o rss= -p "$pid")
  echo "rss $((rss / 1024)) MB" | tee -a "$LOG"
  vram=$(nvidia-smi --query-gpu=memory.used,memory.total --format=csv,noheader,nounits 2>/dev/null)
  fds=$(ls "/proc/$pid/fd" | wc -l)
  echo "fds $fds" | tee -a "$LOG"
  disk=$(df -h "$WORK" --output=avail | tail -1 | tr -d ' ')
  echo "disk $disk" | tee -a "$LOG"
  pending=$(ls "$WORK/watcher_requests/"*.json 2>/dev/null | grep -v archive | wc -l)
  archived=$(ls "$WORK/watcher_requests/archive/"*.json 2>/dev/null | wc -l)
  echo "queue $pending $archived" | tee -a "$LOG"
  decisions=$(wc -l < "$WORK/watcher_decisions.jsonl")
  echo "decisions $decisions" | tee -a "$LOG"
  health=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/health")
  echo "llm $health" | tee -a "$LOG"
  errors=$(tail -50 "$WORK/logs/watcher_agent.log" | grep -ci 'error\\|exception\\|traceback')
  echo "errors $errors" | tee -a "$LOG"
done
"""
_PROGRAMS = ("bash", "pgrep", "ps", "df", "curl", "grep", "tee")


def main(argv: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--samples", type=int, default=300)
    made.add_argument("--period", type=float, default=0.1, help="seconds; default: %(default)s")
    made.add_argument("--script-samples", type=int, default=20)
    options = made.parse_args(argv)
    target = read_target("reference")[1]
    with tempfile.TemporaryDirectory(prefix="chaos-bench-", dir=_memory_disk()) as folder:
        root = Path(folder)
        planted = PlantedWorkspace(root / "workspace", target, Size(1000, 10_000, 5000))
        mark = f"watcher_agent_of_{root.name}"
        watcher = subprocess.Popen(
            [sys.executable, "-c", "import threading; threading.Event().wait()", mark]
        )
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            time.sleep(0.2)  # the files are older than a tick of the clock, as in any run
            figures = _ours(root, planted, target, port, watcher.pid, options)
            figures += _theirs(root, planted.root, port, mark, options, figures)
        finally:
            for process in (watcher, server):
                process.kill()
                process.wait()
            server.stdout.close()
            planted.close()
    show("sample_cost", figures, as_json=options.json, notes="CPU per sample of all signals")


def _memory_disk() -> str | None:
    """The workspace of a run is a tmpfs; so is this one, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _ours(
    root: Path,
    planted: PlantedWorkspace,
    target: Target,
    port: int,
    pid: int,
    options: argparse.Namespace,
) -> list[Figure]:
    history = HistoryWriter(root / "history.jsonl", "benchmark")
    sources: list[Source] = build_sources(
        target, planted.root, Endpoint("127.0.0.1", port), lambda: pid
    )
    sources.append(ArtefactWatcher.of_target(target, planted.root, history))
    sampler = Sampler(sources, history, options.period)
    spent_ms: list[float] = []
    per_cycle, warm_up = round(_CYCLE_S / options.period), round(_WARM_UP_S / options.period)
    start_s = time.monotonic()
    for number in range(options.samples + warm_up):
        if number % per_cycle == 0:
            planted.advance()
        time.sleep(max(0.0, start_s + number * options.period - time.monotonic()))
        before_s = time.process_time()
        values = sampler.sample_once()
        history.write(Sample(t_s=history.now_s(), values=values))
        if number >= warm_up:
            spent_ms.append((time.process_time() - before_s) * 1000)
    absent = sampler.absences()
    sampler.stop()
    history.close()
    if not options.json:
        print(f"signals: {len(values)}; absent: {absent or 'none'}")
    return [
        Figure("run", fmean(spent_ms), "ms", 0.5),
        Figure("median", median(spent_ms), "ms"),
        Figure("p99", percentile(spent_ms, 99), "ms"),
    ]


def _theirs(
    root: Path,
    workspace: Path,
    port: int,
    mark: str,
    options: argparse.Namespace,
    ours: list[Figure],
) -> list[Figure]:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        print(f"the plan's script is not measured: no {', '.join(missing)}", file=sys.stderr)
        return []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "LOG": str(root / "monitor.log")}
    environment |= {"WORK": str(workspace), "PORT": str(port), "MARK": mark}
    done = subprocess.run(
        ["bash", "-c", _SCRIPT, "monitor", str(options.script_samples)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "llm 200" not in done.stdout or "decisions 10" not in done.stdout:
        raise RuntimeError(f"the script did not measure what it should:\n{done.stdout[-800:]}")
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    script_ms = used_s * 1000 / options.script_samples
    run_ms = next(figure.value for figure in ours if figure.name == "run")
    return [
        Figure("the plan's script", script_ms, "ms"),
        Figure("script / run", script_ms / run_ms, "times"),
        Figure("run / script", run_ms / script_ms * 1000, "per mille", _PER_MILLE_MAX),
    ]


if __name__ == "__main__":
    main()
