"""What is read from the text of a target's `select`, without a database."""

from __future__ import annotations

import pytest

from chaos.record.record_sql import DrawLog, Source, decision_log, draw_log, with_line

_PLAIN = "select a.b as request, status, fell as fallback from jsonl('log.jsonl')"


def test_status_is_counted_live_only_where_each_line_is_a_decision() -> None:
    assert decision_log(_PLAIN).status == "status"
    assert decision_log(_PLAIN).fallback == "fell"
    picked = decision_log(f"{_PLAIN} where kind = 'request'")
    assert (picked.path, picked.request) == ("log.jsonl", "a.b")
    assert picked.status == picked.fallback == ""


def test_line_is_added_to_a_plain_select() -> None:
    assert with_line(f"{_PLAIN} where kind = 'x'").startswith("select line, a.b as request")


@pytest.mark.parametrize(
    "sql",
    [
        "select line, request from jsonl('log.jsonl')",
        "select request from files('done/*')",
        "select distinct request from jsonl('log.jsonl')",
        "select request, max(at) as ended_at from jsonl('log.jsonl') group by request",
        "select request from (select request from jsonl('log.jsonl'))",
        "with l as (select request from jsonl('log.jsonl')) select request from l",
    ],
)
def test_other_selects_stay_as_they_are(sql: str) -> None:
    assert with_line(sql) == sql


def test_draws_are_counted_live_where_each_entry_of_the_file_is_one() -> None:
    found = draw_log("select v as value, o.of as source from json('h.json', 'a.b')")
    assert found == DrawLog(Source("json", "h.json", "a.b"), "v", "o.of")
    assert draw_log("select v as value from jsonl('h.jsonl')").source == Source("jsonl", "h.jsonl")


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "select v as value from json('h.json') where v > 0",
        "select unnest(cast(vs as json[])) as value from json('h.json')",
        "select value from (select value from json('h.json'))",
        "select v as value from json('h.json') limit 5",
        "select text as value from lines('h.txt')",
    ],
)
def test_draws_that_a_query_chooses_are_not_counted_live(sql: str) -> None:
    assert draw_log(sql) == DrawLog()
