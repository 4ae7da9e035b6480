"""Wall time of `chaos --help`, beside an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import Figure, median, parser, show

_REPO = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--times", type=int, default=15)
    options = made.parse_args(argv)
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "chaos --help": [sys.executable, "-m", "chaos", "--help"],
        "chaos run --help": [sys.executable, "-m", "chaos", "run", "--help"],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.times + 1):  # in turn, so that a busy moment hits all of them
        for name, command in commands.items():
            start_s = time.monotonic()
            subprocess.run(command, cwd=_REPO, capture_output=True, timeout=60, check=True)
            took[name].append(time.monotonic() - start_s)
    medians = {name: median(times[1:]) for name, times in took.items()}  # the first one compiles
    nothing_s = medians["python -c pass"]
    figures = [
        Figure("python -c pass", nothing_s, "s"),
        Figure("chaos --help", medians["chaos --help"], "s", 0.15),
        Figure("chaos run --help", medians["chaos run --help"], "s", 0.15),
        Figure("chaos --help / python", medians["chaos --help"] / nothing_s, "times"),
    ]
    show("help_time", figures, as_json=options.json, notes=f"median of {options.times}")


if __name__ == "__main__":
    main()
