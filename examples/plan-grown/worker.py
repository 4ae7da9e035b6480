"""The "GPU work" of one request, as a child process: searches a seed, then renews the artefacts.

`worker.py KIND SIZE`: KIND is selfplay, learning or pipeline.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WORK_S = 0.4
TELEMETRY = Path("telemetry/learning_health_latest.json")
PREDICTION = Path("predictions/next_draw_prediction.json")


def publish(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` as a whole."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".tmp")
    try:
        with part.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def search() -> int:
    """The seed whose next value is the smallest, of as many as there is time for."""
    end = time.monotonic() + WORK_S
    best, seed = (1 << 48, 0), 0
    while time.monotonic() < end:
        seed += 1
        best = min(best, ((seed * 0x5DEECE66D + 11) % (1 << 48), seed))
    return best[1]


def main() -> None:
    kind, size = sys.argv[1:3]
    seed, now = search(), datetime.now(UTC).isoformat()
    if kind == "selfplay":
        publish(Path(f"selfplay_model_{int(size) % 4}.json"), {"seed": seed, "trained_at": now})
        return
    trained = (
        json.loads(TELEMETRY.read_bytes())["models_trained_total"] if TELEMETRY.exists() else 0
    )
    publish(TELEMETRY, {"models_trained_total": trained + 1, "timestamp": now})
    publish(PREDICTION, {"seed": seed, "scope": size, "made_at": now})


if __name__ == "__main__":
    main()
