"""What another cause explains is its effect, and no second cause beside it."""

from __future__ import annotations

from chaos.record.open_run import OpenRun
from chaos.runner.judge import verdict_of
from chaos.triage.from_run import triage_run
from chaos.triage.result import Triage
from tests.checks.history_builder import PlantedRun
from tests.checks.test_requests_witnessed import archive, requests
from tests.checks.witness_builder import INJECTOR, WATCHER, Witnessed


def triaged(witnessed: Witnessed) -> Triage:
    witnessed.write()
    with OpenRun(witnessed.run.write()) as run:
        return triage_run(run, verdict_of(run))


def causes(found: Triage) -> list[str]:
    return [cause.name for cause in found.causes]


def injector_ends(run: PlantedRun) -> None:
    detail = {"owner": "harness", "severity": "error", "service": "injector", "exit_code": -15}
    run.add_event(50.1, "service_exit", **detail)


def test_service_that_the_watcher_ended_is_no_cause_of_the_harness(planted: PlantedRun) -> None:
    injector_ends(planted)
    witnessed = Witnessed(planted)
    witnessed.add(50.0, "kill", WATCHER, target=INJECTOR, signal=15, target_watched=True)
    found = triaged(witnessed)
    assert causes(found) == ["bystander_ended"]
    why = {one.name: one.why for one in found.ruled_out}["harness_or_infrastructure"]
    assert why == "the services that ended were ended by the Watcher"


def test_service_that_ended_by_itself_stays_a_cause(planted: PlantedRun) -> None:
    planted.add_event(
        50.1, "service_exit", owner="infrastructure", severity="error", service="proxy", exit_code=1
    )
    witnessed = Witnessed(planted)
    witnessed.add(90.0, "kill", WATCHER, target=INJECTOR, signal=15, target_watched=True)
    assert causes(triaged(witnessed)) == ["bystander_ended", "harness_or_infrastructure"]


def test_wrong_type_in_an_exchanged_request_is_no_work_that_was_not_done(
    planted: PlantedRun,
) -> None:
    witnessed = Witnessed(planted)
    planted.config["criteria"]["routing"] = {}
    learning, selfplay = (
        next(name for name in requests(witnessed) if kind in name)
        for kind in ("learning", "selfplay")
    )
    archive(witnessed, selfplay, {"request_type": "learning_loop", "of": learning})
    found = triaged(witnessed)
    assert causes(found)[0] == "request_tampered"
    assert "work_not_done" not in causes(found)
