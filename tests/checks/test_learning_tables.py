"""Draws, telemetry and predictions as tables: replaced documents by version, logs by line."""

from __future__ import annotations

import json
from typing import Any

from chaos.record.open_run import OpenRun
from tests.checks.history_builder import PlantedRun, iso, judged_by

POOL = "prediction_pool.json"
LEARNING = "telemetry/learning_health_latest.json"


def record(run: PlantedRun, name: str, sql: str) -> None:
    run.config["target"]["records"][name] = {"sql": sql}


def as_lines(entries: list[Any]) -> str:
    return "".join(f"{json.dumps(entry)}\n" for entry in entries)


def table(run: PlantedRun, query: str) -> list[tuple[Any, ...]]:
    run.write()
    with OpenRun(run.run) as opened:
        return opened.sql(query)


def test_draws_are_what_the_query_says(planted: PlantedRun) -> None:
    planted.draws = [
        {"value": 7, "draw_source": "synthetic_bootstrap"},
        {"value": "8"},
        {"value": 1.5},
        {"value": True},
        5,  # type: ignore[list-item]
    ]
    rows = table(planted, "select number, position, value, bootstrap from draws order by number")
    assert rows == [
        (0, 0, 7, True),
        (1, 1, 8, False),
        (2, 2, None, False),
        (3, 3, None, False),
        (4, 4, None, False),
    ]


def test_each_version_of_a_document_is_read(control: PlantedRun) -> None:
    versions = [r["detail"] for r in control.artefacts(LEARNING)]
    versions[1].update({"invalid": True, "content": None, "sha256": None})
    versions[2].update({"content": None, "omitted_bytes": 70_000})
    versions[3]["content"] = {"total_models": "many"}
    rows = table(control, "select state, model_count, stamp_s from telemetry order by rowid")
    assert rows[0][:2] == ("read", 1.0)
    assert rows[1:4] == [("invalid", None, None), ("omitted", None, None), ("read", None, None)]
    assert len(rows) == len(versions)


def test_last_row_of_a_version_of_the_telemetry_counts(control: PlantedRun) -> None:
    for item in control.artefacts(LEARNING):
        now = item["detail"]["content"]
        item["detail"]["content"] = [{**now, "total_models": 0}, now]
    assert judged_by(control, "telemetry").outcome == "pass"


def log_of_telemetry(run: PlantedRun) -> list[dict[str, Any]]:
    """The telemetry as a log: nothing is replaced, so no version is seen."""
    seen = run.artefacts(LEARNING)
    entries = [item["detail"]["content"] for item in seen]
    for item in seen:
        run.records.remove(item)
    record(
        run, "telemetry", "select total_models as model_count, timestamp from jsonl('health.jsonl')"
    )
    return entries


def test_telemetry_may_be_a_log(control: PlantedRun) -> None:
    control.files["artefacts/health.jsonl"] = as_lines(log_of_telemetry(control)) + '{"total'
    assert judged_by(control, "telemetry").outcome == "pass"


def test_log_of_telemetry_that_falls_or_stays_is_found(control: PlantedRun) -> None:
    entries = log_of_telemetry(control)
    fell = [*entries, {**entries[-1], "total_models": 0}]
    control.files["artefacts/health.jsonl"] = as_lines(fell)
    found = judged_by(control, "telemetry")
    assert (
        found.outcome == "fail" and found.evidence[0].ref == f"artefacts/health.jsonl:{len(fell)}"
    )
    control.files["artefacts/health.jsonl"] = as_lines([{"other": 1}, *entries, fell[-1]])
    record(
        control,
        "telemetry",
        "select total_models as model_count, timestamp from jsonl('health.jsonl') "
        "where other is null",
    )
    found = judged_by(control, "telemetry")
    assert found.evidence[0].ref == f"artefacts/health.jsonl:{len(fell) + 1}"
    control.files["artefacts/health.jsonl"] = as_lines(entries[:2])
    assert judged_by(control, "telemetry").outcome == "fail"


def only_next(run: PlantedRun, *, learns: bool) -> None:
    """Each pool is a flat list of values of the draw that comes next."""
    record(
        run,
        "predictions",
        f"select 'next' as draw_index, entry as values from json('{POOL}', 'numbers')",
    )
    pools = run.artefacts(POOL)
    for number, item in enumerate(pools):
        near = item["detail"]["content"]["predictions"][0]["draw_index"]
        # The next draw when the work began: one of the last few when the pool is published.
        due = [draw["value"] for draw in run.draws[near - 5 : near + 1]]
        right = learns and number >= len(pools) / 2
        item["detail"]["content"] = {"numbers": due if right else [1001, 1002]}


def test_flat_list_predicts_the_next_draw(control: PlantedRun) -> None:
    only_next(control, learns=True)
    rows = table(control, 'select draw_index, "next", "values" from predictions limit 2')
    assert rows == [(None, True, "[1001]"), (None, True, "[1002]")]
    found = judged_by(control, "convergence")
    assert found.outcome == "pass" and "0.00 -> 1.00" in found.summary


def test_flat_list_that_never_comes_true_is_found(control: PlantedRun) -> None:
    only_next(control, learns=False)
    assert judged_by(control, "convergence").outcome == "fail"


def test_draws_whose_number_was_not_known_give_no_verdict_on_predictions(
    control: PlantedRun,
) -> None:
    del control.signals["draws.count"]
    found = judged_by(control, "convergence")
    assert found.outcome == "inconclusive" and "not counted" in found.summary


def test_position_says_which_draw_of_the_generator_it_is(control: PlantedRun) -> None:
    record(
        control,
        "draws",
        "select value, place as position, draw_source as source "
        "from json('lottery_history.json', 'draws')",
    )
    real = [{"value": 5, "draw_source": "synthetic_bootstrap"}] * 3  # not of the generator
    control.draws = [*real, *({**d, "place": n} for n, d in enumerate(control.draws))]
    found = judged_by(control, "draws_expected")
    assert found.outcome == "pass" and "3 more say no position" in found.summary
    del control.draws[100], control.files["artefacts/lottery_history.json"]
    found = judged_by(control, "draws_expected")
    assert found.outcome == "fail" and found.evidence[0].text == "position 98 comes after 96"


def test_times_of_a_log_may_be_unix_seconds_or_iso(control: PlantedRun) -> None:
    entries = log_of_telemetry(control)[:1]
    control.files["artefacts/health.jsonl"] = as_lines(
        [*entries, {"total_models": 2, "timestamp": 1_767_225_700}]
    )
    rows = table(control, "select stamp_s from telemetry order by rowid")
    assert rows[1][0] == 100.0 and iso(rows[0][0]) == entries[0]["timestamp"]
