"""OpenMetrics text: the verdict as numbers for a monitoring system.

Gauges only, so that readers of the older Prometheus text format understand it, too. Must not know
where the text is written.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from chaos.base.printable import printable
from chaos.checks.verdict import FaultOutcome, Verdict
from chaos.report.stored import Stored, identity

_INFO = ("soak", "profile", "seed", "schedule_hash", "verdict", "stopped", "faults")
_VERSIONS = ("chaos_version", "git_revision", "model_sha256", "toxiproxy_version")
Sample = tuple[Mapping[str, str], float | None]


def openmetrics_text(stored: Stored) -> str:
    """The whole exposition; ends in `# EOF`. Every sample carries soak and run."""
    verdict = stored.verdict
    of_run = {"soak": verdict.soak, "run_id": verdict.run_id}
    named = identity(stored)
    labels = of_run | {key: named.get(key, "") for key in (*_INFO, *_VERSIONS)}
    families = [
        family("chaos_run_about", "What ran; always 1.", [(labels, 1)]),
        *(
            family(f"chaos_run_{name}", text, [(of_run, value)])
            for name, text, value in (
                ("start_time_seconds", "When the run began, as Unix time.", stored.began_epoch_s),
                ("duration_seconds", "How long the run lasted.", verdict.lasted_s),
                ("exit_code", "Exit code; 0 is a pass.", verdict.exit_code),
            )
        ),
        *_findings(verdict, of_run),
        *_faults(verdict.faults, of_run),
    ]
    return "".join(families) + "# EOF\n"


def _findings(verdict: Verdict, of_run: Mapping[str, str]) -> list[str]:
    counts: Counter[str] = Counter()
    outcomes: list[Sample] = []
    measured: list[Sample] = []
    limits: list[Sample] = []
    for finding in verdict.findings:
        counts[finding.check] += 1  # a check may have several findings
        labels = {**of_run, "check": finding.check, "number": str(counts[finding.check])}
        outcome = {"outcome": finding.outcome, "owner": finding.owner, "title": finding.title}
        outcomes.append((labels | outcome, 1))
        measured.append((labels, _number(finding.measured)))
        limits.append((labels, _number(finding.limit)))
    return [
        family("chaos_finding_outcome", "One sample per judged criterion.", outcomes),
        family("chaos_finding_measured", "What the criterion measured.", measured),
        family("chaos_finding_limit", "The limit of the criterion.", limits),
    ]


def _faults(faults: Iterable[FaultOutcome], of_run: Mapping[str, str]) -> list[str]:
    proven: list[Sample] = []
    recovered: list[Sample] = []
    held: list[Sample] = []
    for fault in faults:
        labels = {**of_run, "fault_id": fault.fault_id, "fault": fault.name}
        proven.append((labels, fault.proven_s is not None))
        recovered.append((labels, fault.recovered_s is not None))
        if fault.injected_s is not None and fault.recovered_s is not None:
            held.append((labels, round(fault.recovered_s - fault.injected_s, 6)))
    return [
        family("chaos_fault_effect_proven", "1 if the effect of the fault was proven.", proven),
        family("chaos_fault_recovery_proven", "1 if its recovery was proven.", recovered),
        family("chaos_fault_duration_seconds", "From injection to recovery.", held),
    ]


def family(name: str, text: str, samples: Iterable[Sample]) -> str:
    """The lines of one family of gauges; a sample without a value is left out."""
    lines = [f"# TYPE {name} gauge"]
    if name.endswith("_seconds"):
        lines.append(f"# UNIT {name} seconds")
    lines.append(f"# HELP {name} {text}")
    lines += [
        f"{name}{{{_labels(labels)}}} {_value(value)}"
        for labels, value in samples
        if value is not None
    ]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    plain = printable(value).replace("\\", "\\\\")
    return plain.replace('"', '\\"').replace("\n", "\\n")


def _number(value: float | int | str | None) -> float | None:
    return None if value is None or isinstance(value, str) else value


def _value(value: float) -> str:
    if isinstance(value, bool) or float(value).is_integer():
        return str(int(value))
    if math.isnan(value):
        return "NaN"
    return repr(value) if math.isfinite(value) else ("+Inf" if value > 0 else "-Inf")
