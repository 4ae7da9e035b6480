"""A gate as one JUnit document: a suite per run, one for its crash sweep, and one for the gate."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from chaos.base.printable import printable
from chaos.gate.state import GateState, GateVerdict
from chaos.report.junit import case_element, document, suite, suite_element
from chaos.report.stored import Stored
from chaos.sweep.junit import sweep_suite
from chaos.sweep.state import Sweep


def gate_junit(
    state: GateState, verdict: GateVerdict, runs: Mapping[str, Stored], sweep: Sweep | None = None
) -> str:
    """Return the document. `runs` maps the name of each finished step to its run.

    `sweep` is the crash sweep, None if it was not made.
    """
    suites = []
    for number, (name, stored) in enumerate(runs.items()):
        element = suite(stored, number)
        element.set("name", name)
        suites.append(element)
    if sweep is not None and state.sweep is not None:
        suites.append(sweep_suite(sweep, state.sweep.name, len(suites)))
    return document([*suites, _gate_suite(state, verdict, len(suites))])


def _gate_suite(state: GateState, verdict: GateVerdict, number: int) -> ET.Element:
    """Return the suite: an error case per step that is not finished, and a case for the verdict."""
    cases = []
    not_run = [(step.name, "not run") for step in state.to_make if step.state != "done"]
    if state.sweep is not None and state.sweep.left_out:
        not_run.append((state.sweep.name, f"left out: {state.sweep.left_out}"))
    for name, why in not_run:
        cases.append(case_element(name, "chaos.gate"))
        ET.SubElement(cases[-1], "error", {"message": printable(why), "type": "gate.not_run"})
    cases.append(case_element("Gate verdict", "chaos.gate"))
    if verdict.exit_code != 0:
        tag = "failure" if verdict.verdict == "NEEDS FIXES" else "error"
        message = printable(f"{verdict.verdict}: {verdict.reason} (exit {verdict.exit_code})")
        ET.SubElement(cases[-1], tag, {"message": message, "type": f"gate.{tag}"})
    request = state.request
    return suite_element(
        "gate",
        number,
        cases,
        timestamp=state.created.removesuffix("Z"),
        lasted_s=0.0,
        properties={
            "gate_id": state.gate_id,
            "profile": request.profile,
            "faults": " ".join(request.faults),
            "seed": str(request.seed),
            "verdict": verdict.verdict,
        },
        notes=verdict.notes,
    )
