"""The witnesses in a whole run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from chaos.record.open_run import OpenRun
from chaos.sandbox.guardian import marked_pids
from tests.integration.command import chaos, finish, history, settings, start
from tests.integration.test_lifecycle import await_record

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=40)]
BRIEF = settings(baseline_s=6, storm_s=14, quiet_s=4)


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("witness", "images/witness --socket"),
        pytest.param("wire_witness", "images/wire_witness --record", marks=pytest.mark.long),
    ],
)
def test_death_of_a_witness_ends_the_run_and_is_not_the_watchers_fault(
    service: str, words: str, tmp_path: Path
) -> None:
    """Exit code 4: what is not seen proves nothing; the Watcher's watched calls fail, too."""
    runs = tmp_path / "runs"
    process = start(runs, "run", "soak_c", *settings(baseline_s=30, storm_s=30))
    run = await_record(process, runs, '"injector_started"')
    (pid,) = (
        pid
        for pid, command in marked_pids(run.run_id).items()
        if words in command and "enter.py" not in command
    )
    os.kill(pid, signal.SIGKILL)
    done = finish(process, runs)
    assert done.exit_code == 4, done.text
    exits = [r["detail"]["service"] for r in history(run) if r.get("name") == "service_exit"]
    assert exits == [service]


# Most other runs have the witness.
@pytest.mark.parametrize(
    "witness",
    [
        pytest.param("none", marks=pytest.mark.whole_run),
        pytest.param("all", marks=pytest.mark.long),
    ],
)
def test_a_run_has_the_witness_that_it_asks_for(tmp_path: Path, witness: str) -> None:
    done = chaos(tmp_path / "runs", "run", "soak_c", "--witness", witness, *BRIEF)
    assert done.exit_code in (0, 1, 3), done.text  # too short for some criteria
    with OpenRun(done.run()) as run:
        seen = run.one("select count(*) from processes where service = 'watcher'")
        claimed = run.one("select count(*) from decisions where completed")
    checks = {f["check"] for f in done.verdict()["findings"]}
    assert claimed
    assert (seen > claimed) == (witness == "all")
    assert ("child_witnessed" in checks) == (witness == "all")
