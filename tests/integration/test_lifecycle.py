"""Interrupted, killed, side by side: a run ends clean, whatever ends it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from chaos.record.owner import processes_of
from chaos.record.rundir import RunDir
from tests.integration.command import ONE_FAULT, await_gone, chaos, finish, history, settings, start
from tests.waiting import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=20)]

END_LIMIT_S = 60.0  # no machine is so slow
APPEAR_LIMIT_S = 180.0


def await_record(process: subprocess.Popen[str], runs: Path, wanted: str) -> RunDir:
    """Wait until `wanted` is in the history of the only run."""

    def look() -> RunDir | None:
        ended = process.poll() is not None
        for path in runs.glob("*/*/history.jsonl"):
            if not path.parent.is_symlink() and wanted in path.read_text(errors="replace"):
                return RunDir(path.parent.resolve())
        assert not ended, finish(process, runs).text
        return None

    try:
        found = wait_for(f"{wanted} in the history", look, APPEAR_LIMIT_S)
    except AssertionError:
        process.kill()
        raise
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, '"injected"'),
        (signal.SIGTERM, '"provision"'),
        pytest.param(signal.SIGINT, '"provision"', marks=pytest.mark.long),
        pytest.param(signal.SIGINT, '"baseline"', marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, '"baseline"', marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, '"injected"', marks=pytest.mark.long),
    ],
)
def test_signal_ends_the_run_which_is_undone_and_judged(
    number: signal.Signals, moment: str, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    process = start(
        runs,
        "run",
        "soak_c",
        *ONE_FAULT,
        *settings(baseline_s=3, storm_s=60),
        start_new_session=True,
    )
    run = await_record(process, runs, moment)
    process.send_signal(number)
    done = finish(process, runs, END_LIMIT_S)
    assert done.exit_code == 130, done.text
    assert "Traceback" not in done.text
    assert done.verdict()["findings"], "a partial run is judged"
    records = history(run)
    assert [r["detail"]["complete"] for r in records if r.get("name") == "cleanup"] == [True]
    states = [r["state"] for r in records if r["kind"] == "fault"]
    assert ("injected" in states) <= ("recovering" in states), "what was broken was healed"
    assert processes_of(run.run_id) == []


@pytest.mark.parametrize(
    "moment",
    [
        '"injected"',
        pytest.param('"provision"', marks=pytest.mark.long),
        pytest.param('"ready"', marks=pytest.mark.long),
    ],
)
def test_after_sigkill_nothing_is_left_and_the_record_can_be_judged(
    moment: str, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    process = start(runs, "run", "soak_c", *ONE_FAULT, *settings(baseline_s=3, storm_s=60))
    run = await_record(process, runs, moment)
    process.kill()
    finish(process, runs, END_LIMIT_S)
    await_gone(run)

    judged = chaos(runs, "check", str(run.path))
    assert judged.exit_code == 4, judged.text
    cleaned = chaos(runs, "clean", str(run.path))
    assert cleaned.exit_code == 0, cleaned.text


@pytest.mark.whole_run
@pytest.mark.slow(seconds=50)
def test_two_runs_run_side_by_side(tmp_path: Path) -> None:
    """The same ports, the same paths, at the same time: neither notices the other."""
    both: list[tuple[Path, subprocess.Popen[str]]] = []
    for name in ("one", "two"):
        runs = tmp_path / name
        arguments = ("run", "soak_c", "--fault", "none", "--seed", "3")
        both.append((runs, start(runs, *arguments, *settings(storm_s=10, quiet_s=4))))
    hashes = set()
    for runs, process in both:
        done = finish(process, runs)
        assert done.exit_code in (0, 3), done.text  # so short a run may be inconclusive
        assert not [f for f in done.verdict()["findings"] if f["outcome"] in ("fail", "invalid")]
        hashes.add(done.run().read_json(done.run().schedule)["hash"])
    assert len(hashes) == 1
