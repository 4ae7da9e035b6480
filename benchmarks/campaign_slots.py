"""How busy a campaign keeps its slots, and what a thousand runs cost its driver.

    python -m benchmarks.campaign_slots                 1, 2, 4 and 8 slots; SQL over 1,000 runs
    python -m benchmarks.campaign_slots --runs 200

The runs are stand-ins of a known length, child processes that sleep, so that the figures are those
of the driver alone: efficiency is (sum of the run times) / (slots x time from first to last).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from chaos.campaign.attempts import Attempt
from chaos.campaign.loop import Loop
from chaos.campaign.state import Entry, begin
from chaos.campaign.tables import query
from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir, create
from chaos.runner.child import Interrupts
from tests.campaign.standin import entries
from tests.record.runs_folder import verdict

_SECONDS = (1.0, 3.0)  # how long a stand-in lasts, drawn by its seed
_QUERY = """
select r.fault, r.verdict, count(*), median(f.recovery_s)
from runs r left join faults f using (run) left join findings d using (run) group by all
"""


def _length_s(seed: int) -> float:
    return random.Random(seed).uniform(*_SECONDS)


def _sleeping(plan: Plan, parent: Path, _interrupts: Interrupts) -> tuple[RunDir, int]:
    """Stands for `make_run`: a process of a known length, and a run directory."""
    run = create(parent, plan.soak, plan.seed)
    run.write_json(run.config, plan.to_json())
    code = f"import time; time.sleep({_length_s(plan.seed)})"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)
    run.write_json(run.verdict, verdict("pass", soak=plan.soak, fault=plan.faults[0].name))
    return run, 0


def _instant(plan: Plan, parent: Path, _interrupts: Interrupts) -> tuple[RunDir, int]:
    """Stands for `make_run`: a run directory at once."""
    run = create(parent, plan.soak, plan.seed)
    run.write_json(run.config, plan.to_json())
    run.write_json(run.verdict, verdict("pass", soak=plan.soak, fault=plan.faults[0].name))
    return run, 0


def _nothing(_entry: Entry, _attempt: Attempt) -> None:
    pass


def efficiency(slots: int, count: int) -> float:
    """Of a campaign of `count` stand-ins in so many slots, in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        place, campaign = begin(*entries(str(count), "llm_timeout"), None, Path(folder))
        loop = Loop(place, campaign, Interrupts(), slots, _nothing)
        began_s = time.monotonic()
        with mock.patch("chaos.campaign.loop.make_run", _sleeping):
            loop.run()
        spent_s = time.monotonic() - began_s
        return sum(_length_s(e.seed) for e in campaign.entries) / (slots * spent_s)


def many(count: int) -> dict[str, float]:
    """The cost of making and asking `count` runs that take no time."""
    planned_s = time.monotonic()
    common, planned = entries(str(count), "llm_timeout")
    planned_s = time.monotonic() - planned_s
    with tempfile.TemporaryDirectory() as folder:
        place, campaign = begin(common, planned, None, Path(folder))
        began_s = time.monotonic()
        with mock.patch("chaos.campaign.loop.make_run", _instant):
            Loop(place, campaign, Interrupts(), 8, _nothing).run()
        made_s = time.monotonic() - began_s
        began_s = time.monotonic()
        query(place, _QUERY, limit_s=60.0)
        asked_s = time.monotonic() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "runs": count,
        "planned_s": round(planned_s, 2),
        "made_s": round(made_s, 2),
        "sql_s": round(asked_s, 2),
        "driver_peak_mb": round(peak_mb),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    args = parser.parse_args()
    slots = {str(n): round(efficiency(n, 12 * n), 3) for n in (1, 2, 4, 8)}
    print(json.dumps({"efficiency": slots, "many": many(args.runs)}, indent=2))


if __name__ == "__main__":
    main()
