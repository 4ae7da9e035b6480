"""What containers cost: the same soak in both backends, in turn, and the memory of each container.

    python -m benchmarks.container_cost              soak B, three times each
    python -m benchmarks.container_cost --times 1

Per run: seconds from the command to the stack that is proven ready (images are there already), and
from there to the last of the ten requests. The ratio docker : local is of the medians. Memory is
what the engine counts for each container without the page cache, at its highest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker.errors
import requests

from benchmarks.figures import Figure, median, parser, show
from chaos.stack.docker import engine, objects

_LIMIT_S = 900.0
_LOOK_S = 2.0
BACKENDS = ("local", "docker")


@dataclass
class Lived:
    """What one run took."""

    ready_s: float
    work_s: float
    memory_mb: dict[str, float] = field(default_factory=dict)


def live(backend: str, runs: Path) -> Lived:
    """One run of soak B without a fault."""
    words = ["run", "soak_b", "--fault", "none", "--seed", "1", "--backend", backend]
    folder = runs / f"{backend}-{time.time_ns()}"
    start_s = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "chaos", *words, "--runs", str(folder), "--quiet"],
        stdout=subprocess.PIPE,
        text=True,
    )
    memory: dict[str, float] = {}
    watcher = threading.Thread(target=_watch, args=(process, folder, memory), daemon=True)
    if backend == "docker":
        watcher.start()
    said, _ = process.communicate(timeout=_LIMIT_S)
    if process.returncode != 0:
        raise SystemExit(f"{backend}: {said}")
    records = [
        json.loads(line)
        for path in folder.glob("soak_b/2*/history.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    header = records[0]
    ready = next(r for r in records if r["kind"] == "event" and r["name"] == "ready")
    done = _last_completed_s(records)
    return Lived(header["wall_epoch_s"] + ready["t_s"] - start_s, done - ready["t_s"], memory)


def _last_completed_s(records: list[dict[str, Any]]) -> float:
    samples = [r for r in records if r["kind"] == "sample"]
    counted = [(s["t_s"], s["values"].get("decisions.completed")) for s in samples]
    most = max(count for _, count in counted if count is not None)
    return float(next(t_s for t_s, count in counted if count == most))


def _watch(process: subprocess.Popen[str], folder: Path, memory: dict[str, float]) -> None:
    """The highest memory of each container of the run, while it lasts."""
    with closing(engine.connect()) as client:
        while process.poll() is None:
            for path in folder.glob("soak_b/2*/containers.json"):
                run_id = f"soak_b-{path.parent.name}"
                for one in client.api.containers(filters=objects.labelled(run_id)):
                    name = one["Labels"].get("com.docker.compose.service", "?")
                    try:
                        told = client.api.stats(one["Id"], stream=False)["memory_stats"]
                    except (docker.errors.APIError, requests.RequestException, KeyError):
                        continue  # ended meanwhile
                    used = told.get("usage", 0) - _cache(told.get("stats", {}))
                    memory[name] = max(memory.get(name, 0.0), used / 1e6)
            time.sleep(_LOOK_S)


def _cache(stats: dict[str, int]) -> int:
    """The page cache in it, by cgroup v1's or v2's name."""
    return stats.get("total_inactive_file", stats.get("inactive_file", 0))


def main(argv: list[str] | None = None) -> int:
    """Measure both backends in turn, and print the figures."""
    made = parser(__doc__)
    made.add_argument("--times", type=int, default=3)
    options = made.parse_args(argv)
    lived: dict[str, list[Lived]] = {backend: [] for backend in BACKENDS}
    with tempfile.TemporaryDirectory(prefix="chaos-bench-") as work:
        for _ in range(options.times):
            for backend in BACKENDS:
                lived[backend].append(live(backend, Path(work)))
    figures = []
    for what in ("ready_s", "work_s"):
        middle = {b: median([getattr(one, what) for one in lived[b]]) for b in BACKENDS}
        figures += [Figure(f"{what} {b}", middle[b], "s") for b in BACKENDS]
        figures.append(Figure(f"{what} docker : local", middle["docker"] / middle["local"], "x"))
    names = sorted({name for one in lived["docker"] for name in one.memory_mb})
    figures += [
        Figure(f"memory {name}", max(one.memory_mb.get(name, 0) for one in lived["docker"]), "MB")
        for name in names
    ]
    show("container_cost", figures, as_json=options.json, notes="soak B, no fault")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
