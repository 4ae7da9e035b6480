"""JUnit XML: a test suite per run, with a test case per finding and one for the whole run.

A failure of the product is a `failure`. Any other reason for which a run did not pass is an
`error`, so the file never shows success where the exit code does not. Elements, attributes and
their order follow the stricter of the two common schemas. Must not know where the text is written.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from chaos.base.printable import printable, value_text
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.report.stored import Stored, identity
from chaos.report.words import MEANING

_TEXT_MAX = 20_000  # characters of the text of one case


def junit_text(runs: Sequence[Stored]) -> str:
    """The document of `runs`, a suite each."""
    return document([suite(stored, number) for number, stored in enumerate(runs)])


def document(suites: Sequence[ET.Element]) -> str:
    """The text of a document with these suites."""
    root = ET.Element("testsuites")
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def suite(stored: Stored, number: int = 0) -> ET.Element:
    """The suite of one run. `number` counts the suites of a document from 0."""
    verdict = stored.verdict
    began = datetime.fromtimestamp(stored.began_epoch_s or 0.0, UTC)
    return suite_element(
        f"{verdict.soak} {verdict.profile}".strip(),
        number,
        [*(_case(verdict, finding) for finding in verdict.findings), _whole(verdict)],
        timestamp=began.strftime("%Y-%m-%dT%H:%M:%S"),
        lasted_s=verdict.lasted_s,
        properties=identity(stored),
        notes=[f"reproduce: {verdict.reproduce}", *verdict.notes],
    )


def suite_element(
    name: str,
    number: int,
    cases: Sequence[ET.Element],
    *,
    timestamp: str,
    lasted_s: float,
    properties: Mapping[str, str],
    notes: Sequence[str],
) -> ET.Element:
    """A suite of `cases`, with the counts of their outcomes. `timestamp`: UTC, without a zone."""
    counts = {
        tag: str(sum(case.find(tag) is not None for case in cases))
        for tag in ("failure", "error", "skipped")
    }
    element = ET.Element(
        "testsuite",
        {
            "name": printable(name),
            "id": str(number),
            "package": "chaos",
            "timestamp": timestamp,
            "hostname": "localhost",  # the name of the machine stays private
            "tests": str(len(cases)),
            "failures": counts["failure"],
            "errors": counts["error"],
            "skipped": counts["skipped"],
            "time": f"{lasted_s:.3f}",
        },
    )
    parent = ET.SubElement(element, "properties")
    for key, value in properties.items():
        ET.SubElement(parent, "property", {"name": key, "value": printable(value)})
    element.extend(cases)
    ET.SubElement(element, "system-out").text = printable("\n".join(notes))
    ET.SubElement(element, "system-err")
    return element


def case_element(name: str, classname: str, lasted_s: float = 0.0) -> ET.Element:
    """A test case that has passed; a child element says otherwise."""
    return ET.Element(
        "testcase",
        {"name": printable(name), "classname": printable(classname), "time": f"{lasted_s:.3f}"},
    )


def _element_of(finding: Finding) -> str:
    """The element for the outcome of a case; "" for a pass."""
    match finding.outcome:
        case "pass":
            return ""
        case "skipped":
            return "skipped"
        case "fail" if finding.owner == "product":
            return "failure"
    return "error"


def _case(verdict: Verdict, finding: Finding) -> ET.Element:
    classname = f"chaos.{verdict.soak}.{finding.check}"
    case = case_element(finding.title or finding.check, classname)
    if tag := _element_of(finding):
        outcome = ET.SubElement(case, tag, {"message": printable(finding.summary)})
        if tag != "skipped":
            outcome.set("type", f"{finding.owner}.{finding.outcome}")
        outcome.text = printable(_details(finding))[:_TEXT_MAX]
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
    """The case of the whole run: it passes only if the exit code is 0."""
    case = case_element("Verdict", f"chaos.{verdict.soak}.verdict", verdict.lasted_s)
    if verdict.exit_code != 0:
        message = f"{MEANING[verdict.verdict]}: {verdict.reason} (exit code {verdict.exit_code})"
        tag = "failure" if verdict.exit_code == 1 else "error"
        outcome = ET.SubElement(case, tag, {"message": printable(message)})
        outcome.set("type", f"verdict.{verdict.verdict}")
        outcome.text = printable("\n".join([f"ended: {verdict.stopped}", *verdict.notes]))
    return case
