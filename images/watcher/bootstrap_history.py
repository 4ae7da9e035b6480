"""Make the synthetic history that a new workspace starts from (the plan's section 2.2).

For: `python bootstrap_history.py` in a new workspace, before the pipeline and the daemon.
Must not know: the daemon, the pipeline, how draws are injected later.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from prng_registry import get_cpu_reference

TRUE_SEED = 12345
PRNG_TYPE = "java_lcg"
DRAW_COUNT = 5000
MODULUS = 1000
FIRST_DAY = date(2024, 1, 1)

HISTORY = Path("lottery_history.json")
WINDOW_CONFIG = Path("optimal_window_config.json")
POLICIES = Path("watcher_policies.json")


def bootstrap_draw(index: int, value: int, seed: int) -> dict[str, Any]:
    """The record of draw `index` (0-based): two draws a day, midday and evening."""
    return {
        "date": (FIRST_DAY + timedelta(days=index // 2)).isoformat(),
        "session": "midday" if index % 2 == 0 else "evening",
        "draw": [value // 100 % 10, value // 10 % 10, value % 10],
        "value": value,
        "draw_source": "synthetic_bootstrap",
        "true_seed": seed,
    }


def history_text(draws: list[dict[str, Any]]) -> str:
    """JSON of a history, one draw per line."""
    lines = ",\n".join(json.dumps(draw) for draw in draws)
    return f'{{"draws": [\n{lines}\n]}}\n'


def _write_atomic(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def bootstrap(seed: int, draw_count: int) -> None:
    """Write the three files, the history last: if it exists, all of them exist."""
    values = [raw % MODULUS for raw in get_cpu_reference(PRNG_TYPE)(seed, draw_count)]
    draws = [bootstrap_draw(index, value, seed) for index, value in enumerate(values)]
    if not POLICIES.exists():
        injection = {"enabled": True, "interval_seconds": 120, "true_seed": seed}
        policies = {"test_mode": True, "synthetic_injection": injection}
        _write_atomic(POLICIES, json.dumps(policies, indent=2) + "\n")
    window = {"prng_type": PRNG_TYPE, "mod": MODULUS, "bootstrap": True}
    _write_atomic(WINDOW_CONFIG, json.dumps(window, indent=2) + "\n")
    _write_atomic(HISTORY, history_text(draws))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bootstrap_history.py",
        description="Write a synthetic lottery_history.json into the current folder, with "
        "optimal_window_config.json and, when missing, watcher_policies.json in test mode. "
        "Does nothing when the history exists.",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing history")
    parser.add_argument("--seed", type=int, default=TRUE_SEED, help="seed (default %(default)s)")
    parser.add_argument(
        "--draws", type=int, default=DRAW_COUNT, help="number of draws (default %(default)s)"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 0 if the history exists, 1 if it could not be written."""
    arguments = _arguments(argv)
    if HISTORY.exists() and not arguments.force:
        print(f"{HISTORY} exists, nothing to do (--force replaces it)")
        return 0
    try:
        bootstrap(arguments.seed, max(0, arguments.draws))
    except OSError as error:
        print(f"bootstrap: cannot write: {error}", file=sys.stderr)
        return 1
    print(f"bootstrap complete: {arguments.draws} draws of {PRNG_TYPE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
