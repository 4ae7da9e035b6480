"""The content of every report, read from a judged run directory. Knows no format."""

from dataclasses import dataclass
from typing import Any

import msgspec

from chaos.base.errors import ChaosError
from chaos.checks.verdict import Verdict
from chaos.record.history import Header, read_history
from chaos.record.rundir import RunDir
from chaos.report.markdown import report_text


@dataclass(frozen=True)
class Stored:
    """A judged run. `began_epoch_s`: its start (Unix time), None if it was not recorded."""

    run: RunDir
    verdict: Verdict
    provenance: dict[str, Any]
    began_epoch_s: float | None


def load(run: RunDir) -> Stored:
    """Read the stored judgement of `run`. Raises `ChaosError` if it was not judged yet."""
    try:
        verdict = msgspec.convert(run.read_json(run.verdict), Verdict)
    except msgspec.ValidationError as error:
        raise ChaosError(
            f"not a verdict of this version: {error}",
            place=str(run.verdict),
            next_step=f"judge it again: chaos check {run.path}",
        ) from error
    provenance = run.read_json(run.provenance) if run.provenance.is_file() else {}
    return Stored(run, verdict, provenance, _began(run))


def _began(run: RunDir) -> float | None:
    try:
        first = next(read_history(run.history), None)
    except (OSError, ValueError):
        return None
    return first[1].wall_epoch_s if first and isinstance(first[1], Header) else None


def markdown_of(stored: Stored) -> str:
    """The Markdown report that was written with the verdict."""
    try:
        return stored.run.report.read_text(encoding="utf-8")
    except FileNotFoundError:
        return report_text(stored.verdict, stored.provenance)


def identity(stored: Stored) -> dict[str, str]:
    """The values that identify this run and make it repeatable: seed, hashes, versions."""
    verdict, provenance = stored.verdict, stored.provenance
    named = {
        "run_id": verdict.run_id,
        "soak": verdict.soak,
        "profile": verdict.profile,
        "seed": verdict.seed,
        "schedule_hash": verdict.schedule_hash,
        "verdict": verdict.verdict,
        "exit_code": verdict.exit_code,
        "stopped": verdict.stopped,
        "faults": " ".join(dict.fromkeys(fault.name for fault in verdict.faults)) or "none",
        "reproduce": verdict.reproduce,
        "chaos_version": provenance.get("chaos"),
        "git_revision": _inner(provenance, "git", "revision"),
        "git_dirty": _inner(provenance, "git", "dirty"),
        "model_name": _inner(provenance, "assets", "model_name"),
        "model_sha256": _inner(provenance, "assets", "model_sha256"),
        "toxiproxy_version": _inner(provenance, "assets", "toxiproxy_version"),
        "python": provenance.get("python"),
        "system": _inner(provenance, "host", "system"),
    }
    return {name: str(value) for name, value in named.items() if value not in (None, "")}


def _inner(provenance: dict[str, Any], group: str, key: str) -> Any:
    values = provenance.get(group)
    return values.get(key) if isinstance(values, dict) else None
