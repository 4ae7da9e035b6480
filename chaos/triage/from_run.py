"""The facts of a stored run, from its findings, its history and the Watcher's files.

Reads only the run directory.
"""

import signal
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from chaos.checks.errors import lines_with, watcher_logs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.gpu_losses import own_losses
from chaos.checks.paths_taken import paths_of
from chaos.checks.verdict import Verdict
from chaos.checks.watcher_alive import exits_by_itself, not_returned
from chaos.record.open_run import OpenRun
from chaos.record.request_file import defect
from chaos.triage.facts import (
    KEPT_MAX,
    BadRequest,
    DiskFacts,
    Facts,
    GPUFacts,
    MemoryFacts,
    ProcessFacts,
    ProgressFacts,
    QueueFacts,
)
from chaos.triage.held import held_in_run
from chaos.triage.llm_facts import llm_facts
from chaos.triage.result import Triage
from chaos.triage.snapshot import allocator_lines, seen_lines, stacks_in
from chaos.triage.triage import triage

_FULL_PART = 0.98
_FRAMES = 3  # of a stack, and stacks
_PARSED_MAX = 200
_REQUEST_BYTES_MAX = 1 << 20
_NO_SPACE = (b"No space left on device", b"Errno 28", b"ENOSPC")
_ERRORS = (b"Traceback (most recent call last)", b"MemoryError", b"CRITICAL", b"Error:")
_TROUBLE = ("problem", "service_exit", "fault_step_failed", "guardrail", "storm_stuck")


def triage_run(run: OpenRun, verdict: Verdict) -> Triage:
    """Triage of a judged run."""
    facts = facts_of(run, verdict.findings)
    inspections = _inspections(run)
    return triage(
        facts,
        paths=paths_of(run),
        seen=seen_lines(inspections[-1][1]) if inspections else [],
        notes=[f"inspected: {snapshot.get('why', '?')} ({ref})" for ref, snapshot in inspections],
    )


def facts_of(run: OpenRun, findings: Sequence[Finding]) -> Facts:
    """All facts of a run with these findings."""
    outcomes: dict[str, str] = {}
    for finding in findings:
        if outcomes.get(finding.check, "pass") in ("pass", "skipped"):
            outcomes[finding.check] = finding.outcome
    queue = _queue(run)
    problems, outside = _problems(run)
    return Facts(
        place=run.run.path,
        files=run.files,
        is_run=True,
        target=run.target,
        failed=tuple(f for f in findings if f.outcome == "fail" and f.owner == "product"),
        trouble=tuple(
            f
            for f in findings
            if f.outcome == "invalid" or (f.outcome == "fail" and f.owner != "product")
        ),
        outcomes=outcomes,
        planted=_planted(run),
        problems=problems,
        infrastructure=outside,
        llm=llm_facts(run),
        queue=queue,
        disk=_disk(run),
        process=_process(run),
        gpu=_gpu(run, findings),
        memory=_memory(run),
        held=held_in_run(run, findings, _inspections(run)),
        progress=_progress(run, findings, queue),
        reproduce=str(run.config.get("reproduce", "")),
        storm_s=float(run.profile.get("storm_s") or 0.0),
    )


def _planted(run: OpenRun) -> dict[str, str]:
    """Triage path -> the first fault that was injected to exercise it."""
    declared = run.last("fault_paths")
    names = declared[1].detail.get("paths", {}) if declared else {}
    planted: dict[str, str] = {}
    for window in run.injected_faults:
        entry = names.get(window.name) if isinstance(names, dict) else None
        if isinstance(entry, dict):
            planted.setdefault(str(entry.get("triage")), window.label)
    return planted


def _problems(run: OpenRun) -> tuple[tuple[Evidence, ...], bool]:
    """(events of the harness and the infrastructure, True if any is of the infrastructure)."""
    events = [(line, e) for line, e in run.events if e.name in _TROUBLE and e.owner != "product"]
    events = sorted(events + own_losses(run), key=lambda pair: pair[0])
    problems = tuple(
        run.evidence(line, f"{event.name} at {event.t_s:.1f} s: {_detail_text(event.detail)}")
        for line, event in events[:KEPT_MAX]
    )
    return problems, any(event.owner == "infrastructure" for _, event in events)


def _detail_text(detail: dict[str, Any]) -> str:
    return str(detail.get("message") or ", ".join(f"{k} {v}" for k, v in detail.items()))[:300]


def _inspections(run: OpenRun) -> list[tuple[str, dict[str, Any]]]:
    return [(f"history.jsonl:{line}", event.detail) for line, event in run.named("inspection")]


def _memory(run: OpenRun) -> MemoryFacts:
    """From the last inspection that the Watcher answered, else the last one's reason for none."""
    inspections = _inspections(run)
    answered = [pair for pair in inspections if "types" in (pair[1].get("memory") or {})]
    for ref, snapshot in (answered or inspections)[-1:]:
        return MemoryFacts(tuple(Evidence(ref, line) for line in allocator_lines(snapshot)))
    return MemoryFacts()


def _gpu(run: OpenRun, findings: Sequence[Finding]) -> GPUFacts:
    """From the findings of the checks of GPU memory."""
    if not run.gpu_signals:
        absences = [
            str(event.detail.get("reason", "no reason given"))
            for _, event in run.named("source_absent")
            if str(event.detail.get("source")).startswith("gpu")
        ]
        return GPUFacts(absent=absences[-1] if absences else "none was sampled")
    judged = [f for f in findings if f.check in ("gpu_memory", "llm_lifecycle")]
    kept = [
        Evidence(evidence.ref, f"{finding.summary}: {evidence.text}")
        for finding in judged
        if finding.outcome == "fail"
        for evidence in finding.evidence
        if finding.check == "gpu_memory" or "GPU memory" in evidence.text
    ]
    freed = bool(judged) and all(f.outcome == "pass" for f in judged)
    return GPUFacts(kept=tuple(kept), freed=freed)


# -- queue, disk, process ---------------------------------------------------------------------


def _queue(run: OpenRun) -> QueueFacts:
    bad: list[BadRequest] = []
    sound: list[Evidence] = []
    counts = {"pending": 0, "claimed": 0, "quarantined": 0}
    part: Literal["pending", "claimed", "quarantined"]
    for part, path in run.sql(
        "select place, path from files where place in ('pending', 'claimed', 'quarantined') "
        "order by list_position(['pending', 'claimed', 'quarantined'], place), name"
    ):
        counts[part] += 1
        if counts[part] > _PARSED_MAX:
            continue
        ref = f"artefacts/{path}"
        problem = _defect_of(run.files / path, run.target.work.type_field)
        if problem:
            bad.append(BadRequest(run.files / path, ref, part, problem))
        elif part != "quarantined":
            sound.append(Evidence(ref, f"{part}, can be read"))
    return QueueFacts(counts["pending"], counts["claimed"], tuple(bad), tuple(sound))


def _defect_of(path: Path, key: str) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_REQUEST_BYTES_MAX + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(content) > _REQUEST_BYTES_MAX:
        return f"larger than a request can be (over {_REQUEST_BYTES_MAX} bytes)"
    return defect(content, key)


def _in_logs(run: OpenRun, words: tuple[bytes, ...]) -> tuple[Evidence, ...]:
    """The last lines with any of `words` in the daemon's logs."""
    kept: deque[Evidence] = deque(maxlen=KEPT_MAX)
    output, *own = watcher_logs(run) or [("", Path())]
    for name, path in [*own, output]:
        for ref, line in lines_with(list(words), name, path):
            kept.append(Evidence(ref, line[:300].decode("utf-8", "replace").strip()))
    return tuple(kept)


_MOST_USED = """
select "disk.workspace_used_bytes"::double, t_s, line from moments
where "disk.workspace_used_bytes" is not null order by 1 desc, line limit 1
"""


def _disk(run: OpenRun) -> DiskFacts:
    total = float(run.target.workspace.size_mb << 20)
    errors = _in_logs(run, _NO_SPACE)
    most = run.one(_MOST_USED)
    if most is None:
        return DiskFacts(errors=errors)
    used, t_s, line = most
    text = f"at most {used / 1e6:.1f} MB of {total / 1e6:.0f} MB in use (at {t_s:.1f} s)"
    evidence = run.evidence(line, text) if used >= total * _FULL_PART else None
    return DiskFacts(full=evidence, free_text=text, errors=errors, measured=True)


# Samples of the process that has exited, from more than a second after its exit.
_SAMPLED_AFTER = """
with old as (select "watcher.pid" as pid from moments where "watcher.pid" is not null
    and t_s <= $exit_s order by line desc limit 1)
select count(*) from moments, old where t_s > $exit_s + 1 and "watcher.pid" = old.pid
"""


def _process(run: OpenRun) -> ProcessFacts:
    exits, lost = exits_by_itself(run), not_returned(run)
    died = tuple(
        run.evidence(
            line,
            f"{event.detail.get('service', 'the Watcher')} ended by itself at {event.t_s:.1f} s "
            f"({_ending(event.detail.get('exit_code'))})",
        )
        for line, event in exits
    ) + tuple(lost)
    contradiction = ""
    of_watcher = [event.t_s for _, event in exits if event.name == "watcher_exit"]
    if of_watcher and run.one(_SAMPLED_AFTER, {"exit_s": of_watcher[-1]}):
        contradiction = "its exit was recorded, and the same process was sampled afterwards"
    halted = run.last("halted")
    alive = None if run.last("ready") is None else not died
    why = ""
    if halted and not died:
        by_faults = run.named("watcher_exit")
        why = "it ran until it was halted" + (", except when faults ended it" if by_faults else "")
    service = next((str(e.detail["service"]) for _, e in exits if "service" in e.detail), "")
    if exits and not of_watcher and not lost:
        alive = True  # only a service beside it has ended
    errors = _in_logs(run, _ERRORS)
    return ProcessFacts(died, alive, errors, contradiction, why, log=service or "watcher")


def _ending(code: Any) -> str:
    """An exit code in words."""
    if not isinstance(code, int):
        return "exit code unknown"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        killed = ": killed from outside, or out of memory" if name == "SIGKILL" else ""
        return f"{name}{killed}"
    return f"exit code {code}"


# -- progress ---------------------------------------------------------------------------------


def _progress(run: OpenRun, findings: Sequence[Finding], queue: QueueFacts) -> ProgressFacts:
    """Requests are stuck if any are left after the time to drain, or if a check for it failed."""
    stuck: list[Evidence] = [
        Evidence(evidence.ref, finding.summary)
        for finding in findings
        if finding.check == "stall" and finding.outcome == "fail"
        for evidence in finding.evidence[:2]
    ]
    stuck += [
        evidence
        for finding in findings
        if finding.check == "completed_cycles" and finding.outcome == "fail"
        for evidence in finding.evidence
        if evidence.text.startswith("no progress")
    ]
    drained = run.last("drained")
    if drained is not None and not drained[1].detail.get("in_time", False):
        detail = drained[1].detail
        requests = detail.get("pending", 1) - detail.get("draws", 0)
        if requests:  # draws that are passed over are no stall
            count, took_s = plural(requests, "request"), detail.get("took_s", "?")
            text = f"{count} not finished {took_s} s after the last one arrived"
            stuck.append(run.evidence(drained[0], text))
    elif run.ran_to_end and queue.pending:
        count = plural(queue.pending, "request")
        stuck.append(run.evidence(run.lines, f"{count} left at the end of the run"))
    flags = [run.files / flag for flag in run.target.halt_flags if not flag.startswith("/")]
    flag = next((flag for flag in flags if flag.is_file()), None)
    early = run.phase_s("halt") is None
    went_on = drained is not None and not stuck
    return ProgressFacts(tuple(stuck), went_on, flag if early else None, _where(run))


def _where(run: OpenRun) -> tuple[Evidence, ...]:
    """The innermost frames of the Watcher's threads in the inspection of its stall."""
    for ref, snapshot in _inspections(run):
        if str(snapshot.get("why")).startswith("no decision"):
            return tuple(
                Evidence(ref, f"the Watcher was in {' <- '.join(frames[:_FRAMES])}")
                for frames in stacks_in(snapshot)[:_FRAMES]
            )
    return ()
