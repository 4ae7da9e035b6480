"""A campaign as JUnit: a test case for each run. Only proof against the Watcher is a `failure`."""

from xml.etree import ElementTree as ET

from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.campaign.result import Result, Row
from chaos.report.junit import case_element, document, suite_element


def campaign_junit(result: Result) -> str:
    """The text of junit.xml."""
    cases = [_case(row) for row in result.rows]
    notes = [f"attempts of run {row.entry.index} disagree" for row in result.disagreeing]
    suite = suite_element(
        "campaign",
        0,
        cases,
        timestamp=result.campaign.created.removesuffix("Z"),
        lasted_s=round(sum(row.counts.attempt.lasted_s for row in result.rows if row.counts), 3),
        properties={"plan": result.campaign.plan, "runs": str(len(result.rows))},
        notes=[*notes, *(f"reproduce: {row.entry.command}" for row in result.worst)],
    )
    return document([suite])


def _case(row: Row) -> ET.Element:
    made = row.counts
    lasted_s = made.attempt.lasted_s if made else 0.0
    name = f"{row.entry.index} {row.entry.title}"
    case = case_element(name, f"chaos.campaign.{row.entry.fault}", lasted_s)
    if made is None:
        ET.SubElement(case, "error", {"message": "not made", "type": "campaign.missing"})
    elif made.attempt.exit_code != ExitCode.PASS:
        proven = made.attempt.verdict == "fail"
        tag = "failure" if proven and made.attempt.exit_code == ExitCode.FAIL else "error"
        message = f"{row.word}: {'; '.join(row.failed) or made.attempt.reason}"
        ET.SubElement(case, tag, {"message": printable(message), "type": f"campaign.{tag}"})
    return case
