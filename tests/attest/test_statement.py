"""The statement's types and the JSON Schema say the same, and our own statements fit both."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import chaos.attest
from chaos.attest.statement import Statement, epoch_s, problem, time_text
from tests.attest.conftest import Signed
from tests.attest.gates import payload

SCHEMA = json.loads(
    (Path(chaos.attest.__file__).parent / "test_result.schema.json").read_text(encoding="utf-8")
)
HEX = "0" * 64
GOOD: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"digest": {"sha256": HEX}}],
    "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
    "predicate": {"result": "PASSED", "configuration": [{"uri": "pkg:a"}]},
}
# The example of the predicate's specification, shortened.
PUBLISHED: dict[str, Any] = {
    **GOOD,
    "subject": [{"digest": {"gitCommit": "d20ace7968ba43c0219f62d71334c1095bab1602"}}],
    "predicate": {
        "result": "PASSED",
        "configuration": [
            {
                "name": ".github/workflows/ci.yml",
                "downloadLocation": "https://example.org/ci.yml",
                "digest": {"gitBlob": "ebe4add40f63c3c98bc9b32ff1e736f04120b023"},
            }
        ],
        "url": "https://example.org/actions/runs/4425592351",
        "passedTests": ["build (3.7, ubuntu-latest, py)"],
        "warnedTests": [],
        "failedTests": [],
    },
}


def accepted(content: dict[str, Any]) -> bool:
    """What `chaos verify` says of the statement."""
    try:
        return problem(msgspec.convert(content, Statement)) == ""
    except msgspec.ValidationError:
        return False


def fits_schema(content: dict[str, Any]) -> bool:
    jsonschema = pytest.importorskip("jsonschema")
    validator: Any = jsonschema.Draft202012Validator(SCHEMA)
    return bool(validator.is_valid(content))


def changed(content: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    other = copy.deepcopy(content)
    change(other)
    return other


def test_published_example_and_unknown_fields_are_accepted() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    more = {**PUBLISHED, "new": 1, "predicate": {**PUBLISHED["predicate"], "more": [None]}}
    for content in (GOOD, PUBLISHED, more):
        assert accepted(content) and fits_schema(content)


WRONG: list[Callable[[dict[str, Any]], object]] = [
    lambda s: s.pop("_type"),
    lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
    lambda s: s.pop("subject"),
    lambda s: s.update(subject=[]),
    lambda s: s.update(subject={}),
    lambda s: s.update(subject=[{"name": "a"}]),
    lambda s: s.update(subject=[{"uri": "a"}]),
    lambda s: s.update(subject=[{"digest": {}}]),
    lambda s: s.update(subject=[{"digest": {"sha256": "ABCD"}}]),
    lambda s: s.update(subject=[{"digest": {"sha256": HEX.replace("0", "A")}}]),
    lambda s: s.update(subject=[{"digest": {"sha256": HEX + "\n"}}]),
    lambda s: s.update(subject=[{"digest": {"sha256": 3}}]),
    lambda s: s.update(subject=[{"digest": {"gitCommit": "12"}}]),
    lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"),
    lambda s: s.pop("predicate"),
    lambda s: s.update(predicate=[]),
    lambda s: s["predicate"].pop("result"),
    lambda s: s["predicate"].update(result="passed"),
    lambda s: s["predicate"].update(result=True),
    lambda s: s["predicate"].pop("configuration"),
    lambda s: s["predicate"].update(configuration=[{"name": "x"}]),
    lambda s: s["predicate"].update(configuration=[{"content": 3}]),
    lambda s: s["predicate"].update(configuration="x"),
    lambda s: s["predicate"].update(passedTests=[3]),
    lambda s: s["predicate"].update(url=None),
    lambda s: s["predicate"].update(chaosGate={}),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_shapes_are_refused_by_types_and_by_schema(number: int) -> None:
    content = changed(GOOD, WRONG[number])
    assert not accepted(content)
    assert not fits_schema(content)


def test_our_own_statement_fits_the_schema_with_our_field(signed: Signed) -> None:
    content = payload(signed.file.read_bytes())
    assert accepted(content) and fits_schema(content)
    for name in ("created", "expires", "measured", "verdict", "runs"):
        without = changed(content, lambda s: None)
        del without["predicate"]["chaosGate"][name]
        assert not accepted(without) and not fits_schema(without), name
    wrong = changed(content, lambda s: s["predicate"]["chaosGate"].update(expires="tomorrow"))
    assert not accepted(wrong) and not fits_schema(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.update(failedTests=["x"]), "says PASSED, and that 'x' failed"),
        (lambda p: p.update(result="FAILED"), "names no test that failed"),
        (lambda p: p["chaosGate"].update(verdict="NOT PROVEN"), "the gate is NOT PROVEN"),
        (lambda p: p["chaosGate"].update(expires="2020-01-01T00:00:00Z"), "before it was made"),
        (lambda p: p["chaosGate"].update(created="2027-02-30T00:00:00Z"), "must be times"),
    ],
)
def test_a_contradiction_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, signed: Signed
) -> None:
    content = changed(payload(signed.file.read_bytes()), lambda s: change(s["predicate"]))
    assert message in problem(msgspec.convert(content, Statement))


def test_time_is_read_as_it_was_written() -> None:
    assert time_text(0) == "1970-01-01T00:00:00Z"
    assert epoch_s(time_text(1_800_000_000.9)) == 1_800_000_000
    for text in ("", "2027-01-15", "2027-01-15T08:00:00+00:00", "2027-13-01T00:00:00Z", "x" * 99):
        assert epoch_s(text) is None
