"""From a finished gate to the statement about it: subject, configuration, tests, our extension.

Pure: reads no file and no clock.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chaos.attest.envelope import base64_text
from chaos.attest.evidence import Evidence, JudgedRun
from chaos.attest.statement import (
    GATE,
    STATEMENT,
    TEST_RESULT,
    Descriptor,
    Extension,
    Predicate,
    Rates,
    RunResult,
    Statement,
    time_text,
)
from chaos.base.errors import EnvironmentProblem
from chaos.gate.steps import config_digest

PROGRAMS = "programs"  # the subject that stands for all program files together
DAEMON_IMAGE = "watcher"
_PROGRAMS_MAX = 2000  # files that are named one by one
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.ASCII)
_DAY_S = 86_400


def statement_of(
    evidence: Evidence, *, measured: Rates, now_epoch_s: float, valid_days: int
) -> Statement:
    """The statement about a gate. Raises `EnvironmentProblem` if no run says what ran."""
    verdict = evidence.verdict
    passed, warned, failed = _tests(evidence)
    return Statement(
        type=STATEMENT,
        subject=_subject(evidence),
        predicate_type=TEST_RESULT,
        predicate=Predicate(
            result="PASSED" if verdict.verdict == "PRODUCTION-READY" else "FAILED",
            configuration=list(_configuration(evidence)),
            passed_tests=passed,
            warned_tests=warned,
            failed_tests=failed,
            chaos_gate=Extension(
                chaos=evidence.state.chaos,
                gate_id=evidence.state.gate_id,
                verdict=verdict.verdict,
                reason=verdict.reason,
                profile=evidence.state.request.profile,
                created=time_text(now_epoch_s),
                expires=time_text(now_epoch_s + valid_days * _DAY_S),
                measured=measured,
                runs=[*(_result_of(run) for run in evidence.runs), *_result_of_sweep(evidence)],
            ),
        ),
    )


def _result_of(run: JudgedRun) -> RunResult:
    return RunResult(
        name=run.step.name,
        verdict=run.verdict.verdict,
        verdict_sha256=run.step.verdict_sha256 or "",
        record_sha256=run.step.record_sha256 or "",
    )


def _result_of_sweep(evidence: Evidence) -> Iterator[RunResult]:
    """The crash sweep: `sweep.json` holds both its record and its verdict."""
    sweep = evidence.sweep
    if sweep is not None and sweep.verdict is not None:
        digest = sweep.state_sha256 or ""
        yield RunResult(
            name=sweep.name, verdict=sweep.verdict, verdict_sha256=digest, record_sha256=digest
        )


def _tests(evidence: Evidence) -> tuple[list[str], list[str], list[str]]:
    """The names of what passed, passed with a note, and did not pass.

    A finding is named "RUN / CHECK"; one that was skipped is in no list. Not proven is not passed.
    """
    passed: list[str] = []
    warned: list[str] = []
    failed: list[str] = []
    ready = evidence.verdict.verdict == "PRODUCTION-READY"
    (passed if ready else failed).append(GATE)
    for run in evidence.runs:
        name = run.step.name
        if run.verdict.verdict != "pass":
            failed.append(name)
        elif run.step.notes or run.step.left:
            warned.append(name)
        else:
            passed.append(name)
        for finding in run.verdict.findings:
            if finding.outcome == "pass":
                passed.append(f"{name} / {finding.check}")
            elif finding.outcome != "skipped":
                failed.append(f"{name} / {finding.check}")
    if (sweep := evidence.sweep) is not None:
        good = warned if sweep.notes or sweep.left else passed
        (good if sweep.verdict == "pass" else failed).append(sweep.name)
    return _once(passed, without=failed), warned, _once(failed)


def _once(names: Iterable[str], without: Sequence[str] = ()) -> list[str]:
    """Each name once; a check that has several findings passed if all of them did."""
    return [name for name in dict.fromkeys(names) if name not in set(without)]


# -- the daemon -------------------------------------------------------------------------------


def _subject(evidence: Evidence) -> list[Descriptor]:
    """The daemon: its image, or its program files and all of them together.

    If the runs differ (the gate is not PRODUCTION-READY then), what each of them ran.
    """
    docker = evidence.state.request.backend == "docker"
    named = _images_of_daemon if docker else _programs
    pairs = dict.fromkeys(pair for run in evidence.runs for pair in named(run.provenance))
    if not pairs:
        raise EnvironmentProblem(
            "no run recorded which programs it ran",
            place=str(evidence.folder.path),
            next_step="run the gate again",
        )
    return [Descriptor(name=name, digest={"sha256": digest}) for name, digest in pairs]


def _images_of_daemon(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    containers = _mapping(provenance, "containers")
    for name, digest in _digests(_mapping(containers, "digests")):
        if name == DAEMON_IMAGE:
            yield name, digest
    for reference in containers.get("published") or []:
        name, _, text = str(reference).partition("@")
        yield from _digests({name: text})


def _programs(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    watcher = _mapping(provenance, "watcher")
    yield from _digests({PROGRAMS: watcher.get("programs_sha256")})
    files = _mapping(watcher, "programs")
    if len(files) <= _PROGRAMS_MAX:
        yield from _digests(files)


def _digests(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, hex) of the values that are SHA-256 digests."""
    for name, value in values.items():
        if match := _SHA256.fullmatch(str(value)):
            yield name, match[1]


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, Mapping) else {}


# -- the configuration ------------------------------------------------------------------------


def _configuration(evidence: Evidence) -> Iterator[Descriptor]:
    """What was used, each once: the gate's file, the target, plans and schedules, the parts."""
    state = evidence.state
    file = Descriptor(name="gate file", digest={"sha256": state.file_sha256})
    asked = state.request
    request = {
        "file": Path(asked.file).name,
        "profile": asked.profile,
        "soaks": [Path(soak).name for soak in asked.soaks],
        "faults": list(asked.faults),
        "seed": asked.seed,
        "backend": asked.backend,
        "sandbox": asked.sandbox,
        "witness": asked.witness,
    }
    yield _annotated(file, request)
    seen: list[Descriptor] = []
    for run in evidence.runs:
        yield from _of_run(run)
        for part in _parts(run):
            if part not in seen:
                seen.append(part)
    yield from seen


def _of_run(run: JudgedRun) -> Iterator[Descriptor]:
    """The plan and the schedule of one run; the hash that a run prints is in the annotations."""
    step = run.step
    yield Descriptor(name=f"plan of {step.name}", digest={"sha256": step.digest})
    drawn = {key: value for key, value in run.schedule.items() if key != "hash"}
    yield _annotated(
        Descriptor(name=f"schedule of {step.name}", digest={"sha256": config_digest(drawn)}),
        {"hash": step.schedule_hash},
    )


def _parts(run: JudgedRun) -> Iterator[Descriptor]:
    """What all runs of a gate should have had in common."""
    provenance = run.provenance
    target = _mapping(run.config, "target")
    yield _annotated(
        Descriptor(name="target", digest={"sha256": config_digest(dict(target))}),
        {"target": str(target.get("target", ""))},
    )
    assets, proxy = _mapping(provenance, "assets"), _mapping(provenance, "proxy")
    for _, digest in _digests({"model": assets.get("model_sha256")}):
        model = Descriptor(name="model", digest={"sha256": digest})
        yield _annotated(model, {"model": str(assets.get("model_name", ""))})
    yield from _version("llama", assets.get("llama_build"))
    words = (proxy.get("kind"), proxy.get("version"))
    yield from _version("toxiproxy", " ".join(str(word) for word in words if word))
    git = _mapping(provenance, "git")
    yield from _version("chaos", provenance.get("chaos"))
    if revision := git.get("revision"):
        commit = Descriptor(name="chaos revision", digest={"gitCommit": str(revision)})
        yield _annotated(commit, {"dirty": git.get("dirty")})
    for name, digest in _digests(_mapping(_mapping(provenance, "containers"), "digests")):
        if name != DAEMON_IMAGE:
            yield Descriptor(name=f"image {name}", digest={"sha256": digest})


def _version(name: str, text: Any) -> Iterator[Descriptor]:
    """Something that is known by its version alone: the text is the content."""
    if not text:
        return
    content = str(text).encode()
    yield Descriptor(
        name=name,
        digest={"sha256": hashlib.sha256(content).hexdigest()},
        content=base64_text(content),
        media_type="text/plain",
    )


def _annotated(descriptor: Descriptor, notes: dict[str, Any]) -> Descriptor:
    return msgspec.structs.replace(descriptor, annotations=notes)
