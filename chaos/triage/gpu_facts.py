"""What a stored run shows of GPU memory. Judges nothing anew."""

from collections.abc import Sequence

from chaos.checks.finding import Evidence, Finding
from chaos.record.open_run import OpenRun
from chaos.triage.facts import GPUFacts


def gpu_facts(run: OpenRun, findings: Sequence[Finding]) -> GPUFacts:
    """By the findings of the checks that watch it."""
    if not run.gpu_signals:
        absences = [
            str(event.detail.get("reason", "no reason given"))
            for _, event in run.named("source_absent")
            if str(event.detail.get("source")).startswith("gpu")
        ]
        return GPUFacts(absent=absences[-1] if absences else "none was sampled")
    kept = [
        Evidence(evidence.ref, f"{finding.summary}: {evidence.text}")
        for finding in findings
        if finding.outcome == "fail" and finding.check in ("gpu_memory", "llm_lifecycle")
        for evidence in finding.evidence
        if finding.check == "gpu_memory" or "GPU memory" in evidence.text
    ]
    judged = [f for f in findings if f.check in ("gpu_memory", "llm_lifecycle")]
    freed = bool(judged) and all(f.outcome == "pass" for f in judged)
    return GPUFacts(kept=tuple(kept), freed=freed)
