"""The merge order and the exit codes."""

from __future__ import annotations

import itertools

import pytest

from chaos.checks.finding import Finding, Outcome
from chaos.checks.verdict import exit_code, merged
from chaos.record.history import Owner


def found(outcome: Outcome, owner: Owner = "product") -> Finding:
    return Finding(outcome=outcome, summary="", owner=owner, check=outcome, title=outcome)


@pytest.mark.parametrize(("word", "code"), [("invalid", 2), ("fail", 1)])
def test_a_run_that_could_not_begin_as_asked_is_a_usage_error(word: str, code: int) -> None:
    assert exit_code(word, stopped="usage", left_behind=False) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        (["pass"], "pass"),
        (["pass", "skipped"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["pass", "unverified"], "unverified"),
        (["inconclusive", "unverified"], "unverified"),
        (["pass", "skipped", "inconclusive", "unverified", "fail"], "fail"),
        (["pass", "invalid"], "invalid"),
        (["unverified", "invalid"], "invalid"),
        (["fail", "invalid"], "fail"),
        (["skipped"], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_the_worst_finding_decides_in_whatever_order(outcomes: list[Outcome], word: str) -> None:
    """pass < skipped < inconclusive/unverified < fail; invalid unless a failure is proven."""
    for order in itertools.permutations(outcomes):
        assert merged([found(outcome) for outcome in order])[0] == word


def test_a_failure_that_is_not_the_products_is_invalid() -> None:
    assert merged([found("pass"), found("fail", "harness")])[0] == "invalid"
    assert merged([found("pass"), found("fail", "infrastructure")])[0] == "invalid"


def test_passes_of_the_harness_alone_are_no_verdict_on_the_product() -> None:
    assert merged([found("pass", "harness")])[0] == "inconclusive"


@pytest.mark.parametrize(
    ("stopped", "left_behind", "code"),
    [
        ("complete", False, 1),
        ("interrupt", False, 130),
        ("guardrail", False, 5),
        ("interrupt", True, 6),
        ("guardrail", True, 6),
        ("complete", True, 6),
        ("error", False, 1),
        ("", False, 1),
    ],
)
def test_what_is_left_behind_comes_before_why_it_stopped_before_the_verdict(
    stopped: str, left_behind: bool, code: int
) -> None:
    assert exit_code("fail", stopped=stopped, left_behind=left_behind) == code


@pytest.mark.parametrize(
    ("word", "code"),
    [("pass", 0), ("fail", 1), ("inconclusive", 3), ("unverified", 3), ("invalid", 4)],
)
def test_each_verdict_has_its_exit_code(word: str, code: int) -> None:
    assert exit_code(word, stopped="complete", left_behind=False) == code  # type: ignore[arg-type]
