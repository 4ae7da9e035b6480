"""JUnit XML: one test suite a run, one test case a finding, and one for the run as a whole.

What CI shows as failed is a failure of the product; whatever else keeps a run from being a pass
is an error, so that no reader of the file can be green where the exit code is not. Has the
elements and attributes that both common schemas know, in the order that the stricter one asks
for. Knows nothing of where it is written.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from chaos.base.printable import printable, value_text
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.report.stored import Stored, identity
from chaos.report.words import MEANING

_TEXT_MAX = 20_000  # characters of the text of one case


def junit_text(runs: Sequence[Stored]) -> str:
    """The document over `runs`, one suite each, in their order."""
    root = ET.Element("testsuites")
    for number, stored in enumerate(runs):
        root.append(suite(stored, number))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def suite(stored: Stored, number: int = 0) -> ET.Element:
    """The suite of one run; `number` counts the suites of a document from 0."""
    verdict = stored.verdict
    cases = [_case(verdict, finding) for finding in verdict.findings]
    cases.append(_whole(verdict))
    began = datetime.fromtimestamp(stored.began_epoch_s or 0.0, UTC)
    element = ET.Element(
        "testsuite",
        {
            "name": printable(f"{verdict.soak} {verdict.profile}".strip()),
            "id": str(number),
            "package": "chaos",
            "timestamp": began.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": "localhost",  # a machine's name is nobody's business
            "tests": str(len(cases)),
            "failures": str(_count(cases, "failure")),
            "errors": str(_count(cases, "error")),
            "skipped": str(_count(cases, "skipped")),
            "time": f"{verdict.lasted_s:.3f}",
        },
    )
    properties = ET.SubElement(element, "properties")
    for name, value in identity(stored).items():
        ET.SubElement(properties, "property", {"name": name, "value": printable(value)})
    element.extend(cases)
    notes = [f"reproduce: {verdict.reproduce}", *verdict.notes]
    ET.SubElement(element, "system-out").text = printable("\n".join(notes))
    ET.SubElement(element, "system-err")
    return element


def _count(cases: Sequence[ET.Element], tag: str) -> int:
    return sum(case.find(tag) is not None for case in cases)


def _element_of(finding: Finding) -> str:
    """The element that says how a case ended; "" for a pass."""
    match finding.outcome:
        case "pass":
            return ""
        case "skipped":
            return "skipped"
        case "fail" if finding.owner == "product":
            return "failure"
    return "error"


def _case(verdict: Verdict, finding: Finding) -> ET.Element:
    case = ET.Element(
        "testcase",
        {
            "name": printable(finding.title or finding.check),
            "classname": printable(f"chaos.{verdict.soak}.{finding.check}"),
            "time": "0.000",
        },
    )
    if tag := _element_of(finding):
        told = ET.SubElement(case, tag, {"message": printable(finding.summary)})
        if tag != "skipped":
            told.set("type", f"{finding.owner}.{finding.outcome}")
        told.text = printable(_details(finding))[:_TEXT_MAX]
    return case


def _details(finding: Finding) -> str:
    lines = [
        f"outcome: {finding.outcome}, owner: {finding.owner}, asked by: {finding.origin}",
        f"measured: {value_text(finding.measured) or '-'}, "
        f"limit: {value_text(finding.limit) or '-'}",
        *(f"{evidence.ref} {evidence.text}" for evidence in finding.evidence),
    ]
    more = finding.evidence_count - len(finding.evidence)
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def _whole(verdict: Verdict) -> ET.Element:
    """The run as a whole: not a pass unless its exit code is 0, whatever the findings say."""
    case = ET.Element(
        "testcase",
        {
            "name": "Verdict",
            "classname": printable(f"chaos.{verdict.soak}.verdict"),
            "time": f"{verdict.lasted_s:.3f}",
        },
    )
    if verdict.exit_code != 0:
        message = f"{MEANING[verdict.verdict]}: {verdict.reason} (exit code {verdict.exit_code})"
        tag = "failure" if verdict.exit_code == 1 else "error"
        told = ET.SubElement(case, tag, {"message": printable(message)})
        told.set("type", f"verdict.{verdict.verdict}")
        told.text = printable("\n".join([f"ended: {verdict.stopped}", *verdict.notes]))
    return case
