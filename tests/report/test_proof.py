"""A fault for people: what was done, and what proves it, in sentences and a table."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from chaos.checks.verdict import FaultOutcome
from chaos.report.proof import proof_of, value_of

ANSWERED = {"outcome": "answered", "status": 200, "bytes": 170, "took_ms": 2.9}
TIMEOUT = {"outcome": "timeout", "status": None, "bytes": 0, "took_ms": 1004.7}
FAULT = FaultOutcome(
    fault_id="f001",
    name="llm_timeout",
    state="closed",
    injected_s=16.0,
    proven_s=17.0,
    recovering_s=36.0,
    recovered_s=36.5,
    effect={"attempts": 1, "direct_before": ANSWERED, "through_proxy": TIMEOUT, "cuts_llm": True},
    recovery={"direct_after": ANSWERED, "through_proxy": ANSWERED, "undone": True},
    ref="history.jsonl:1",
)


def test_the_sentence_says_what_when_how_long_and_what_proves_it() -> None:
    proof = proof_of(FAULT, "the LLM server hangs")
    assert proof.became == "recovered"
    assert proof.done == (
        "llm_timeout (the LLM server hangs) was injected at 16.0 s and held 20.0 s; its effect was "
        "proven at 17.0 s (through the proxy: timeout, directly: answered), its recovery within "
        "0.5 s of its undo."
    )
    assert proof.afterwards == "Afterwards, through the proxy: answered, directly: answered."


def test_the_table_has_a_row_for_each_path_and_a_column_for_each_time() -> None:
    rows = {row.label: row.cells for row in proof_of(FAULT, "").rows}
    assert list(rows)[:2] == ["directly", "through the proxy"]
    answered = "answered, status 200, 170 bytes, took 2.9 ms"
    assert rows["directly"] == ([], [answered], [answered])
    assert rows["through the proxy"] == ([], ["timeout, 0 bytes, took 1005 ms"], [answered])
    assert rows["cuts llm"] == ([], ["yes"], [])
    assert "attempts" not in rows


def test_a_measurement_before_the_fault_stands_in_the_first_column() -> None:
    effect = {"free_mb": 0.0, "free_mb_before": 254.578, "write": {"outcome": "ENOSPC"}}
    recovery = {"free_mb": 254.5, "free_mb_at_end": 0.1, "write": {"outcome": "ok"}}
    proof = proof_of(replace(FAULT, effect=effect, recovery=recovery), "")
    rows = {row.label: row.cells for row in proof.rows}
    assert proof.shows_before
    assert rows["free mb"] == (["254.6 MiB"], ["0 MiB", "0.1 MiB"], ["254.5 MiB"])
    assert rows["write"] == ([], ["ENOSPC"], ["ok"])


@pytest.mark.parametrize(
    ("changes", "became", "words"),
    [
        ({"injected_s": None, "state": "unavailable"}, "not injected", "not injected: unavailable"),
        ({"proven_s": None}, "effect not proven", "its effect was not proven"),
        ({"recovered_s": None}, "recovery not proven", "its recovery was not proven"),
        ({"recovering_s": None, "recovered_s": None}, "recovery not proven", "never undone"),
    ],
)
def test_what_did_not_happen_is_said(changes: dict[str, Any], became: str, words: str) -> None:
    proof = proof_of(replace(FAULT, **changes), "")
    assert proof.became == became
    assert words in proof.done


def test_a_fault_that_measured_nothing_has_no_table() -> None:
    proof = proof_of(replace(FAULT, effect={}, recovery={}), "")
    assert proof.rows == []
    assert proof.afterwards == ""


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("took_ms", 2.0, "2 ms"),
        ("ballast_mb", 254.574, "254.6 MiB"),
        ("direct_kbyte_s", 12.5, "12.5 kB/s"),
        ("healthy", True, "yes"),
        ("exit_code", None, "none"),
        ("decided", [], "none"),
        ("stop", {"took_s": 0.4, "clean": True}, "took_s 0.4, clean True"),
    ],
)
def test_values_have_their_declared_units(key: str, value: Any, text: str) -> None:
    assert value_of(key, value) == text


def test_where_both_paths_answer_the_sentence_names_the_difference() -> None:
    direct = {"ended": "complete", "content": "no", "status": 200, "took_ms": 839.1}
    proxy = {"ended": "complete", "content": "Sure! Here is", "status": 200, "took_ms": 458.2}
    effect = {"direct_before": direct, "through_proxy": proxy}
    done = proof_of(replace(FAULT, effect=effect), "").done
    assert '(through the proxy: "Sure! Here is", directly: "no")' in done


def test_the_sentence_names_the_path_that_was_taken() -> None:
    effect = {"children_now": 0, "path_taken": "process 43 ended by signal 9", "watched_s": 1.0}
    done = proof_of(replace(FAULT, effect=effect), "").done
    assert "(path taken: process 43 ended by signal 9)" in done
