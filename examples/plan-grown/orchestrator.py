"""Turns each new draw into a request for the Watcher, and logs a cycle for each.

The name of a request comes from its draw, and the cycles say which draw was the last one: so
nothing is asked for twice after a restart.
"""

import json
import os
import signal
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

POLL_S = 1.0
HISTORY = Path("lottery_history.json")
QUEUE = Path("watcher_requests")
CYCLES = Path("chapter13_cycle_history.jsonl")
STOP = threading.Event()


def emit(draw: dict[str, Any]) -> None:
    """Put a request into the queue in one step. Every fourth draw asks for the whole pipeline."""
    whole = draw["position"] % 4 == 0
    request = {
        "request_type": "pipeline_rerun" if whole else "learning_loop",
        "scope": "full" if whole else "steps_3_5_6",
        "source": "chapter_13",
        "reason": f"draw {draw['draw_id']}",
    }
    name = f"ch13_{draw['position']:06d}.json"
    part = QUEUE / f".{name}.tmp"
    try:
        with part.open("w") as file:
            json.dump(request, file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(QUEUE / name)
    finally:
        part.unlink(missing_ok=True)


def log_cycle(draw: dict[str, Any], began_s: float) -> None:
    entry = {"cycle_id": draw["position"], "steps": ["ingest", "evaluate", "request"],
             "outcome": "requested", "duration": round(time.monotonic() - began_s, 3),
             "timestamp": datetime.now().isoformat()}  # fmt: skip
    with CYCLES.open("a") as log:
        log.write(json.dumps(entry) + "\n")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    QUEUE.mkdir(exist_ok=True)
    lines = CYCLES.read_text().splitlines() if CYCLES.exists() else []
    done = json.loads(lines[-1])["cycle_id"] if lines else 0
    while not STOP.wait(POLL_S):
        draws = json.loads(HISTORY.read_bytes()) if HISTORY.exists() else []
        for draw in draws[done:]:
            began_s = time.monotonic()
            try:
                emit(draw)
                log_cycle(draw, began_s)
            except OSError as error:
                print(f"{draw['draw_id']}: {error}", flush=True)
                break  # tried again at the next look
            done = draw["position"]


if __name__ == "__main__":
    main()
