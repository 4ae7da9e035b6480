"""A sweep as JUnit: a test case for each break. Only a proven failure is a `failure`."""

from xml.etree import ElementTree as ET

from chaos.base.printable import printable
from chaos.report.junit import case_element, document, suite_element
from chaos.sweep.state import Sweep


def sweep_junit(sweep: Sweep) -> str:
    """The text of junit.xml."""
    return document([sweep_suite(sweep)])


def sweep_suite(sweep: Sweep, name: str = "sweep", number: int = 0) -> ET.Element:
    """The suite: an `error` for whatever else than a failure keeps the exit code from 0.

    `number` counts the suites of a document from 0.
    """
    points = {point.number: point for point in sweep.points}
    cases = []
    for result in sorted(sweep.results, key=lambda r: (r.column, r.point)):
        point = points[result.point]
        title = f"{result.column} at {point.text} nth {point.nth}"
        cases.append(case_element(printable(title), f"chaos.sweep.{result.kind}"))
        if result.outcome != "survived":
            tag = "failure" if result.outcome == "failed" else "error"
            message = printable(f"{result.outcome}: {'; '.join(result.findings) or result.reason}")
            ET.SubElement(cases[-1], tag, {"message": message, "type": f"sweep.{tag}"})
    if sweep.state != "complete":
        cases.append(case_element("the sweep is complete", "chaos.sweep"))
        message = printable(f"{sweep.state}: {sweep.reason or 'not all breaks were tried'}")
        ET.SubElement(cases[-1], "error", {"message": message, "type": "sweep.error"})
    return suite_element(
        name,
        number,
        cases,
        timestamp=sweep.created.removesuffix("Z"),
        lasted_s=round(sum(result.lasted_s for result in sweep.results), 3),
        properties={
            "sweep_id": sweep.sweep_id,
            "seed": str(sweep.asked.seed),
            "kinds": " ".join(sweep.asked.kinds),
            "points": str(len(sweep.points)),
        },
        notes=[f"only one control had it: {text}" for text in sweep.differs],
    )
