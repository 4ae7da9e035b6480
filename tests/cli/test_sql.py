"""`chaos sql`: results as table, JSON and CSV, and usage errors with a next step."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from chaos.cli.main import main
from tests.checks.history_builder import PlantedRun


@pytest.fixture
def run(tmp_path: Path) -> str:
    return str(PlantedRun(tmp_path / "run").write().path)


def test_the_result_is_a_table_json_or_csv(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = "select fault_id, state, effect from faults order by fault_id"
    assert main(["sql", run, query]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["fault_id", "state", "effect"] and table[-1] == "(2 rows)"
    assert main(["sql", run, query, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert records[0]["fault_id"] == "f001" and records[0]["effect"]["cuts_llm"] is True
    assert main(["sql", run, query, "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["fault_id", "state", "effect"] and len(rows) == 3


def test_a_query_without_rows_gives_an_empty_result(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", run, "select * from damaged", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_tables_are_listed_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--tables"]) == 0
    assert "decisions: one line of the decision log" in capsys.readouterr().out
    assert main(["sql", "--tables", "--json"]) == 0
    assert any(table["table"] == "faults" for table in json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which run"),
        (["{run}"], "which query"),
        (["{run}", "select * from decsions"], "did you mean 'decisions'"),
        (["{run}", "delete from faults"], "only one `select`"),
        (["{run}", "select 1", "--limit-s", "0"], "--limit-s"),
        (["{run}", "select 1", "--markdown"], "--tables"),
        (["nowhere", "select 1"], "no run"),
    ],
)
def test_wrong_usage_exits_2_with_a_next_step(
    run: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", *(word.format(run=run) for word in words)]) == 2
    shown = capsys.readouterr().err
    assert said in shown and "next:" in shown and "Traceback" not in shown
