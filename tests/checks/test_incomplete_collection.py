"""A part of the Watcher's files neither convicts it nor acquits it."""

from __future__ import annotations

import json

import pytest

from chaos.checks.verdict import Verdict
from tests.checks.history_builder import PlantedRun, finding, judged, not_passed
from tests.checks.test_planted_files import BAD, plant

LIMIT = "watcher_requests/archive/probe_0001.json and what follows: the limit is reached"
LOG = "logs/watcher_agent.log: Permission denied"


def note(run: PlantedRun, *left_out: str) -> None:
    content = {"files": 1, "bytes": 1, "left_out": list(left_out)}
    run.files["artefacts/_collected.json"] = json.dumps(content)


def doubtful(verdict: Verdict, check: str) -> bool:
    one = finding(verdict, check)
    return (one.outcome, one.owner) == ("inconclusive", "infrastructure")


def test_half_an_archive_does_not_convict_the_watcher(planted: PlantedRun) -> None:
    """The control: the same without the note is a failure of the Watcher."""
    planted.folders["archive"] = planted.folders["archive"][::2]
    assert judged(planted).verdict == "fail"
    note(planted, LIMIT)
    verdict = judged(planted)
    assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 3)
    assert all(doubtful(verdict, check) for check in ("request_queue", "exactly_once", "errors"))
    assert LIMIT in finding(verdict, "request_queue").summary


@pytest.mark.parametrize(
    "lost", [LOG, "logs/ and what is in it: Permission denied", "x: No space left on device"]
)
def test_a_log_that_could_not_be_read_acquits_nobody(planted: PlantedRun, lost: str) -> None:
    note(planted, lost)
    verdict = judged(planted)
    assert verdict.verdict == "inconclusive"
    assert doubtful(verdict, "errors") and lost in finding(verdict, "errors").summary


def test_an_exception_that_was_found_stays_one(planted: PlantedRun) -> None:
    planted.files["logs/watcher.log"] = "Traceback (most recent call last):\n"
    note(planted, LOG)
    verdict = judged(planted)
    assert finding(verdict, "errors").outcome == "fail"
    assert verdict.verdict == "fail"


def test_a_collection_that_failed_in_the_middle_is_no_whole_one(planted: PlantedRun) -> None:
    planted.add_event(146.5, "collect_failed", severity="error", message="No space left on device")
    verdict = judged(planted)
    assert verdict.verdict == "invalid"  # it is a failure of the harness as well
    assert doubtful(verdict, "request_queue") and doubtful(verdict, "errors")


def test_checks_that_read_no_file_are_left_alone(planted: PlantedRun) -> None:
    note(planted, LOG)
    verdict = judged(planted)
    assert {"memory_growth", "halt", "stall"}.isdisjoint(not_passed(verdict))


def test_a_whole_collection_is_left_alone(planted: PlantedRun) -> None:
    """Pipes and links are no files, and a file that was being written is gone when it is whole."""
    note(planted, "pipe: not a regular file", "queue/.x.1.tmp: No such file or directory")
    assert not_passed(judged(planted)) == {}


def test_what_a_fault_planted_unreadable_is_no_gap(planted: PlantedRun) -> None:
    plant(planted, {BAD: "quarantined"})
    planted.folders["quarantine"].remove(BAD)
    note(planted, f"watcher_requests/quarantine/{BAD}: Permission denied")
    assert not_passed(judged(planted)) == {}
