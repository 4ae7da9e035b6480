"""Every fault of the catalogue against soaks B and C: does the Watcher survive each?

    python -m benchmarks.fault_matrix                       each kind in a run of its own
    python -m benchmarks.fault_matrix --by group            all kinds of a group in one run
    python -m benchmarks.fault_matrix --faults disk,queue --soaks c --jobs 2
    python -m benchmarks.fault_matrix --backend docker --runs runs/matrix-docker

Each run is a real `chaos run` of the quick profile, shortened. Results are appended to
RUNS/matrix.jsonl as they come; started again, what passed already is not repeated (`--again`
repeats it). Exit code 0 when every run passed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.faults.registry import fault_kinds
from chaos.runner.choose import ALL, pool_names

RUN_LIMIT_S = 3600.0
# The quick profiles, as short as one fault and the evidence about it allow.
SHORT: dict[str, tuple[str, ...]] = {
    "soak_b": ("baseline_s=4", "storm_s=34", "quiet_s=6"),
    "soak_c": (
        "baseline_s=10",
        "storm_s=45",
        "quiet_s=15",
        "criteria.completed_cycles.min=2",
        "criteria.convergence.min_rise=0.01",
    ),
}


@dataclass(frozen=True)
class Cell:
    """One run of the matrix."""

    soak: str
    what: str  # a kind, or a group

    @property
    def name(self) -> str:
        """For people and for the file of results."""
        return f"{self.soak} {self.what}"


def cells(soaks: Sequence[str], names: Sequence[str], *, by_group: bool) -> list[Cell]:
    """Soak by soak; kinds, or the groups they are of."""
    kinds = fault_kinds()
    what = list(dict.fromkeys(kinds[name].group for name in names)) if by_group else list(names)
    return [Cell(soak, one) for soak in soaks for one in what]


def command(cell: Cell, options: argparse.Namespace) -> list[str]:
    """The `chaos run` of a cell."""
    words = [sys.executable, "-m", "chaos", "run", cell.soak]
    words += ["--faults" if options.by == "group" else "--fault", cell.what]
    words += ["--seed", str(options.seed), "--runs", str(options.runs), "--json"]
    words += ["--backend", options.backend, "--skip-unavailable"]
    settings = [text for text in SHORT[cell.soak] if not _fitted(text, options)]
    for text in (*settings, *options.set):
        words += ["--set", text]
    return words


def _fitted(text: str, options: argparse.Namespace) -> bool:
    """With a group the storm is made to fit; a length given would forbid it."""
    return bool(options.by == "group" and text.startswith("storm_s="))


def live(cell: Cell, options: argparse.Namespace) -> dict[str, Any]:
    """Run one cell; its verdict and what did not pass."""
    start_s = time.monotonic()
    done = subprocess.run(
        command(cell, options), capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False
    )
    result: dict[str, Any] = {
        "cell": cell.name,
        "exit_code": done.returncode,
        "took_s": round(time.monotonic() - start_s, 1),
    }
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return {**result, "verdict": "no verdict", "said": (done.stdout + done.stderr)[-2000:]}
    if "verdict" not in told:
        message = str(told.get("error", {}).get("message", ""))
        none_left = message if message.startswith("no fault is left") else ""
        said = {"said": done.stdout[-2000:], "unavailable": none_left}
        return {**result, "verdict": "no verdict", **said}
    findings = told.get("findings", [])
    return {
        **result,
        "verdict": told["verdict"],
        "run": told.get("run") or told.get("path") or told.get("run_id"),
        "unavailable": _unavailable(findings),
        "not_passed": [
            f"{finding['check']}: {finding['outcome']}: {finding['summary']}"
            for finding in findings
            if finding["outcome"] not in ("pass", "skipped")
        ],
    }


def _unavailable(findings: Sequence[dict[str, Any]]) -> str:
    texts = [
        str(evidence.get("text", ""))
        for finding in findings
        if finding["check"] == "fault_effect"
        for evidence in finding.get("evidence", [])
    ]
    return next((text for text in texts if "unavailable" in text), "")


def results(path: Path) -> Iterator[dict[str, Any]]:
    """What was recorded before."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def good(result: dict[str, Any]) -> bool:
    """Passed, or nothing that this machine could break."""
    return result["exit_code"] == 0 or bool(result.get("unavailable"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the matrix that the options ask for; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="fault_matrix",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--soaks", default="b,c", help="default: b,c")
    parser.add_argument("--faults", default=ALL, help="as for chaos run (default: all)")
    parser.add_argument("--by", choices=("kind", "group"), default="kind")
    parser.add_argument("--backend", choices=("local", "docker"), default="local")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time (default: 1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/matrix"))
    parser.add_argument("--again", action="store_true", help="repeat also what passed before")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(argv)
    soaks = [f"soak_{letter.strip()}" for letter in options.soaks.split(",")]
    wanted = cells(soaks, pool_names([options.faults]), by_group=options.by == "group")
    options.runs.mkdir(parents=True, exist_ok=True)
    path = options.runs / "matrix.jsonl"
    last = {one["cell"]: one for one in results(path)}
    left = [c for c in wanted if options.again or c.name not in last or not good(last[c.name])]
    print(f"{len(wanted)} runs, {len(wanted) - len(left)} passed before", flush=True)
    lock = threading.Lock()
    failed: list[str] = []

    def one(cell: Cell) -> None:
        result = live(cell, options)
        with lock:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(result) + "\n")
            mark = "ok  " if good(result) else "FAIL"
            more = result.get("unavailable") or ""
            print(
                f"{mark} {cell.name:<34}{result['verdict']:<14}{result['took_s']:>7.1f} s  {more}"
            )
            if not good(result):
                failed.append(cell.name)
                for text in result.get("not_passed", []) or [result.get("said", "")[-300:]]:
                    print(f"       {text}")
            sys.stdout.flush()

    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        list(pool.map(one, left))
    print(f"{len(wanted) - len(failed)} of {len(wanted)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
