"""What the system-call witness costs: time of a watched call, and of work that makes few of them.

    python -m benchmarks.witness_cost [--rounds 4] [--calls 2000]

Off and on alternate in one run, so a machine that gets slower meanwhile does not tilt the result.
Prints for each kind of call the time without and with the witness, and the difference, in ms; for
work that only reads and computes, the ratio.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

WITNESS = Path(__file__).resolve().parents[1] / "images" / "witness"
_HEAD = "import os, time; open('a', 'w').write('x' * 2000)"
CALLS = {
    "open to write": "os.close(os.open('a', os.O_WRONLY))",
    "rename (2 kB hashed)": "os.rename('a', 'b'); os.rename('b', 'a')",
    "unlink": "os.link('a', 'c'); os.unlink('c')",
}
PER_LOOP = {"open to write": 1, "rename (2 kB hashed)": 2, "unlink": 2}
UNWATCHED = "open('a').read(); os.stat('a'); sum(range(2000))"


def took_ms(statement: str, loops: int, folder: Path, *, witnessed: bool) -> float:
    """Time of one loop, measured by the program itself."""
    code = (
        f"{_HEAD}\nt = time.perf_counter()\nfor _ in range({loops}): {statement}\n"
        f"print((time.perf_counter() - t) / {loops} * 1e3)"
    )
    through = [sys.executable, str(WITNESS), "--record", str(folder / "record"), "--"]
    command = [*(through if witnessed else []), sys.executable, "-Sc", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stdout)


def compared(statement: str, loops: int, rounds: int) -> tuple[float, float]:
    """(without, with) the witness: medians of alternating rounds."""
    off, on = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
            off.append(took_ms(statement, loops, Path(name), witnessed=False))
            on.append(took_ms(statement, loops, Path(name), witnessed=True))
    return statistics.median(off), statistics.median(on)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure each kind of call, then unwatched work, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args(argv)
    for name, statement in CALLS.items():
        off, on = compared(statement, options.calls, options.rounds)
        count = PER_LOOP[name]
        print(f"{name:<22} {off / count:.4f} -> {on / count:.4f} ms, +{(on - off) / count:.4f} ms")
    off, on = compared(UNWATCHED, options.calls * 5, options.rounds)
    print(f"{'unwatched work':<22} {off:.4f} -> {on:.4f} ms, x{on / off:.3f}")


if __name__ == "__main__":
    main()
