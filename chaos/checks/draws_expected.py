"""Draws as expected: every draw of the history equals the generator's, in order."""

from __future__ import annotations

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding
from chaos.checks.java_lcg import first_draws
from chaos.checks.run_view import RunView


def judge(view: RunView, params: Params) -> list[Finding]:
    """Recomputes the whole history: a lost, doubled, swapped or changed draw shows."""
    of = view.target.draws
    draws, problem = view.files.draws
    ref = view.files.ref(of.path)
    if problem:
        text = f"{of.path} {problem}"
        return [Finding(outcome="fail", summary=text, evidence=[Evidence(ref, text)])]
    expected = first_draws(of.seed, of.modulus, len(draws))
    wrong = [
        Evidence(f"{ref} draw {index}", f"{draw.value}, expected {value}")
        for index, (draw, value) in enumerate(zip(draws, expected, strict=True))
        if draw.value != value
    ]
    if not draws:
        return [Finding(outcome="fail", summary="the draw history is empty")]
    if wrong:
        summary = f"{len(wrong)} of {len(draws)} draws differ from the generator"
    else:
        summary = f"all {len(draws)} draws equal {of.generator} with seed {of.seed}"
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=summary,
            measured=len(wrong),
            limit=0,
            evidence=wrong or [Evidence(ref, "recomputed in full")],
        )
    ]


CHECK = Check(
    name="draws_expected",
    title="Draws as expected",
    judge=judge,
    needs=needs("files"),
)
