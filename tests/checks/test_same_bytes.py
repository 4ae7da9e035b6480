"""The same record gives the same verdict, whatever order Python's hashes come in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.checks.history_builder import PlantedRun, judged_by

REPO = Path(__file__).resolve().parents[2]
SEEDS = ("0", "1", "2")


def bytes_of(run: PlantedRun) -> set[bytes]:
    """Every verdict that interpreters with different hashes reach, `verdict.json` and report."""
    where = run.write()
    code = "import sys; from pathlib import Path; from chaos.record.rundir import RunDir\n"
    code += "from chaos.runner.judge import judge; judge(RunDir(Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(where.path)]
    found = set()
    for seed in SEEDS:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(REPO)}
        subprocess.run(command, env=environment, check=True, timeout=60)
        found.add(where.verdict.read_bytes() + where.report.read_bytes())
    return found


def doubled(run: PlantedRun) -> None:
    """Four identities that were there before stand in a new file as well."""
    before = [f"old_{number}.json" for number in range(4)]
    for number, name in enumerate(before):
        run.candidates[name] = {"candidate_id": f"same_{number}"}
        run.candidates[f"new_{number}.json"] = {"candidate_id": f"same_{number}"}
    run.event("baseline_files")["detail"]["policy_candidates"] = before


def test_a_doubled_identity_is_counted_the_same_every_time(planted: PlantedRun) -> None:
    doubled(planted)
    assert len(bytes_of(planted)) == 1


def test_what_was_there_before_is_new_in_no_file(planted: PlantedRun) -> None:
    alone = judged_by(planted, "policy_candidates").measured
    doubled(planted)
    found = judged_by(planted, "policy_candidates")
    assert (found.measured, found.outcome) == (alone, "fail")
    assert found.summary.endswith("4 unusable or doubled")


def test_two_new_files_of_one_identity_are_one_candidate(planted: PlantedRun) -> None:
    alone = judged_by(planted, "policy_candidates").measured
    for name in ("twin_a.json", "twin_b.json"):
        planted.candidates[name] = {"candidate_id": "twin"}
    found = judged_by(planted, "policy_candidates")
    assert (found.measured, found.outcome) == (int(alone or 0) + 1, "fail")
    assert found.summary.endswith("1 unusable or doubled")


def test_a_run_with_much_amiss_is_judged_the_same_every_time(planted: PlantedRun) -> None:
    """Half of the archive is gone, requests wait, decisions and draws are doubled."""
    planted.folders["archive"] = planted.folders["archive"][::2]
    planted.folders["quarantine"] += ["q1.json", "q2.json"]
    planted.decisions += [dict(one) for one in planted.decisions[:6]]
    planted.draws += planted.draws[-5:]
    for name in ("probe_0001.json", "x.json", "y.json"):
        planted.files[f"artefacts/watcher_requests/{name}"] = "{"
    assert len(bytes_of(planted)) == 1
