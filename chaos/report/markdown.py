"""`report.md`: the verdict, then its findings and their evidence. Pure text from a verdict."""

from collections.abc import Mapping
from typing import Any

from chaos.base.markup import block, code, inline
from chaos.base.printable import value_text
from chaos.base.units import duration_text
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.report.words import GLYPHS, MEANING, measured_text, seconds_text


def report_text(verdict: Verdict, provenance: Mapping[str, Any], triage: str = "") -> str:
    """The whole report. `triage` is the finished section of the triage."""
    parts = [
        _head(verdict),
        _findings_table(verdict.findings),
        triage,
        _evidence(verdict.findings),
        _faults(verdict),
        _reproduce(verdict),
        _provenance(provenance),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(verdict: Verdict) -> str:
    lines = [
        f"# {GLYPHS[verdict.verdict]} {verdict.verdict.upper()}: "
        f"{inline(verdict.title or verdict.soak)}",
        "",
        f"**{_sentence(MEANING[verdict.verdict])}** {inline(_sentence(verdict.reason))}",
        "",
        f"- run {code(verdict.run_id)}, {duration_text(verdict.lasted_s)}, "
        f"ended: {inline(verdict.stopped)}",
        f"- soak {code(verdict.soak)}, profile {code(verdict.profile)}, seed `{verdict.seed}`, "
        f"schedule {code(verdict.schedule_hash or 'none')}",
        f"- exit code {verdict.exit_code}",
    ]
    return "\n".join([*lines, *(f"- {inline(note)}" for note in verdict.notes)])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _findings_table(findings: list[Finding]) -> str:
    rows = [
        f"| {GLYPHS[f.outcome]} {f.outcome} | {inline(f.title)} | {inline(f.summary)} "
        f"| {inline(value_text(f.measured))} | {inline(value_text(f.limit))} | {f.owner} "
        f"| {inline(f.origin)} |"
        for f in findings
    ]
    head = "| outcome | finding | summary | measured | limit | owner | asked by |"
    return "\n".join(["## Findings", "", head, "|---|---|---|---|---|---|---|", *rows])


def _evidence(findings: list[Finding]) -> str:
    parts = ["## Evidence", "", "References are files of this folder, with the line."]
    for finding in findings:
        if not finding.evidence:
            continue
        parts += ["", f"**{inline(finding.title)}** ({finding.outcome})", ""]
        parts += [f"- {code(e.ref)} {inline(e.text)}" for e in finding.evidence]
        more = finding.evidence_count - len(finding.evidence)
        if more > 0:
            parts.append(f"- and {more} more")
    return "\n".join(parts)


def _faults(verdict: Verdict) -> str:
    if not verdict.faults:
        return ""
    parts = [
        "## Faults",
        "",
        "Times in seconds since the run began.",
        "",
        "| fault | injected | effect proven | undone from | recovered | last state | record |",
        "|---|---|---|---|---|---|---|",
    ]
    for fault in verdict.faults:
        parts.append(
            f"| {inline(f'{fault.fault_id} {fault.name}')} | {seconds_text(fault.injected_s)} "
            f"| {seconds_text(fault.proven_s)} | {seconds_text(fault.recovering_s)} "
            f"| {seconds_text(fault.recovered_s)} | {inline(fault.state)} "
            f"| {code(fault.ref, cell=True)} |"
        )
    for fault in verdict.faults:
        for word, measured in (("effect", fault.effect), ("recovery", fault.recovery)):
            if measured:
                parts += ["", f"{inline(fault.fault_id)} {word}: {inline(measured_text(measured))}"]
    return "\n".join(parts)


def _reproduce(verdict: Verdict) -> str:
    schedule = f"\n\nIt draws the schedule `{verdict.schedule_hash}`." if verdict.faults else ""
    return (
        f"## Reproduce\n\n{block([verdict.reproduce])}{schedule}\n\n"
        "Judge this record again with `chaos check` and the path of this folder."
    )


def _provenance(provenance: Mapping[str, Any]) -> str:
    if not provenance:
        return "## Provenance\n\nNot recorded: the run ended before the provenance was collected."
    rows = [
        f"| {inline(str(key))} | {inline(_provenance_value(value))} |"
        for key, value in sorted(provenance.items())
    ]
    return "\n".join(["## Provenance", "", "| what | value |", "|---|---|", *rows])


def _provenance_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return measured_text(value)
    return "-" if value is None else str(value)
