"""Draws as expected: every draw of the history equals the generator's, in order."""

from collections.abc import Iterator
from typing import Any

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding
from chaos.checks.generators import INDEX_MAX, expected_draws
from chaos.record.daemon_files import problem_of
from chaos.record.open_run import OpenRun

Row = tuple[Any, ...]


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """Recomputes the whole history: a lost, doubled, swapped or changed draw shows."""
    source = run.target.source("draws")
    ref = f"artefacts/{source.path}"
    if problem := problem_of(run.files, source):
        text = f"{source.path} {problem}"
        return [Finding(outcome="fail", summary=text, evidence=[Evidence(ref, text)])]
    draws = run.sql("select number, position, value from draws order by number")
    if not draws:
        return [Finding(outcome="fail", summary="the draw history is empty")]
    placed = [draw for draw in draws if draw[1] is not None and 0 <= draw[1] < INDEX_MAX]
    if not placed:
        return [Finding(outcome="inconclusive", summary="no draw says its position")]
    expected = expected_draws(run, max(draw[1] for draw in placed) + 1)
    if expected.problem:
        return [Finding(outcome="unverified", summary=f"not judged: {expected.problem}")]
    wrong = list(_wrong(placed, expected.values))
    less = len(draws) - len(placed)
    if wrong:
        summary = f"{len(wrong)} of {len(placed)} draws differ from the generator"
    else:
        summary = f"all {len(placed)} draws equal {expected.words}"
    summary += f"; {less} more say no position, and were not recomputed" if less else ""
    evidence = [Evidence(f"{ref} draw {number}", text) for number, text in wrong[:EVIDENCE_MAX]]
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


def _wrong(draws: list[Row], expected: list[int]) -> Iterator[tuple[int, str]]:
    """(number, what is wrong) for each draw that is not the next one of the generator."""
    before: int | None = None
    for number, position, value in draws:
        if value != expected[position]:
            yield number, f"{value}, expected {expected[position]}"
        elif before is not None and position != before + 1:
            yield number, f"position {position} comes after {before}"
        before = position


CHECK = Check(
    name="draws_expected",
    says=tuple(f"draws.{key}" for key in ("value", "generator", "seed", "modulus")),
    title="Draws as expected",
    judge=judge,
    depends=depends_on("files"),
)
