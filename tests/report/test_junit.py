"""The JUnit file is valid by its schema, and has a failure or error if the exit code is not 0."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
import xmlschema

from chaos.checks.finding import Evidence, Finding
from chaos.report.junit import junit_text
from chaos.report.stored import Stored
from tests.checks.history_builder import PlantedRun
from tests.report.hostile import hostile_run, judged

COUNTS = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
HASHES = {"git_revision": "4f" * 20, "model_sha256": "a1" * 32}
SCHEMA = Path(__file__).with_name("junit.xsd")


@cache
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMA, allow="local")


def refusals(document: str) -> list[str]:
    """The errors that the schema finds in `document`."""
    return [str(error.reason) for error in schema().iter_errors(document)]


def parsed(*runs: Stored) -> ET.Element:
    """The parsed document. Asserts that the schema and its counts are right."""
    document = junit_text(runs)
    assert refusals(document) == []
    root = ET.fromstring(document.encode())
    for number, suite in enumerate(root):
        assert suite.get("id") == str(number)
        for attribute, tag in COUNTS.items():
            found = len(suite.findall(".//testcase" if tag == "testcase" else f"testcase/{tag}"))
            assert suite.get(attribute) == str(found)
    return root


def with_findings(stored: Stored, findings: list[Finding], exit_code: int) -> Stored:
    verdict = msgspec.structs.replace(stored.verdict, findings=findings, exit_code=exit_code)
    return Stored(stored.run, verdict, stored.provenance, stored.began_epoch_s)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    run = PlantedRun(tmp_path_factory.mktemp("run") / "healthy")
    assets = {"model_name": "model.gguf", "model_sha256": HASHES["model_sha256"]}
    about = {"git": {"revision": HASHES["git_revision"]}, "assets": assets}
    run.files["provenance.json"] = json.dumps(about)
    return judged(run)


def test_a_healthy_run_is_one_passed_suite_with_its_identity(healthy: Stored) -> None:
    root = parsed(healthy)
    (suite,) = root
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert properties["seed"] == "7"
    assert properties["schedule_hash"] == healthy.verdict.schedule_hash
    assert properties["reproduce"] == healthy.verdict.reproduce
    assert {key: properties[key] for key in HASHES} == HASHES
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names == [*(f.title for f in healthy.verdict.findings), "Verdict"]


def test_several_runs_are_several_suites(healthy: Stored, tmp_path: Path) -> None:
    root = parsed(healthy, judged(hostile_run(tmp_path / "hostile")))
    assert [suite.get("id") for suite in root] == ["0", "1"]


@pytest.mark.parametrize(
    ("here", "instead"),
    [
        ("<properties>", "<system-out/><properties>"),
        ("<properties>", '<properties><property name="seed" value="8" />'),
        ('<property name="seed" value="7" />', '<property name="seed" />'),
        ("</testcase>", "<error type='x'/></testcase>"),
        (' type="product.fail"', ""),
        ("failure", "broken"),
        ('tests="', 'tests="-'),
        ('timestamp="2026-01-01T00:00:00"', 'timestamp="2026-01-01T00:00:00Z"'),
        ('timestamp="2026-01-01T00:00:00"', 'timestamp="2026-02-30T00:00:00"'),
        ('time="0.000"', 'time="0,000"'),
        ('hostname="localhost"', ""),
        ('name="Verdict"', 'name=""'),
        ("<testcase ", "<testcase colour='red' "),
        ('id="1"', 'id="0"'),
    ],
)
def test_the_schema_rejects_an_invalid_report(here: str, instead: str, healthy: Stored) -> None:
    """The schema finds each planted defect in a document that is valid without it."""
    failed = Finding(outcome="fail", summary="s", check="c", title="T")
    document = junit_text([with_findings(healthy, [failed], 1), healthy])
    assert here in document and refusals(document) == []
    assert refusals(document.replace(here, instead))


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
    """An undecided finding is an error, so that no reader takes it for a pass."""
    finding = msgspec.convert(
        {"outcome": outcome, "owner": owner, "summary": "so", "check": "c", "title": "T"}, Finding
    )
    root = parsed(with_findings(healthy, [finding], 0))
    case = root[0].findall("testcase")[0]
    assert [child.tag for child in case] == ([tag] if tag else [])


@pytest.mark.parametrize(
    ("exit_code", "tag"), [(1, "failure"), (3, "error"), (5, "error"), (6, "error"), (130, "error")]
)
def test_an_exit_code_other_than_0_is_never_a_passed_suite(
    healthy: Stored, exit_code: int, tag: str
) -> None:
    """Also if every finding passes: a guardrail, an interruption, leftovers."""
    root = parsed(with_findings(healthy, healthy.verdict.findings, exit_code))
    assert len(root[0].findall(f"testcase/{tag}")) == 1


def test_foreign_bytes_stay_text(tmp_path: Path) -> None:
    root = parsed(judged(hostile_run(tmp_path / "hostile")))
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
