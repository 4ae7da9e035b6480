"""The JUnit file is valid, and red wherever the exit code is not 0."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from chaos.checks.finding import Evidence, Finding
from chaos.report.junit import junit_text
from chaos.report.stored import Stored
from tests.checks.history_builder import PlantedRun
from tests.report.hostile import hostile_run, judged

COUNTS = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def parsed(*runs: Stored) -> ET.Element:
    return ET.fromstring(junit_text(runs).encode())


def with_findings(stored: Stored, findings: list[Finding], exit_code: int) -> Stored:
    verdict = msgspec.structs.replace(stored.verdict, findings=findings, exit_code=exit_code)
    return Stored(stored.run, verdict, stored.provenance, stored.began_epoch_s)


@pytest.fixture
def healthy(tmp_path: Path) -> Stored:
    return judged(PlantedRun(tmp_path / "healthy"))


def assert_valid(root: ET.Element) -> None:
    """What the two common schemas ask for, the stricter rule of both."""
    assert root.tag == "testsuites"
    for number, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert suite.get("id") == str(number)
        for name in ("name", "package", "hostname"):
            assert suite.get(name)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
        assert re.fullmatch(r"\d+\.\d+", suite.get("time", ""))
        tags = [child.tag for child in suite]
        cases = tags.count("testcase")
        assert tags == ["properties", *["testcase"] * cases, "system-out", "system-err"]
        for attribute, tag in COUNTS.items():
            found = len(suite.findall(".//testcase" if tag == "testcase" else f"testcase/{tag}"))
            assert suite.get(attribute) == str(found)
        for entry in suite.findall("properties/property"):
            assert set(entry.attrib) == {"name", "value"}
        for case in suite.findall("testcase"):
            assert case.get("name")
            assert case.get("classname")
            assert re.fullmatch(r"\d+\.\d+", case.get("time", ""))
            assert len(case) <= 1
            for told in case:
                assert told.tag in ("failure", "error", "skipped")
                assert set(told.attrib) == {"message"} | (
                    {"type"} - {told.tag} if told.tag != "skipped" else set()
                )


def test_a_healthy_run_is_one_green_suite_with_its_identity(healthy: Stored) -> None:
    root = parsed(healthy)
    assert_valid(root)
    (suite,) = root
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert properties["seed"] == "7"
    assert properties["schedule_hash"] == healthy.verdict.schedule_hash
    assert properties["reproduce"] == healthy.verdict.reproduce
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names == [*(f.title for f in healthy.verdict.findings), "Verdict"]


def test_several_runs_are_several_suites(healthy: Stored, tmp_path: Path) -> None:
    root = parsed(healthy, judged(hostile_run(tmp_path / "hostile")))
    assert_valid(root)
    assert [suite.get("id") for suite in root] == ["0", "1"]


@pytest.mark.parametrize(
    ("outcome", "owner", "tag"),
    [
        ("pass", "product", None),
        ("skipped", "product", "skipped"),
        ("fail", "product", "failure"),
        ("fail", "harness", "error"),
        ("fail", "infrastructure", "error"),
        ("invalid", "harness", "error"),
        ("inconclusive", "product", "error"),
        ("unverified", "harness", "error"),
    ],
)
def test_only_a_proven_failure_of_the_product_is_a_failure(
    healthy: Stored, outcome: str, owner: str, tag: str | None
) -> None:
    """What leaves the question open is an error: no reader may take it for a pass."""
    finding = msgspec.convert(
        {"outcome": outcome, "owner": owner, "summary": "so", "check": "c", "title": "T"}, Finding
    )
    root = parsed(with_findings(healthy, [finding], 0))
    assert_valid(root)
    case = root[0].findall("testcase")[0]
    assert [child.tag for child in case] == ([tag] if tag else [])


@pytest.mark.parametrize(
    ("exit_code", "tag"), [(1, "failure"), (3, "error"), (5, "error"), (6, "error"), (130, "error")]
)
def test_an_exit_code_other_than_0_is_never_green(
    healthy: Stored, exit_code: int, tag: str
) -> None:
    """Also when every finding passes: a guardrail, an interruption, something left behind."""
    root = parsed(with_findings(healthy, healthy.verdict.findings, exit_code))
    assert_valid(root)
    assert len(root[0].findall(f"testcase/{tag}")) == 1


def test_foreign_bytes_stay_text(tmp_path: Path) -> None:
    root = parsed(judged(hostile_run(tmp_path / "hostile")))
    assert_valid(root)
    text = "".join(root.itertext()) + "".join(v for e in root.iter() for v in e.attrib.values())
    assert "<script>" in text
    assert "<i>llm\\x01</i>" in text
    assert not re.search("[\x00-\x08\x0b-\x1f]", text)


def test_long_evidence_is_bounded(healthy: Stored) -> None:
    evidence = [Evidence("logs/watcher.log:1", "x" * 100_000)]
    finding = Finding(outcome="fail", summary="s", check="c", title="T", evidence=evidence)
    assert len(junit_text([with_findings(healthy, [finding], 1)])) < 40_000


def test_the_same_run_gives_the_same_bytes(healthy: Stored) -> None:
    assert junit_text([healthy]) == junit_text([healthy])
