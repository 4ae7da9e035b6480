"""A comparison as JUnit: a test case for each pair, and one for the result."""

from xml.etree import ElementTree as ET

from chaos.base.printable import printable
from chaos.compare.outcome import Outcome
from chaos.compare.state import Compare, Pair
from chaos.compare.text import command_of
from chaos.report.junit import case_element, document, suite_element


def compare_junit(compare: Compare, outcome: Outcome) -> str:
    """The text of junit.xml: a `failure` for BLOCK, an `error` for all else that is no PASS."""
    cases = [_case(pair) for pair in compare.pairs]
    result = case_element("the candidate is not worse", "chaos.compare")
    if outcome.word != "PASS":
        tag = "failure" if outcome.word == "BLOCK" else "error"
        message = f"{outcome.word}: {outcome.reason}"
        element = ET.SubElement(
            result, tag, {"message": printable(message), "type": f"compare.{tag}"}
        )
        element.text = printable("\n".join(outcome.blocked_by))
    found = outcome.evidence
    arms = [arm for pair in compare.pairs for arm in (pair.base, pair.candidate) if arm]
    suite = suite_element(
        "compare",
        0,
        [*cases, result],
        timestamp=compare.created.removesuffix("Z"),
        lasted_s=round(sum(arm.lasted_s for arm in arms), 3),
        properties={
            "compare_id": compare.compare_id,
            "base": compare.asked.base,
            "candidate": compare.asked.candidate,
            "seed": str(compare.asked.seed),
            "mean_difference": f"{found.mean:.4f}",
            "interval": f"{found.low:.3f} {found.high:.3f}",
        },
        notes=[f"reproduce: {command_of(compare)}"],
    )
    return document([suite])


def _case(pair: Pair) -> ET.Element:
    arms = [arm for arm in (pair.base, pair.candidate) if arm]
    case = case_element(
        f"pair {pair.number}", "chaos.compare.pair", sum(arm.lasted_s for arm in arms)
    )
    for tag, text in (("error", pair.void), ("failure", "; ".join(pair.newly_lost))):
        if text:
            ET.SubElement(case, tag, {"message": printable(text), "type": f"pair.{tag}"})
    return case
