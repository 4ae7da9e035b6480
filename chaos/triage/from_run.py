"""The facts of a stored run: from its findings, its history, and the Watcher's files.

Reads the run directory and nothing else.
"""

import signal
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from chaos.checks.base import evidence_of
from chaos.checks.errors import lines_with, watcher_logs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.gpu_losses import own_losses
from chaos.checks.heuristic_fallbacks import OUTSIDE
from chaos.checks.paths_taken import paths_of
from chaos.checks.verdict import Verdict
from chaos.checks.watcher_alive import exits_by_itself, not_returned
from chaos.record.open_run import OpenRun
from chaos.record.request_file import defect
from chaos.triage.facts import (
    BadRequest,
    DiskFacts,
    Facts,
    LLMFacts,
    MemoryFacts,
    ProcessFacts,
    ProgressFacts,
    QueueFacts,
)
from chaos.triage.gpu_facts import gpu_facts
from chaos.triage.held import held_in_run
from chaos.triage.result import Triage
from chaos.triage.snapshot import allocator_lines, seen_lines
from chaos.triage.triage import triage

_FULL_PART = 0.98
_KEPT_MAX = 8
_PARSED_MAX = 200
_REQUEST_BYTES_MAX = 1 << 20
_NO_SPACE = (b"No space left on device", b"Errno 28", b"ENOSPC")
_LAST_WORDS = (b"Traceback (most recent call last)", b"MemoryError", b"CRITICAL", b"Error:")
_TROUBLE = ("problem", "service_exit", "fault_step_failed", "guardrail", "storm_stuck")
_ALLOWANCE_S = 10.0


def triage_run(run: OpenRun, verdict: Verdict) -> Triage:
    """Triage of a judged run."""
    facts = facts_of(run, verdict.findings)
    looks = _inspections(run)
    notes = [f"looked at closely: {look.get('why', '?')} ({ref})" for ref, look in looks]
    return triage(
        facts,
        paths=paths_of(run),
        seen=seen_lines(looks[-1][1]) if looks else [],
        notes=notes,
    )


def facts_of(run: OpenRun, findings: Sequence[Finding]) -> Facts:
    """Everything that the rules may decide by."""
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
        llm=_llm(run),
        queue=queue,
        disk=_disk(run),
        process=_process(run),
        gpu=gpu_facts(run, findings),
        memory=_memory(run),
        held=held_in_run(run, findings, _inspections(run)),
        progress=_progress(run, findings, queue),
        reproduce=str(run.config.get("reproduce", "")),
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
    """(events of trouble that is not the Watcher's, whether any is of the infrastructure)."""
    found = [(line, e) for line, e in run.events if e.name in _TROUBLE and e.owner != "product"]
    found = sorted(found + own_losses(run), key=lambda one: one[0])
    told = tuple(
        run.evidence(line, f"{event.name} at {event.t_s:.1f} s: {_said(event.detail)}")
        for line, event in found
    )
    return told[:_KEPT_MAX], any(event.owner == "infrastructure" for _, event in found)


def _said(detail: dict[str, Any]) -> str:
    return str(detail.get("message") or ", ".join(f"{k} {v}" for k, v in detail.items()))[:300]


def _inspections(run: OpenRun) -> list[tuple[str, dict[str, Any]]]:
    return [(f"history.jsonl:{line}", event.detail) for line, event in run.named("inspection")]


def _memory(run: OpenRun) -> MemoryFacts:
    """By the last look at which the Watcher answered, or the last one's reason for silence."""
    looks = _inspections(run)
    answered = [one for one in looks if "types" in (one[1].get("memory") or {})]
    for ref, look in (answered or looks)[-1:]:
        return MemoryFacts(tuple(Evidence(ref, line) for line in allocator_lines(look)))
    return MemoryFacts()


# -- LLM --------------------------------------------------------------------------------------


_TEXT = "coalesce(id, '') || ' ' || coalesce(request, '') || ': ' || $text as text"
_LOST_CALL = "exists (select 1 from calls c where c.line = d.line and not c.ok)"
# By the rule of the check: a cause that no finding counts would be a guess.
_FAILED_OUTSIDE = f"""
select decision_ref(line) as ref, {_TEXT} from ({OUTSIDE}) d
where {_LOST_CALL} or coalesce(calls, 0) = 0 order by line
"""
_CONTRADICTING = f"""
select decision_ref(line) as ref, {_TEXT} from decisions d
where fallback and calls > 0 and not {_LOST_CALL} order by line
"""
# The last answer of the LLM, unless the daemon did without it afterwards.
_ANSWERED_LAST = f"""
select decision_ref(line) as ref, {_TEXT} from decisions d
where not fallback and exists (select 1 from calls c where c.line = d.line and c.ok)
    and line > coalesce((select max(line) from decisions where fallback), 0)
order by line desc
"""
_CRASHED = """
select server_ref(line) as ref, 'the LLM server ' || pid || ' died by itself' as text from servers
where event = 'crashed' and pid not in (
    select try_cast(effect ->> '$.killed_pid' as bigint) from faults
    where effect ->> '$.killed_pid' is not null)
order by line
"""


def _llm(run: OpenRun) -> LLMFacts:
    raw = run.criteria.get("heuristic_fallbacks", {}).get("allowance_s", _ALLOWANCE_S)
    allowance_s = float(raw) if isinstance(raw, (int, float)) else _ALLOWANCE_S
    failed = evidence_of(
        run, _FAILED_OUTSIDE, {"allowance_s": allowance_s, "text": "without the LLM"}
    )
    text = "says fallback, and every call was answered"
    contradicting = evidence_of(run, _CONTRADICTING, {"text": text})
    text = "the LLM answered, the last time"
    answered = evidence_of(run, _ANSWERED_LAST, {"text": text}).shown
    exits = [
        run.evidence(line, f"{event.detail.get('service')} ended by itself")
        for line, event in run.named("service_exit")
    ]
    lost = tuple((evidence_of(run, _CRASHED).shown + exits)[:_KEPT_MAX])
    return LLMFacts(
        failed_outside=tuple(failed.shown[:_KEPT_MAX]),
        failed_count=failed.count,
        contradicting=tuple(contradicting.shown[:_KEPT_MAX]),
        answered_last=answered[0] if answered else None,
        server_lost=lost,
        reachable="" if lost else _reachable(run),
        watched=run.one("select count(*) from decisions") > 0,
    )


def _reachable(run: OpenRun) -> str:
    """What shows that the LLM was there: the fault's own proof that it was over."""
    healed = [w for w in run.faults if w.affects_llm and w.end_s is not None]
    if healed:
        return f"the LLM was proven to answer again ({healed[-1].ref('recovered')})"
    return "its server never died"


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
        wrong = _defect_of(run.files / path, run.target.queue.type_field)
        if wrong:
            bad.append(BadRequest(run.files / path, ref, part, wrong))
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
    """The last lines of the daemon's logs in which any of `words` stands."""
    kept: deque[Evidence] = deque(maxlen=_KEPT_MAX)
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


# Whether the process that was there before an exit was sampled more than a second after it.
_SAMPLED_AFTER = """
with old as (select "watcher.pid" as pid from moments where "watcher.pid" is not null
    and t_s <= $exit_s order by line desc limit 1)
select count(*) from moments, old where t_s > $exit_s + 1 and "watcher.pid" = old.pid
"""


def _process(run: OpenRun) -> ProcessFacts:
    exits = exits_by_itself(run)
    died = tuple(
        run.evidence(
            line,
            f"the Watcher ended by itself at {event.t_s:.1f} s "
            f"({_ending(event.detail.get('exit_code'))})",
        )
        for line, event in exits
    ) + tuple(not_returned(run))
    contradiction = ""
    if exits and run.one(_SAMPLED_AFTER, {"exit_s": exits[-1][1].t_s}):
        contradiction = "its exit was recorded, and the same process was sampled afterwards"
    halted = run.last("halted")
    alive = None if run.last("ready") is None else not died
    told = ""
    if halted and not died:
        meant = run.named("watcher_exit")
        told = "it ran until it was halted" + (", but for what faults ended" if meant else "")
    return ProcessFacts(died, alive, _in_logs(run, _LAST_WORDS), contradiction, told)


def _ending(code: Any) -> str:
    """An exit code in words."""
    if not isinstance(code, int):
        return "exit code unknown"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        killed = ": killed from outside, or for want of memory" if name == "SIGKILL" else ""
        return f"{name}{killed}"
    return f"exit code {code}"


# -- progress ---------------------------------------------------------------------------------


def _progress(run: OpenRun, findings: Sequence[Finding], queue: QueueFacts) -> ProgressFacts:
    """Stuck: requests are left after the time to drain, or a check for it has failed."""
    stuck: list[Evidence] = [
        Evidence(evidence.ref, f"{finding.summary}")
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
        pending = drained[1].detail.get("pending", "?")
        took_s = drained[1].detail.get("took_s", "?")
        text = f"{pending} requests were not worked within {took_s} s after the last one came"
        stuck.append(run.evidence(drained[0], text))
    elif run.ran_to_end and queue.pending:
        count = plural(queue.pending, "request")
        stuck.append(run.evidence(run.lines, f"{count} left at the end of the run"))
    flag = run.files / run.target.halt.flag
    early = run.phase_s("halt") is None and flag.is_file()
    went_on = drained is not None and not stuck
    return ProgressFacts(tuple(stuck), went_on, flag if early else None)
