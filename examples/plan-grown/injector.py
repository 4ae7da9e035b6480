"""Adds a synthetic draw to the history every few seconds. The interval is a policy, no option."""

import json
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

HISTORY = Path("lottery_history.json")
POLICIES = Path("watcher_policies.json")
STOP = threading.Event()


def add_draw() -> None:
    """Replace the history by one that has one draw more."""
    draws = json.loads(HISTORY.read_bytes()) if HISTORY.exists() else []
    number, now = len(draws) + 1, datetime.now(UTC)
    value = (number * 0x5DEECE66D + 11) % (1 << 48) % 1000
    draw_id, digits = f"SYNTHETIC-{now:%Y%m%d}-{number}", [int(digit) for digit in f"{value:03d}"]
    draws.append({"draw_id": draw_id, "position": number, "raw_value": value, "draw": digits})
    part = HISTORY.with_suffix(".tmp")
    try:
        with part.open("w") as file:
            json.dump(draws, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(HISTORY)
    except OSError as error:
        print(f"no draw: {error}", flush=True)
        part.unlink(missing_ok=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    interval_s = json.loads(POLICIES.read_bytes())["synthetic_injection"]["interval_seconds"]
    while not STOP.wait(interval_s):
        add_draw()


if __name__ == "__main__":
    main()
