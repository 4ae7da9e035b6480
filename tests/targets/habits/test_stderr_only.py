"""Stands for a daemon without a log file: it writes to stderr, an exception is one line there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.history_builder import PlantedRun
from tests.targets.habits.stand_in import StandIn, finding_of
from tests.waiting import wait_for

TARGET = """
target: stderr
watcher: {start: ["{python}", daemon.py]}
work: {submit: {folder: inbox}, done: outbox/*, body: {id: "{id}"}}
error_patterns: ["Traceback (most recent call last)", "WARNING unhandled"]
"""
PROGRAM = """
import logging, time
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
logging.info("looks for work")
{defect}
logging.info("is idle")
time.sleep(60)
"""
RAISES = """
try:
    {}["no such key"]
except KeyError as error:
    logging.warning("unhandled %r", error)
"""


@pytest.mark.parametrize(("defect", "outcome"), [("", "pass"), (RAISES, "fail")])
def test_its_output_is_its_log(
    tmp_path: Path, control: PlantedRun, defect: str, outcome: str
) -> None:
    daemon = StandIn(tmp_path, TARGET, PROGRAM.format(defect=defect))
    with daemon.running():
        wait_for("the last line", lambda: b"is idle" in daemon.log.read_bytes())
    run = daemon.recorded(control)
    run.files.pop("artefacts/logs/watcher_agent.log", None)
    found = finding_of(run, "errors")
    assert found.outcome == outcome, found.summary
    if defect:
        assert found.evidence[0].ref == "logs/watcher.log:2"
