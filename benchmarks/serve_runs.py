"""What `chaos serve` takes for a folder of 1,000 runs: its start, its answers, its memory.

The runs are copies of one verdict (default: one that is made up, of forty findings). Beside them,
in the same run: reading the bytes of the verdicts, and `chaos serve` for an empty folder. The list
is read before the address is printed, so that it is part of the start.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, parser, show
from chaos.record.run_list import RunList
from tests.record.runs_folder import FAILED, add_run, verdict

_REPO = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=1000)
    made.add_argument("--verdict", type=Path, help="copy this verdict.json")
    options = made.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        _fill(root, options)
        verdicts = sorted(root.glob("*/*/verdict.json"))
        size = sum(path.stat().st_size for path in verdicts)
        (Path(folder) / "empty").mkdir()
        empty = _served(Path(folder) / "empty")
        full = _served(root)
        began_s = time.monotonic()
        for path in verdicts:
            path.read_bytes()
        bytes_s = time.monotonic() - began_s
        began_s = time.monotonic()
        RunList(root).read()
        list_s = time.monotonic() - began_s
    figures = [
        Figure("list, read for the first time", list_s, "s", 0.3),
        Figure("bytes of the verdicts alone", bytes_s, "s"),
        Figure("list / bytes alone", list_s / bytes_s, "times"),
        Figure("start", full.start_s, "s"),
        Figure("start, empty folder", empty.start_s, "s"),
        Figure("first answer", full.first_s, "s", 0.3),
        Figure("later answer", full.later_s, "s", 0.3),
        Figure("answer, filtered", full.filtered_s, "s", 0.3),
        Figure("peak memory", full.peak_mb, "MB", 150),
        Figure("peak memory, empty folder", empty.peak_mb, "MB"),
    ]
    notes = f"{options.runs} runs, {size / 1e6:.1f} MB of verdicts"
    show("serve_runs", figures, as_json=options.json, notes=notes)


def _fill(root: Path, options: argparse.Namespace) -> None:
    content = verdict("fail", fault="llm_timeout")
    evidence = [{"ref": f"history.jsonl:{n}", "text": "y" * 60} for n in range(5)]
    content["findings"] = [
        {**FAILED, "title": f"Finding {n}", "summary": "x" * 150, "evidence": evidence}
        | {"outcome": "fail" if n < 3 else "pass", "evidence_count": 5}
        for n in range(40)
    ]
    for number in range(options.runs):
        soak = f"soak_{'abc'[number % 3]}"
        name = f"{soak}/202602{number % 28 + 1:02d}-{number:06d}-s7-aaaa"
        folder = add_run(root, name, content)
        if options.verdict is not None:
            shutil.copy(options.verdict, folder / "verdict.json")


@dataclass(frozen=True)
class Served:
    """What one `chaos serve` took."""

    start_s: float  # until it has printed its address
    first_s: float
    later_s: float
    filtered_s: float
    peak_mb: float


def _served(root: Path) -> Served:
    began_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "chaos", "serve", "--port", "0", "--runs", str(root)],
        cwd=_REPO,
        env={**os.environ, "PYTHONPATH": str(_REPO)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip().rstrip("/")
        process.stdout.readline(), process.stdout.readline()
        start_s = time.monotonic() - began_s
        first_s = _took(f"{url}/")
        later_s = statistics.median(_took(f"{url}/") for _ in range(9))
        filtered_s = _took(f"{url}/?text=finding&soak=soak_b&page=2")
        _took(f"{url}/metrics")
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1e3
        return Served(start_s, first_s, later_s, filtered_s, peak_mb)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def _took(url: str) -> float:
    began_s = time.monotonic()
    with urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()
    return time.monotonic() - began_s


if __name__ == "__main__":
    main()
