"""The policies file: defaults, tolerance, limits, and the last valid settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from agents.policies import BadPolicies, PolicyFile, default_document, parse


def test_a_new_file_has_the_settings_that_hold_without_a_file() -> None:
    assert parse(default_document({"every": 4}), {"every": 4}) == parse({}, {"every": 4})


def test_numbers_may_be_strings() -> None:
    """Some tools write numbers as strings."""
    parsed = parse({"llm": {"timeout_seconds": "3", "max_attempts": "2"}}, {})
    assert (parsed.llm.timeout_s, parsed.llm.max_attempts) == (3.0, 2)


def test_unknown_keys_are_ignored() -> None:
    """Other programs keep settings in the same file."""
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
def test_an_error_names_the_key_of_the_invalid_setting(document: Any, place: str) -> None:
    with pytest.raises(BadPolicies, match=place):
        parse(document, {})


def test_an_invalid_file_keeps_the_last_valid_settings(tmp_path: Path) -> None:
    """Half-written, invalid or removed: nothing changes until the file is valid again."""
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
