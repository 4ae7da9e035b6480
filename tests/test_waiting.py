"""A wait ends with the evidence, or fails with what was seen last."""

from __future__ import annotations

import pytest

from tests.waiting import wait_for


def test_first_true_value_is_returned() -> None:
    values = iter([None, 0, "", "found", "later"])
    assert wait_for("a value", lambda: next(values), pause_s=0) == "found"


def test_failure_names_what_was_awaited_and_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"a value; the last value was 0\nstate of things"):
        wait_for("a value", lambda: 0, 0.0, seen=lambda: "state of things")


def test_expected_exception_counts_as_not_yet_and_any_other_ends_the_wait() -> None:
    answers = iter([ConnectionRefusedError("down"), "up"])

    def look() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_for("an answer", look, pause_s=0, not_yet=OSError) == "up"
    with pytest.raises(ZeroDivisionError):
        wait_for("an answer", lambda: 1 / 0, not_yet=OSError)


def test_last_exception_is_named_at_the_limit() -> None:
    def refuse() -> bool:
        raise ConnectionRefusedError("down")

    with pytest.raises(AssertionError, match="down"):
        wait_for("an answer", refuse, 0.0, not_yet=OSError)
