"""Stands for a daemon whose draws and telemetry are logs, and whose prediction is a flat list."""

from __future__ import annotations

from pathlib import Path

from chaos.record.history import Event, HistoryWriter, read_history
from chaos.record.open_run import OpenRun
from chaos.witness.artefacts import ArtefactWatcher
from chaos.witness.build import _of_records
from tests.checks.history_builder import PlantedRun
from tests.targets.habits.stand_in import StandIn, finding_of
from tests.waiting import wait_for

TARGET = """
target: logs
watcher: {start: ["{python}", daemon.py]}
work: {submit: {folder: in}, done: out/*, body: {id: "{id}"}}
records:
  draws: {sql: "select drawn.number as value from jsonl('draws.jsonl')"}
  telemetry:
    sql: select models.trained as model_count, "at" as timestamp from jsonl('health.jsonl')
  predictions:
    sql: select 'next' as draw_index, entry as values from json('prediction.json', 'numbers')
draws: {generator: {lcg: {a: 5, c: 3, m: 1000}}, seed: 1, modulus: 1000}
"""
PROGRAM = """
import json, os, time
state = 1
for number in range(1, 6):
    state = (5 * state + 3) % 1000
    with open("draws.jsonl", "a") as log:
        log.write(json.dumps({"drawn": {"number": state}}) + "\\n")
    with open("health.jsonl", "a") as log:
        log.write(json.dumps({"models": {"trained": number}, "at": time.time()}) + "\\n")
    with open("prediction.part", "w") as file:
        json.dump({"numbers": [(5 * state + 3) % 1000, 7]}, file)
    os.replace("prediction.part", "prediction.json")
    time.sleep(0.3)
time.sleep(60)
"""


def test_they_are_counted_while_it_runs_and_judged_afterwards(
    tmp_path: Path, control: PlantedRun
) -> None:
    daemon = StandIn(tmp_path, TARGET, PROGRAM)
    (counter,) = _of_records(daemon.target, daemon.workspace)
    history = HistoryWriter(tmp_path / "history.jsonl", "r")
    versions = ArtefactWatcher.of_target(daemon.target, daemon.workspace, history)
    values: dict[str, int | float | str] = {}

    def five_draws() -> bool:
        counter.read(values)
        versions.read({})
        return values.get("draws.count") == 5

    with daemon.running():
        wait_for("five draws", five_draws)
    versions.read({})
    history.close()
    counter.close()
    seen = [
        record
        for _, record in read_history(tmp_path / "history.jsonl")
        if isinstance(record, Event)
    ]
    assert {record.detail["path"] for record in seen} == {"prediction.json"}
    run = daemon.recorded(control)
    for record in seen:
        run.add_artefact(30.0 + record.t_s, "prediction.json", record.detail["content"])
    found = finding_of(run, "draws_expected")
    assert found.outcome == "pass" and "all 5 draws equal the generator" in found.summary
    with OpenRun(run.run) as opened:
        assert opened.sql("select model_count from telemetry order by rowid") == [
            (1.0,), (2.0,), (3.0,), (4.0,), (5.0,),
        ]  # fmt: skip
        assert opened.one('select bool_and("next") from predictions') is True
        last = opened.one('select "values" from predictions order by t_s desc, rowid desc limit 1')
        assert last == "[7]"


def test_draw_that_was_lost_on_the_way_to_the_log_is_found(
    tmp_path: Path, control: PlantedRun
) -> None:
    daemon = StandIn(tmp_path, TARGET)
    lines = [f'{{"drawn": {{"number": {number}}}}}\n' for number in (8, 43, 93)]  # 218 is missing
    (daemon.workspace / "draws.jsonl").write_text("".join(lines))
    assert finding_of(daemon.recorded(control), "draws_expected").outcome == "fail"
