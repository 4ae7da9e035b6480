"""The policies file: defaults, tolerance, limits, and the last good settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from agents.policies import BadPolicies, PolicyFile, default_document, parse


def test_the_default_document_means_the_defaults() -> None:
    """What is written for a missing file is what holds without a file."""
    assert parse(default_document({"every": 4}), {"every": 4}) == parse({}, {"every": 4})


def test_numbers_may_come_as_text() -> None:
    """A tool that writes numbers as strings is understood."""
    parsed = parse({"llm": {"timeout_seconds": "3", "max_attempts": "2"}}, {})
    assert (parsed.llm.timeout_s, parsed.llm.max_attempts) == (3.0, 2)


def test_unknown_keys_are_left_alone() -> None:
    """Settings of other programs in the same file do no harm."""
    assert parse({"test_mode": True, "future": {"x": 1}}, {}) == parse({}, {})


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "the file"),
        ({"llm": 3}, "llm"),
        ({"llm": {"timeout_seconds": "soon"}}, "llm.timeout_seconds"),
        ({"llm": {"timeout_seconds": 0}}, "llm.timeout_seconds"),
        ({"llm": {"timeout_seconds": float("nan")}}, "llm.timeout_seconds"),
        ({"llm": {"max_attempts": True}}, "llm.max_attempts"),
        ({"llm": {"endpoint": "nowhere"}}, "llm.endpoint"),
        ({"llm": {"endpoint": "h:99999"}}, "llm.endpoint"),
        ({"poll_interval_seconds": -1}, "poll_interval_seconds"),
        ({"triggers": []}, "triggers"),
    ],
)
def test_a_bad_setting_is_named(document: Any, place: str) -> None:
    """The complaint says which key is wrong."""
    with pytest.raises(BadPolicies, match=place):
        parse(document, {})


def test_a_bad_file_keeps_the_last_good_settings(tmp_path: Path) -> None:
    """Half-written, wrong or removed: nothing changes until the file is good again."""
    policies = PolicyFile(tmp_path, {})
    policies.create_if_missing()
    for number, text in enumerate(
        [json.dumps({"poll_interval_seconds": 7}), '{"poll_', '{"poll_interval_seconds": -1}']
    ):
        policies.path.write_text(text)
        os.utime(policies.path, ns=(number, number))
        policies.reload()
        assert policies.current.poll_interval_s == 7
    policies.path.unlink()
    policies.reload()
    assert policies.current.poll_interval_s == 7
    policies.path.write_text(json.dumps({"poll_interval_seconds": 8}))
    policies.reload()
    assert policies.current.poll_interval_s == 8
