"""Files that stand still while the Watcher goes on learning."""

from __future__ import annotations

from tests.checks.history_builder import (
    BOOTSTRAP,
    DRAW_INTERVAL_S,
    PlantedRun,
    Record,
    judged,
    judged_by,
    not_passed,
)

POOL = "prediction_pool.json"
TELEMETRY = "telemetry/learning_health_latest.json"


def freeze(run: PlantedRun, path: str, kept: slice) -> list[Record]:
    """Only the versions in `kept` were ever written; returns them."""
    versions = run.artefacts(path)
    stay = versions[kept]
    run.records = [r for r in run.records if r in stay or r not in versions]
    return stay


def test_telemetry_that_stops_while_learning_goes_on_is_stale(control: PlantedRun) -> None:
    """Two good versions at first, and many learning dispatches after them."""
    freeze(control, TELEMETRY, slice(2))
    found = judged_by(control, "telemetry")
    assert found.outcome == "fail" and "stale" in found.summary
    assert "stayed as it was" in found.evidence[0].text


def test_telemetry_that_stood_still_for_a_while_is_stale(control: PlantedRun) -> None:
    """The last version does not make good for those that were missing."""
    versions = control.artefacts(TELEMETRY)
    control.records = [r for r in control.records if r not in versions[2:-1]]
    assert judged_by(control, "telemetry").outcome == "fail"


def test_a_version_that_was_never_seen_is_not_stale(control: PlantedRun) -> None:
    """It was replaced before anybody looked."""
    control.records.remove(control.artefacts(TELEMETRY)[3])
    assert not_passed(judged(control)) == {"recovery_time": "skipped"}


def test_the_last_version_may_be_missing(control: PlantedRun) -> None:
    """The record may end before it was looked at."""
    control.records.remove(control.artefacts(TELEMETRY)[-1])
    assert judged_by(control, "telemetry").outcome == "pass"


def test_a_file_that_was_seldom_looked_at_is_not_stale(control: PlantedRun) -> None:
    """Whoever samples every half minute sees every third version, say."""
    control.config["profile"]["sample_period_s"] = 30.0
    versions = control.artefacts(TELEMETRY)
    control.records = [r for r in control.records if r not in versions or r in versions[::3]]
    control.config["criteria"] = {"telemetry": {}}
    assert judged_by(control, "telemetry").outcome == "pass"


def test_what_ends_in_a_fault_need_not_be_written(planted: PlantedRun) -> None:
    """One fault over all that was not renewed: its disk may have been full."""
    third = planted.artefacts(TELEMETRY)[2]["t_s"]
    for record in planted.records:
        if record["kind"] == "fault" and record["fault_id"] == "f001":
            at_s = {"armed": third - 3, "injected": third - 2, "effect_proven": third - 1}
            record["t_s"] = at_s.get(record["state"], 146.0)
    planted.config["criteria"] = {"telemetry": {}}
    freeze(planted, TELEMETRY, slice(2))
    assert judged_by(planted, "telemetry").outcome == "pass"


def test_a_pool_that_stops_while_learning_goes_on_is_stale(control: PlantedRun) -> None:
    """It has risen far enough before that."""
    freeze(control, POOL, slice(8))
    found = judged_by(control, "convergence")
    assert found.outcome == "fail" and "stale" in found.summary


def test_a_pool_may_stay_when_there_are_no_new_draws(control: PlantedRun) -> None:
    """What was asked for before is learned from the same draws as the last pool."""
    stay = freeze(control, POOL, slice(8))
    control.event("injector_stopped")["t_s"] = stay[-1]["t_s"] + 1.0
    control.config["criteria"] = {"convergence": {"min_rise": 0.2}}
    assert judged_by(control, "convergence").outcome == "pass"


def test_a_pool_may_stay_while_a_backlog_is_learned_from_the_same_draws(
    control: PlantedRun,
) -> None:
    last_s = freeze(control, POOL, slice(8))[-1]["t_s"]
    control.signals["draws.count"] = lambda t_s, done: (
        BOOTSTRAP + min(t_s, last_s) // DRAW_INTERVAL_S
    )
    control.config["criteria"] = {"convergence": {"min_rise": 0.2}}
    assert judged_by(control, "convergence").outcome == "pass"


def test_a_dispatch_that_may_have_written_the_version_does_not_make_it_stale(
    control: PlantedRun,
) -> None:
    """Its decision comes much later: it starts its LLM, and asks it, after the work.

    The log has no start times, and the version of one further dispatch was never seen.
    """
    decisions = control.config["target"]["records"]["decisions"]
    decisions["sql"] = decisions["sql"].replace(" started_at,", "")
    versions = control.artefacts(TELEMETRY)
    control.records.remove(versions[3])
    versions[2]["t_s"] -= 5.6
    control.config["criteria"] = {"telemetry": {}}
    assert judged_by(control, "telemetry").outcome == "pass"
    for seen in versions[4:]:
        control.records.remove(seen)
    assert judged_by(control, "telemetry").outcome == "fail"
