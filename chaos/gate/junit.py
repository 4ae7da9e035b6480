"""All runs of a gate as one JUnit document: a suite per run, and a suite for the gate."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from chaos.base.printable import printable
from chaos.gate.state import GateState, GateVerdict
from chaos.report.junit import suite
from chaos.report.stored import Stored


def gate_junit(state: GateState, verdict: GateVerdict, runs: Mapping[str, Stored]) -> str:
    """Return the document. `runs` maps the name of each finished step to its run."""
    root = ET.Element("testsuites")
    for number, (name, stored) in enumerate(runs.items()):
        element = suite(stored, number)
        element.set("name", name)
        root.append(element)
    root.append(_gate_suite(state, verdict, len(runs)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _gate_suite(state: GateState, verdict: GateVerdict, number: int) -> ET.Element:
    """Return the suite: an error case per run that is not finished, and a case for the verdict."""
    cases = []
    for step in state.steps:
        if step.state != "done":
            case = ET.Element("testcase", _case_attributes(step.name))
            ET.SubElement(case, "error", {"message": "not run", "type": "gate.not_run"})
            cases.append(case)
    case = ET.Element("testcase", _case_attributes("Gate verdict"))
    if verdict.exit_code != 0:
        tag = "failure" if verdict.verdict == "NEEDS FIXES" else "error"
        message = printable(f"{verdict.verdict}: {verdict.reason} (exit {verdict.exit_code})")
        ET.SubElement(case, tag, {"message": message, "type": f"gate.{tag}"})
    cases.append(case)
    element = ET.Element(
        "testsuite",
        {
            "name": "gate",
            "id": str(number),
            "package": "chaos",
            "timestamp": state.created.removesuffix("Z"),
            "hostname": "localhost",
            "tests": str(len(cases)),
            "failures": str(sum(case.find("failure") is not None for case in cases)),
            "errors": str(sum(case.find("error") is not None for case in cases)),
            "skipped": "0",
            "time": "0.000",
        },
    )
    properties = ET.SubElement(element, "properties")
    for name, value in (
        ("gate_id", state.gate_id),
        ("profile", state.request.profile),
        ("faults", " ".join(state.request.faults)),
        ("seed", str(state.request.seed)),
        ("verdict", verdict.verdict),
    ):
        ET.SubElement(properties, "property", {"name": name, "value": printable(value)})
    element.extend(cases)
    ET.SubElement(element, "system-out").text = printable("\n".join(verdict.notes))
    ET.SubElement(element, "system-err")
    return element


def _case_attributes(name: str) -> dict[str, str]:
    return {"name": printable(name), "classname": "chaos.gate", "time": "0.000"}
