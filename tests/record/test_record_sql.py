"""Records of a target: SQL over the daemon's own files, whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.record.daemon_sql import expanded
from chaos.record.database import Database, QueryError
from chaos.record.record_sql import Source, columns_of, decision_log, source_of
from chaos.runner.resolve import read_target


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


def rows(database: Database, folder: Path, sql: str) -> list[tuple[Any, ...]]:
    return database.query(expanded(database, folder, sql).sql)[1]


def write(path: Path, *entries: Any) -> None:
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))


def test_fields_of_a_plain_select_are_known_without_a_database() -> None:
    sql = """select line, a.b as request, status, -- , not_this
        case kind when 'x, y' then 'selfplay' end as kind, upper(z) as id
        from jsonl('log.jsonl')"""
    assert columns_of(sql) == {"line", "request", "status", "kind", "id"}
    log = decision_log(sql)
    assert (log.path, log.request, log.status, log.id) == ("log.jsonl", "a.b", "status", "")


def test_the_last_list_outside_of_parentheses_names_the_columns() -> None:
    sql = "with x as (select a as b from jsonl('l')) select b as request, 1 as id from x"
    assert columns_of(sql) == {"request", "id"}
    assert columns_of("select * from jsonl('l')") == frozenset()


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("jsonl('a.jsonl')", Source("jsonl", "a.jsonl")),
        ("LINES ( 'done/*.json' ) t", Source("lines", "done/*.json")),
        ("json('d''s.json' , 'a.b')", Source("json", "d's.json", "a.b")),
        ("t", Source()),
    ],
)
def test_first_file_of_a_record_is_what_its_evidence_refers_to(source: str, file: Source) -> None:
    assert source_of(f"select a as request from {source}") == file


def test_reference_says_every_column_that_its_checks_need() -> None:
    target = read_target("reference")[1]
    from chaos.checks.registry import CHECKS

    assert [key for check in CHECKS for key in check.says if not target.says(key)] == []
    assert target.decisions.request == "request_file"


def test_missing_and_nested_fields_are_null_or_text(database: Database, tmp_path: Path) -> None:
    write(tmp_path / "l", {"a": "x", "d": {"p": "q/r.json", "n": 3}, "f": True}, {"a": 7, "d": 5})
    sql = "select line, a, d.p as path, d.n, f, never, j.d.p as again from jsonl('l') as j"
    assert rows(database, tmp_path, sql) == [
        (1, "x", "q/r.json", "3", "true", None, "q/r.json"),
        (2, "7", None, None, None, None, None),
    ]


def test_two_schemas_in_one_log_are_told_apart(database: Database, tmp_path: Path) -> None:
    step = {"step": 1, "action": "proceed", "timestamp": "2026-01-01T00:00:00"}
    done = {"dispatch_type": "ch13", "status": "COMPLETED", "details": {"request_path": "a/b.json"}}
    write(tmp_path / "l", step, done)
    sql = """select parse_filename(details.request_path) as request, status
        from jsonl('l') where dispatch_type like 'ch13%'"""
    assert rows(database, tmp_path, sql) == [("b.json", "COMPLETED")]


def test_damaged_lines_are_left_out_and_listed(database: Database, tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b'{"a": 1}\n[2]\nnot JSON\n{"a": 4}\n{"a": 5')
    found = expanded(database, tmp_path, "select line, a from jsonl('l')")
    assert database.query(found.sql)[1] == [(1, "1"), (4, "4")]
    problems = [(row["line"], row["problem"]) for row in found.damaged["l"]]
    assert problems == [(2, "not a JSON object"), (3, "not a JSON object"), (5, "torn")]


def test_documents_lines_and_names_are_read(database: Database, tmp_path: Path) -> None:
    (tmp_path / "flat.json").write_text('[{"v": 1}, {"v": 2}]')
    (tmp_path / "one.json").write_text('{"list": {"of": [1]}, "v": "ü"}')
    (tmp_path / "x.log").write_text("first\nsecond\n")
    assert rows(database, tmp_path, "select line, v from json('flat.json')") == [(1, "1"), (2, "2")]
    assert rows(database, tmp_path, "select v, list.of from json('one.json')") == [("ü", "[1]")]
    assert rows(database, tmp_path, "select line, text from lines('*.log')") == [
        (1, "first"),
        (2, "second"),
    ]
    assert rows(database, tmp_path, "select name from files('*.json') order by name") == [
        ("flat.json",),
        ("one.json",),
    ]


def test_items_of_a_list_in_a_document_are_rows(database: Database, tmp_path: Path) -> None:
    document = {"pool": {"of": [{"i": 5, "values": [1, 2]}, {"i": 6}, 7]}, "other": 1}
    (tmp_path / "d.json").write_text(json.dumps(document))
    sql = "select line, i, values, entry from json('d.json', 'pool.of')"
    found = rows(database, tmp_path, sql)
    assert [row[:3] for row in found] == [(1, "5", "[1,2]"), (2, "6", None), (3, None, None)]
    assert found[2][3] == "7"
    for place in ("other", "pool", "pool.of.0", "no.such"):
        assert rows(database, tmp_path, f"select i from json('d.json', '{place}')") == []


@pytest.mark.parametrize(
    "content", [b'{"a": ', b'{"of": [1, 2', b"[1, 2", b"", b'["\xff"]', b"[" * 9999]
)
def test_damaged_document_has_no_rows(database: Database, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.json").write_bytes(content)
    assert rows(database, tmp_path, "select a from json('d.json')") == []
    assert rows(database, tmp_path, "select a from json('d.json', 'of')") == []


def test_document_of_many_items_needs_little_memory(database: Database, tmp_path: Path) -> None:
    """200,000 draws: DuckDB alone would need more than it may have."""
    item = b'{"value": 5, "source": "synthetic_bootstrap", "date": "2026-01-01", "of": [1, 2, 3]}'
    (tmp_path / "d.json").write_bytes(b'{"draws":\n [' + b",\n".join([item] * 200_000) + b"]}")
    sql = "select count(*), sum(cast(value as int)) from json('d.json', 'draws')"
    assert rows(database, tmp_path, sql) == [(200_000, 1_000_000)]


@pytest.mark.parametrize("function", ["jsonl", "json", "lines", "files"])
def test_files_that_are_not_there_have_no_rows(
    database: Database, tmp_path: Path, function: str
) -> None:
    column = {"lines": "text", "files": "name"}.get(function, "a")
    assert rows(database, tmp_path, f"select {column} from {function}('none')") == []


@pytest.mark.parametrize(
    "sql",
    [
        "select a from jsonl('../l')",
        "select a from jsonl('/etc/passwd')",
        "select a from jsonl(a)",
        "select a from jsonl('l', 'x')",
        "select a from json('l', x)",
        "select a from",
        "drop table x",
        "select content from read_text('/etc/passwd')",
    ],
)
def test_what_is_wrong_or_reaches_out_is_refused(
    database: Database, tmp_path: Path, sql: str
) -> None:
    with pytest.raises(QueryError):
        rows(database, tmp_path, sql)
