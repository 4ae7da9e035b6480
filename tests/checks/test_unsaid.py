"""A target that says less accuses nobody: each section and each selector taken out, one by one.

Never a failure that was none, never a check that falls over, and never a pass in place of a failure
that the missing evidence had shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.checks.base import Check
from chaos.checks.registry import CHECKS
from chaos.record.open_run import OpenRun
from chaos.record.record_sql import columns_of
from chaos.record.rundir import RunDir
from chaos.record.target import Records
from chaos.runner.judge import verdict_of
from chaos.runner.resolve import read_target
from tests.records import unpacked

RECORDS = ("soak_b_llm_timeout", "soak_c_watcher_restarted", "soak_b_misroutes")
_GONE: dict[str, Any] = {
    **dict.fromkeys(("halt", "batch", "instance", "inspection", "injector"), None),
    **dict.fromkeys((f"records.{name}" for name in Records.__struct_fields__), None),
    **{name: {} for name in ("policies", "draws", "paths", "child_arguments")},
    **{f"work.{name}": "" for name in ("pending", "claimed", "set_aside", "type_field")},
    "work.kinds": {},
    "prerequisites": {},
}
SECTIONS = tuple(_GONE)
# Columns that a record must have.
_RULED = {
    "decisions": {"request"},
    "calls": {"line", "ok"},
    "draws": {"value"},
    "telemetry": {"model_count"},
    "predictions": {"values"},
}


def selectors() -> Iterator[str]:
    """Every optional key of the reference below its sections."""
    target = read_target("reference")[1]
    for name in ("draws", "paths", "child_arguments"):
        for field in getattr(target, name).__struct_fields__:
            if target.says(f"{name}.{field}"):
                yield f"{name}.{field}"
    yield from ("llm.call_limit_s", "llm.stopped_for_work", "halt.flags")
    for name, needed in _RULED.items():
        record = getattr(target.records, name)
        yield from (f"{name}.{column}" for column in sorted(columns_of(record.sql) - needed))


def without(target: dict[str, Any], key: str) -> dict[str, Any]:
    """The stored target without what stands at `key`."""
    less: dict[str, Any] = json.loads(json.dumps(target))
    first, _, rest = key.partition(".")
    if first in _RULED and rest and rest not in less.get(first, {}):
        record = less["records"][first]
        columns = sorted(columns_of(record["sql"]) - {rest})
        record["sql"] = f"select {', '.join(columns)} from ({record['sql']})"
        return less
    node = less
    *path, last = key.split(".")
    for name in path:
        node = node[name]
    if key in _GONE:
        node[last] = _GONE[key]
    else:
        del node[last]
    return less


def outcomes(run: RunDir) -> dict[str, str]:
    with OpenRun(run) as opened:
        return {finding.check: finding.outcome for finding in verdict_of(opened).findings}


def wrong(run: RunDir, keys: Iterator[str] | tuple[str, ...]) -> list[str]:
    """What each missing key has done that it must not."""
    config = json.loads(run.config.read_text())
    whole = outcomes(run)
    found = []
    for key in keys:
        run.config.write_text(json.dumps({**config, "target": without(config["target"], key)}))
        for check, outcome in outcomes(run).items():
            before = whole.get(check, "skipped")
            accused = outcome in ("fail", "invalid") and before != outcome
            acquitted = outcome == "pass" and before == "fail"
            if accused or acquitted:
                found.append(f"without {key}: {check} {before} -> {outcome}")
    return found


@pytest.mark.parametrize("record", RECORDS)
def test_no_section_that_is_missing_accuses_or_acquits(record: str, tmp_path: Path) -> None:
    assert wrong(unpacked(record, tmp_path), SECTIONS) == []


@pytest.mark.long
@pytest.mark.parametrize("record", RECORDS)
def test_no_selector_that_is_missing_accuses_or_acquits(record: str, tmp_path: Path) -> None:
    assert wrong(unpacked(record, tmp_path), selectors()) == []


def test_what_is_asked_for_and_not_said_is_unverified(tmp_path: Path) -> None:
    run = unpacked("soak_b_llm_timeout", tmp_path)
    config = json.loads(run.config.read_text())
    config["target"] = without(config["target"], "records.decisions")
    run.config.write_text(json.dumps(config))
    with OpenRun(run) as opened:
        found = {f.check: f for f in verdict_of(opened).findings}
    assert found["exactly_once"].outcome == "unverified"
    assert found["exactly_once"].summary == (
        "not judged: the target does not say decisions.request"
    )
    config["target"]["not_applicable"] = {"exactly_once": "it keeps no log", "*": "a worker"}
    run.config.write_text(json.dumps(config))
    found = {}
    with OpenRun(run) as opened:
        found = {f.check: f for f in verdict_of(opened).findings}
    assert found["exactly_once"].summary == "not applicable: it keeps no log"
    assert found["fifo"].summary == "not applicable: a worker"
    assert {found["exactly_once"].outcome, found["fifo"].outcome} == {"skipped"}


def test_every_key_that_a_check_needs_is_one_of_the_target() -> None:
    """A typo in `says` would leave its check unjudged for ever."""
    target = read_target("reference")[1]

    def unsaid(check: Check) -> list[str]:
        return [key for key in check.says if not target.says(key)]

    assert {check.name: unsaid(check) for check in CHECKS if unsaid(check)} == {}
