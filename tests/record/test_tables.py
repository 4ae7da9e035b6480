"""An opened run as tables: what is read from odd files, and what a query may not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.base.errors import UsageError
from chaos.cli.sql import tables_markdown
from chaos.record.daemon_tables import scanned
from chaos.record.events import EVENTS
from chaos.record.history import HistoryWriter
from chaos.record.names import UndeclaredName
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.record.tables import MACROS, TABLES
from tests.checks.history_builder import PlantedRun


@pytest.fixture
def control(tmp_path: Path) -> PlantedRun:
    return PlantedRun(tmp_path / "run", cuts=())


def append(run: RunDir, text: bytes) -> None:
    with run.history.open("ab") as history:
        history.write(text)


# -- declarations -----------------------------------------------------------------------------


def test_every_table_can_be_asked_and_has_the_declared_columns(control: PlantedRun) -> None:
    with OpenRun(control.write()) as run:
        for name, table in TABLES.items():
            columns, _ = run.query(f"select * from {name} limit 1")
            assert columns == [column.name for column in table.columns], name


def test_document_of_the_tables_is_made_from_the_declarations(repo: Path) -> None:
    """`chaos sql --tables --markdown > docs/tables.md` renews it."""
    assert (repo / "docs" / "tables.md").read_text("utf-8") == tables_markdown()


def test_every_declared_function_exists(control: PlantedRun) -> None:
    with OpenRun(control.write()) as run:
        for name in MACROS:
            function = name.partition("(")[0]
            assert run.sql(f"select {function}(1)"), name


def test_undeclared_names_raise_where_they_are_used(control: PlantedRun, tmp_path: Path) -> None:
    history = HistoryWriter(tmp_path / "history.jsonl", "run")
    with pytest.raises(UndeclaredName, match=r"undeclared event 'haltd'; did you mean 'halted'"):
        history.event("haltd")
    with pytest.raises(UndeclaredName, match="undeclared detail tok_s"):
        history.event("halted", tok_s=1.0)
    history.close()
    with OpenRun(control.write()) as run:
        with pytest.raises(UndeclaredName):
            run.last("haltd")
        with pytest.raises(UndeclaredName, match=r"did you mean 'watcher\.fds'"):
            run.sampled("watcher.fd")


def test_every_event_of_a_real_shape_is_declared(control: PlantedRun) -> None:
    for record in control.records:
        if record["kind"] == "event":
            EVENTS[record["name"]].check(record["detail"])


# -- the history ------------------------------------------------------------------------------


def test_odd_samples_are_read_as_far_as_they_can_be(control: PlantedRun) -> None:
    """A value that is no number is absent; half a record at the end is left out."""
    rundir = control.write()
    odd = {"kind": "sample", "t_s": 1e6, "values": {"watcher.fds": None, "watcher.threads": 3}}
    text = {"kind": "sample", "t_s": 1e6 + 1, "values": {"watcher.fds": "six", "queue.pending": 2}}
    append(rundir, f'{json.dumps(odd)}\n{json.dumps(text)}\n{{"kind":"sample","values":{{'.encode())
    lines = rundir.history.read_bytes().splitlines()
    with OpenRun(rundir) as run:
        assert run.torn and not run.damage and run.lines == len(lines) - 1
        assert run.end_s == 1e6 + 1
        sampled = [n for n, line in enumerate(lines[:-1], 1) if b'"sample"' in line]
        assert [line for (line,) in run.sql("select line from moments order by line")] == sampled
        last = 'select "watcher.fds", "watcher.threads", "queue.pending" from moments'
        assert run.sql(f"{last} order by line")[-2:] == [(None, 3, None), (None, None, 2)]


@pytest.mark.parametrize(
    "damage",
    [
        b"no record\n",
        b'{"kind":"sample","t_s":"late","values":{}}\n',
        b'{"kind":"sample","values":{}}\n',
        b'{"kind":"event","t_s":1,"name":7}\n',
        b'{"kind":"sample",\xff"t_s":1}\n',
        b"\n",
    ],
)
def test_reading_stops_at_the_first_line_that_is_no_record(
    control: PlantedRun, damage: bytes
) -> None:
    rundir = control.write()
    lines = rundir.history.read_bytes().splitlines(keepends=True)
    rundir.history.write_bytes(b"".join([*lines[:200], damage, *lines[200:]]))
    with OpenRun(rundir) as run:
        assert run.lines == 200 and run.damage.startswith("history.jsonl:201: not a history record")
        assert run.one("select max(line) from moments") <= 200
        assert run.incomplete


def test_gpu_signals_get_columns_of_their_own(control: PlantedRun) -> None:
    control.gpu_mb = lambda t_s: 100.0
    with OpenRun(control.write()) as run:
        assert run.gpu_signals == ["gpu0.used_bytes"]
        assert run.sampled("gpu0.used_bytes") and not run.sampled("gpu1.used_bytes")
        assert run.one('select min("gpu0.used_bytes") from moments') == pytest.approx(1e8)


# -- the daemon's files -----------------------------------------------------------------------


def test_decision_log_is_read_as_far_as_it_can_be(control: PlantedRun) -> None:
    """Empty, damaged and foreign lines between decisions, and half a line at the end."""
    lines = [json.dumps(one) for one in control.decisions]
    control.decisions[3]["effects"] = [1]
    lines[3] = json.dumps(control.decisions[3])
    lines[2] += " "
    lines[4:4] = ["", "no decision", '{"decision_id":"x","started_at":17}', '{"a":"\udcff"}', "[1]"]
    text = "\n".join(lines) + '\n{"decision_id": "d9'
    control.files["artefacts/watcher_decisions.jsonl"] = text.encode(errors="surrogateescape")
    with OpenRun(control.write()) as run:
        known = run.sql("select line, id, child_pid from decisions order by line")
        assert len(known) == len(control.decisions) + 1
        assert known[3] == (4, control.decisions[3]["decision_id"], None)
        assert known[4] == (7, "x", None)
        damaged = run.sql("select line, problem from damaged order by line")
        assert [line for line, _ in damaged] == [6, 8, 9, len(lines) + 1]
        assert [problem for _, problem in damaged][-1] == "torn"
        assert run.one("select start_s from decisions where id = 'x'") < 0


def test_plain_decision_log_and_one_with_a_damaged_line_give_the_same_rows(
    control: PlantedRun,
) -> None:
    log = "".join(json.dumps(one) + "\n" for one in control.decisions)
    control.files["artefacts/watcher_decisions.jsonl"] = log
    rundir = control.write()
    tables = ("decisions", "calls", "written")
    with OpenRun(rundir) as run:
        plain = [run.sql(f"select * from {name} order by all") for name in tables]
    path = rundir.artefacts / "watcher_decisions.jsonl"
    path.write_text(log + "damaged\n", "utf-8")
    with OpenRun(rundir) as run:
        assert [run.sql(f"select * from {name} order by all") for name in tables] == plain
        assert run.one("select count(*) from damaged") == 1


def test_record_of_servers_is_read_as_far_as_it_can_be(control: PlantedRun) -> None:
    lines = [
        '{"time_s": 10.5, "event": "start", "pid": 7}',
        '{"time_s": 10.7, "event": "ready", "pid": 7}',
        '{"time_s": "11", "event": "stop", "pid": "seven"}',
        '{"event": "gone"}',
        '{"time_s": 12, "event": "crashed"}',
        '{"time_s": 13, "event": "sta',
    ]
    control.files["artefacts/logs/llm_events.jsonl"] = "\n".join(lines)
    with OpenRun(control.write()) as run:
        seen = run.sql("select line, event, pid from servers order by line")
    assert seen == [(1, "start", 7), (3, "stop", None), (5, "crashed", None)]


def test_type_of_a_request_is_that_of_the_harness_then_that_of_the_archived_file(
    control: PlantedRun,
) -> None:
    first, torn, *_ = control.folders["archive"]
    other = "selfplay" if "learning" in first else "learning_loop"
    control.records.append(
        {
            "kind": "op",
            "t_s": 5.0,
            "op": "submit",
            "id": first,
            "outcome": "ok",
            "detail": {"type": other},
        }
    )
    control.files[f"artefacts/watcher_requests/archive/{torn}"] = '{"request_type": "selfpl'
    with OpenRun(control.write()) as run:
        types = dict(run.sql("select name, type from request_types"))
    assert types.pop(first) == ("learning" if other == "learning_loop" else "selfplay")
    assert torn not in types
    assert all((kind == "learning") == ("learning" in name) for name, kind in types.items())


def test_files_are_found_by_their_pattern(tmp_path: Path) -> None:
    for name in ("in/a.json", "in/.hidden.json", "in/b.txt", "in/sub.json/c.json", "on/d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list(scanned(tmp_path, "in/*.json")) == [("in/", "a.json")]
    assert sorted(scanned(tmp_path, "*/*.json")) == [("in/", "a.json"), ("on/", "d.json")]
    assert list(scanned(tmp_path, "nowhere/*")) == []


# -- what a query may not do ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("selec 1", "Parser Error"),
        ("select * from decision", "no table 'decision'"),
        ("select statuss from decisions", "statuss"),
        ("select 1; select 2", "only one `select`"),
        ("drop table decisions", "only one `select`"),
        ("insert into decisions (line) values (1)", "only one `select`"),
        ("copy (select 1) to 'out.csv'", "only one `select`"),
        ("attach 'x.db'", "only one `select`"),
        ("set lock_configuration = false", "only one `select`"),
        ("install httpfs", "only one `select`"),
        ("select * from read_text('/etc/hostname')", "only the run directory"),
        ("select * from glob('/etc/*')", "only the run directory"),
        ("select * from read_csv('../other/config.json')", "only the run directory"),
        ("select list(a.range::varchar || b.range) from range(10000) a, range(100000) b", "memory"),
    ],
)
def test_forbidden_or_wrong_query_is_a_usage_error(
    control: PlantedRun, query: str, said: str
) -> None:
    with OpenRun(control.write()) as run, pytest.raises(UsageError, match=said) as caught:
        run.query(query, limit_s=20)
    assert caught.value.place and caught.value.next_step


def test_query_that_takes_too_long_is_stopped(control: PlantedRun) -> None:
    endless = "select count(*) from range(100000000000) a, range(1000) b"
    with OpenRun(control.write()) as run:
        with pytest.raises(UsageError, match=r"more than 0\.2 s"):
            run.query(endless, limit_s=0.2)
        assert run.query("select 1")[1] == [(1,)], "the connection works afterwards"


def test_opened_run_leaves_no_file_behind(
    control: PlantedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    control.files["artefacts/watcher_decisions.jsonl"] = "damaged\n"
    with OpenRun(control.write()) as run:
        run.load(TABLES)
    assert list(temporary.iterdir()) == []
