"""The accounting of files that faults put into the queue: exact, by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.history_builder import PlantedRun, finding, iso, judged, judged_by

GOOD, BAD, ONE, TWO = "queue_f009_good.json", "queue_f009_bad.json", "first.json", "second.json"
QUEUE_CHECKS = ("request_queue", "requests_pending", "exactly_once", "paths_taken", "halt")


def plant(run: PlantedRun, ends: dict[str, str], **recovered: Any) -> None:
    """A queue fault that planted these files, all of which went the right way."""
    base = {"fault_id": "f009", "name": "queue_corruption", "scheduled_s": 100.0}
    run.schedule["items"].append({"fault_id": "f009", "name": "queue_corruption"})
    states = {
        "armed": (99.0, {"undo": {"planted": ends}}),
        "injected": (100.0, {}),
        "effect_proven": (101.0, {}),
        "recovering": (102.0, {}),
        "recovered": (103.0, recovered),
        "closed": (103.1, {}),
    }
    for state, (t_s, evidence) in states.items():
        run.records.append(
            {"kind": "fault", "t_s": t_s, **base, "state": state, "evidence": evidence}
        )
    paths = {"queue_corruption": {"triage": "Queue corruption", "reconnection": "none"}}
    run.add_event(40.0, "fault_paths", paths=paths)
    first = True
    for name, end in ends.items():
        if end == "quarantined" or (end == "once" and not first):
            run.folders["quarantine"].append(name)
        elif end in ("archived", "once"):
            work(run, name)
            run.folders["archive"].append(name)
            first = first and end != "once"
    run.config["criteria"] = {name: {} for name in QUEUE_CHECKS if name != "paths_taken"}


def work(run: PlantedRun, name: str) -> None:
    """A decision that dispatches `name`."""
    number = len(run.decisions) + 1
    template = run.decisions[-1]
    run.decisions.append(
        {
            **template,
            "decision_id": f"d{number:06d}",
            "sequence_number": 9000 + number,
            "source": "queue_fault_f009",
            "request_file": name,
            "started_at": iso(101.5),
            "timestamp": iso(102.5),
        }
    )


def outcomes(run: PlantedRun) -> dict[str, str]:
    verdict = judged(run)
    return {name: finding(verdict, name).outcome for name in QUEUE_CHECKS}


ENDS = {BAD: "quarantined", GOOD: "archived", ONE: "once", TWO: "once", "gone.json": "gone"}


def test_what_ends_as_planned_is_left_alone(planted: PlantedRun) -> None:
    """Bad ones set aside, good ones worked off, one of two twins worked off, one away again."""
    plant(planted, ENDS)
    assert outcomes(planted) == dict.fromkeys(QUEUE_CHECKS, "pass")


def test_a_planted_file_may_be_put_aside_under_a_longer_name(planted: PlantedRun) -> None:
    """A Watcher may number what it sets aside."""
    plant(planted, {BAD: "quarantined"})
    planted.folders["quarantine"] = [BAD.replace(".json", "~2.json")]
    assert outcomes(planted) == dict.fromkeys(QUEUE_CHECKS, "pass")


def test_a_good_request_set_aside_is_a_failure_also_under_a_queue_fault(
    planted: PlantedRun,
) -> None:
    plant(planted, {BAD: "quarantined"})
    planted.folders["quarantine"].append("probe_0001.json")
    planted.folders["archive"].remove("probe_0001.json")
    planted.decisions = [d for d in planted.decisions if d["request_file"] != "probe_0001.json"]
    found = judged_by(planted, "request_queue")
    assert found.outcome == "fail" and "probe_0001.json" in str(found.evidence)


def test_a_planted_good_request_set_aside_is_a_failure(planted: PlantedRun) -> None:
    plant(planted, {GOOD: "archived"})
    planted.folders["archive"].remove(GOOD)
    planted.folders["quarantine"].append(GOOD)
    planted.decisions.pop()
    assert outcomes(planted)["request_queue"] == "fail"


@pytest.mark.parametrize("name", [GOOD, BAD])
def test_a_planted_file_that_is_nowhere_is_a_failure(planted: PlantedRun, name: str) -> None:
    """The good one counts like a submitted one; the bad one must not vanish without a trace."""
    plant(planted, {BAD: "quarantined", GOOD: "archived"})
    for names in planted.folders.values():
        if name in names:
            names.remove(name)
    assert outcomes(planted)["request_queue"] == "fail"


def test_a_bad_file_that_was_worked_off_is_a_failure(planted: PlantedRun) -> None:
    plant(planted, {BAD: "quarantined"})
    planted.folders["quarantine"].remove(BAD)
    planted.folders["archive"].append(BAD)
    work(planted, BAD)
    found = judged_by(planted, "exactly_once")
    assert found.outcome == "fail" and "is no good request" in str(found.evidence)


@pytest.mark.parametrize("effects", [0, 2])
def test_twins_take_effect_once(planted: PlantedRun, effects: int) -> None:
    """Not twice, under whichever name, and not never."""
    plant(planted, {ONE: "once", TWO: "once"})
    if effects == 2:
        planted.folders["quarantine"].remove(TWO)
        planted.folders["archive"].append(TWO)
        work(planted, TWO)
        assert outcomes(planted)["exactly_once"] == "fail"
    else:
        planted.folders["archive"].remove(ONE)
        planted.folders["quarantine"].append(ONE)
        planted.decisions.pop()
        assert outcomes(planted)["request_queue"] == "fail"


def test_one_name_may_lie_in_archive_and_quarantine_when_it_came_twice(
    planted: PlantedRun,
) -> None:
    """Of a request that came again after it was archived the second file is set aside."""
    plant(planted, {ONE: "once"})
    planted.folders["quarantine"].append(ONE)
    assert outcomes(planted) == dict.fromkeys(QUEUE_CHECKS, "pass")


def test_a_name_in_two_places_is_a_failure_where_nobody_planted_it(planted: PlantedRun) -> None:
    plant(planted, {BAD: "quarantined"})
    planted.folders["quarantine"].append("probe_0001.json")
    assert outcomes(planted)["exactly_once"] == "fail"


@pytest.mark.parametrize("how", ["left out", "directory"])
@pytest.mark.parametrize("folder", ["quarantine", ""])
def test_what_is_no_plain_file_is_accounted_for(planted: PlantedRun, how: str, folder: str) -> None:
    """A pipe or a folder cannot be collected; set aside it is fine, waiting it is not."""
    plant(planted, {BAD: "quarantined"})
    planted.folders["quarantine"].remove(BAD)
    path = "/".join(filter(None, ("watcher_requests", folder, BAD)))
    if how == "directory":
        planted.files[f"artefacts/{path}/content.txt"] = "{}"
    else:
        note = {"files": 1, "bytes": 1, "left_out": [f"{path}: not a regular file"]}
        planted.files["artefacts/_collected.json"] = str(note).replace("'", '"')
    found = outcomes(planted)
    expected = "pass" if folder else "fail"
    assert (found["request_queue"], found["requests_pending"]) == (expected, expected)


def test_a_request_submitted_after_a_fault_must_be_worked_off(planted: PlantedRun) -> None:
    plant(planted, {BAD: "quarantined"}, submitted_after="after.json")
    assert outcomes(planted)["exactly_once"] == "fail"


def test_a_fault_that_never_acted_asks_for_nothing(planted: PlantedRun) -> None:
    """What was to be planted, and was not, is neither lost nor expected."""
    plant(planted, ENDS)
    planted.records = [
        r for r in planted.records if r.get("state") == "armed" or r.get("fault_id") != "f009"
    ]
    for names in planted.folders.values():
        names[:] = [name for name in names if name not in ENDS]
    planted.decisions = [d for d in planted.decisions if d["request_file"] not in ENDS]
    found = outcomes(planted)
    assert (found["request_queue"], found["exactly_once"]) == ("pass", "pass")


def test_a_path_needs_that_very_file(planted: PlantedRun) -> None:
    """Something else in quarantine does not show that the fault was met."""
    plant(planted, {BAD: "quarantined"})
    planted.folders["quarantine"] = ["other.json"]
    assert outcomes(planted)["paths_taken"] == "unverified"


@pytest.mark.parametrize(
    ("later", "outcome"), [({}, "unverified"), ({"met_later": "read in time"}, "pass")]
)
def test_a_fault_that_says_it_was_not_met_is_believed(
    planted: PlantedRun, later: dict[str, Any], outcome: str
) -> None:
    """A request that was whole in the end does not show that its half was met."""
    plant(planted, {GOOD: "archived"}, **later)
    for record in planted.records:
        if record.get("state") == "effect_proven" and record.get("fault_id") == "f009":
            record["evidence"] = {"not_met": "nobody has read the half so far"}
    assert outcomes(planted)["paths_taken"] == outcome


@pytest.mark.parametrize(
    ("halt", "outcome"),
    [
        ({"took_s": 1.0, "exit_code": 0}, "pass"),
        ({"took_s": 31.0, "exit_code": 0}, "fail"),
        ({"took_s": 1.0, "exit_code": 1}, "fail"),
    ],
)
def test_a_halt_within_a_fault_is_judged_too(
    planted: PlantedRun, halt: dict[str, Any], outcome: str
) -> None:
    plant(planted, {BAD: "quarantined"}, halts=[halt])
    assert outcomes(planted)["halt"] == outcome


def selfplay_of_its_own(run: PlantedRun) -> list[dict[str, Any]]:
    """Decisions on the Watcher's own requests for selfplay, in their order."""
    return [
        decision
        for decision in run.decisions
        if decision["dispatch"] == "dispatch_selfplay" and decision["source"] != "soak_probe"
    ]


@pytest.mark.parametrize("after", ["", "queue_f009_after.json"])
def test_selfplay_that_faults_ask_for_is_not_the_watchers_trigger(
    planted: PlantedRun, after: str
) -> None:
    for decision in selfplay_of_its_own(planted):
        decision["dispatch"] = "dispatch_learning"
    plant(planted, {GOOD: "archived", ONE: "once"}, submitted_after=after)
    if after:
        work(planted, after)
    for decision in planted.decisions:
        if decision["source"].startswith("queue_fault"):
            decision["dispatch"] = "dispatch_selfplay"
    planted.config["criteria"] = {"selfplay_dispatches": {"min": 1}}
    found = judged_by(planted, "selfplay_dispatches")
    assert (found.outcome, found.measured) == ("fail", 0)


def test_its_own_request_that_a_fault_repeats_is_still_its_own(planted: PlantedRun) -> None:
    """Worked off before the fault laid the same name there once more."""
    own = selfplay_of_its_own(planted)
    plant(planted, {own[0]["request_file"]: "once"})
    planted.decisions.pop()
    planted.decisions = [d for d in planted.decisions if d not in own[1:]]
    planted.config["criteria"] = {"selfplay_dispatches": {"min": 1}}
    found = judged_by(planted, "selfplay_dispatches")
    assert (found.outcome, found.measured) == ("pass", 1)
