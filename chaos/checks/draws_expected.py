"""Draws as expected: every draw of the history equals the generator's, in order."""

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding
from chaos.checks.java_lcg import first_draws
from chaos.record.daemon_files import draw_history
from chaos.record.open_run import OpenRun


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """Recomputes the whole history: a lost, doubled, swapped or changed draw shows."""
    of = run.target.draws
    ref = f"artefacts/{of.path}"
    if problem := draw_history(run)[1]:
        text = f"{of.path} {problem}"
        return [Finding(outcome="fail", summary=text, evidence=[Evidence(ref, text)])]
    draws = run.sql("select value from draws order by number")
    if not draws:
        return [Finding(outcome="fail", summary="the draw history is empty")]
    expected = first_draws(of.seed or 0, of.modulus or 1, len(draws))
    wrong = [
        (number, value, due)
        for number, ((value,), due) in enumerate(zip(draws, expected, strict=True))
        if value != due
    ]
    if wrong:
        summary = f"{len(wrong)} of {len(draws)} draws differ from the generator"
    else:
        summary = f"all {len(draws)} draws equal {of.generator} with seed {of.seed}"
    evidence = [
        Evidence(f"{ref} draw {number}", f"{value}, expected {due}")
        for number, value, due in wrong[:EVIDENCE_MAX]
    ]
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=summary,
            measured=len(wrong),
            limit=0,
            evidence=evidence or [Evidence(ref, "recomputed in full")],
            evidence_count=max(len(wrong), 1),
        )
    ]


CHECK = Check(
    name="draws_expected",
    says=tuple(f"draws.{key}" for key in ("path", "list", "value", "generator", "seed", "modulus")),
    title="Draws as expected",
    judge=judge,
    depends=depends_on("files"),
)
