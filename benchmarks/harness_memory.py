"""Memory and processor time of the harness itself over a stored run: `python -m
benchmarks.harness_memory [RUN]` (default: the newest run).

Reads `harness.rss_bytes` and `harness.cpu_s` from the run's history. Flat: the median of the
last quarter of the samples beside that of the second quarter (the first one warms up).
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.figures import Figure, median, parser, show
from chaos.base.errors import ChaosError
from chaos.record.history import Sample, read_history
from chaos.record.rundir import find

_MB = 1e6
_SAMPLES_MIN = 40


def main(argv: list[str] | None = None) -> int:
    made = parser(__doc__)
    made.add_argument("run", nargs="?", default="latest")
    made.add_argument("--runs", type=Path, default=Path("runs"))
    options = made.parse_args(argv)
    try:
        run = find(options.run, options.runs)
    except ChaosError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    times, rss, cpu = [], [], []
    for _, record in read_history(run.history):
        if isinstance(record, Sample) and "harness.rss_bytes" in record.values:
            times.append(record.t_s)
            rss.append(float(record.values["harness.rss_bytes"] or 0))
            cpu.append(float(record.values["harness.cpu_s"] or 0))
    if len(rss) < _SAMPLES_MIN:
        print(f"{run.history}: {len(rss)} samples, at least {_SAMPLES_MIN} wanted", file=sys.stderr)
        return 3
    quarter = len(rss) // 4
    early, late = median(rss[quarter : 2 * quarter]), median(rss[-quarter:])
    took_s = times[-1] - times[0]
    show(
        "harness_memory",
        [
            Figure("largest", max(rss) / _MB, "MB", 80.0),
            Figure("second quarter, median", early / _MB, "MB"),
            Figure("last quarter, median", late / _MB, "MB"),
            Figure("last / second quarter", late / early, "times", 1.05),
            Figure("CPU of the whole harness", (cpu[-1] - cpu[0]) / took_s * 100, "% of a core"),
        ],
        as_json=options.json,
        notes=f"{len(rss)} samples over {took_s:.0f} s, {run.run_id}",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
