"""What both witnesses together cost a run: its LLM's answers, and the Watcher's requests.

    python -m benchmarks.witness_disturbance [--blocks 2]

A block is four runs of soak B without a fault: off, on, on, off, so that a machine that gets slower
meanwhile does not tilt the result. Printed are the medians of what the Watcher itself stamped, with
and without the witnesses, and the bytes that they recorded for each request and second.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import chaos

_CALLS = "select end_s - start_s from calls where ok and end_s > start_s"
_REQUESTS = "select end_s - start_s from decisions where completed and dispatch is not null"
_RECORDS = ("witness.jsonl", "wire.jsonl", "wire.pcap")


def measured(witness: str, folder: Path) -> tuple[list[float], list[float], float, int]:
    """(seconds of each LLM call, of each request, of the run, bytes recorded) of one run."""
    command = [sys.executable, "-m", "chaos", "run", "soak_b", "--fault", "none", "--quiet"]
    subprocess.run([*command, "--witness", witness, "--runs", str(folder)], check=True)
    path = next(folder.glob("soak_b/2*"))
    with chaos.open_run(path) as run:
        calls, requests = ([row[0] for row in run.sql(query)] for query in (_CALLS, _REQUESTS))
        [(seconds,)] = run.sql("select end_s from run")
    found = [path / name for name in _RECORDS]
    return calls, requests, seconds, sum(one.stat().st_size for one in found if one.is_file())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the blocks, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=2)
    options = parser.parse_args(argv)
    calls: dict[str, list[float]] = {"none": [], "all": []}
    requests: dict[str, list[float]] = {"none": [], "all": []}
    recorded_bytes, seconds = 0, 0.0
    for number in range(options.blocks):
        for witness in ("none", "all", "all", "none"):
            with tempfile.TemporaryDirectory(prefix="chaos-cost-") as name:
                found, work, length_s, size = measured(witness, Path(name))
            calls[witness] += found
            requests[witness] += work
            if witness == "all":
                recorded_bytes, seconds = recorded_bytes + size, seconds + length_s
            shown = ", ".join(f"{1e3 * statistics.median(times):.0f} ms" for times in (found, work))
            print(f"block {number + 1}, {witness}: call, request {shown}", file=sys.stderr)
    for what, times in (("LLM call", calls), ("request", requests)):
        off, on = (statistics.median(times[key]) for key in ("none", "all"))
        print(f"{what:<10} {off * 1e3:.1f} -> {on * 1e3:.1f} ms, {100 * (on / off - 1):+.1f} %")
    a_request, a_second = recorded_bytes / len(requests["all"]), recorded_bytes / seconds
    print(
        f"recorded   {a_request / 1e3:.0f} kB a request, {a_second / 1e3:.1f} kB a second: "
        f"{a_second * 7200 / 1e6:.0f} MB in two hours at this pace"
    )


if __name__ == "__main__":
    main()
