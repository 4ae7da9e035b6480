"""The facts of a stored run: from its findings, its history, and the Watcher's files.

Reads the run directory and nothing else.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.gpu_losses import own_losses
from chaos.checks.heuristic_fallbacks import fallbacks_outside
from chaos.checks.paths_taken import paths_of
from chaos.checks.run_view import RunView
from chaos.checks.verdict import Verdict
from chaos.checks.watcher_alive import exits_by_itself, not_returned
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

if TYPE_CHECKING:
    from chaos.checks.hash_sets import Mask

_FULL_PART = 0.98
_KEPT_MAX = 8
_PARSED_MAX = 200
_REQUEST_BYTES_MAX = 1 << 20
_LOG_BYTES_MAX = 1 << 31
_BLOCK_BYTES = 1 << 20
_NO_SPACE = (b"No space left on device", b"Errno 28", b"ENOSPC")
_LAST_WORDS = (b"Traceback (most recent call last)", b"MemoryError", b"CRITICAL", b"Error:")
_TROUBLE = ("problem", "service_exit", "fault_step_failed", "guardrail", "storm_stuck")
_ALLOWANCE_S = 10.0


def triage_run(view: RunView, verdict: Verdict) -> Triage:
    """Triage of a judged run."""
    facts = facts_of(view, verdict.findings)
    looks = _inspections(view)
    notes = [f"looked at closely: {look.get('why', '?')} ({ref})" for ref, look in looks]
    return triage(
        facts,
        paths=paths_of(view),
        seen=seen_lines(looks[-1][1]) if looks else [],
        notes=notes,
    )


def facts_of(view: RunView, findings: Sequence[Finding]) -> Facts:
    """Everything that the rules may decide by."""
    outcomes: dict[str, str] = {}
    for finding in findings:
        if outcomes.get(finding.check, "pass") in ("pass", "skipped"):
            outcomes[finding.check] = finding.outcome
    logs = _Logs(view)
    queue = _queue(view)
    problems, outside = _problems(view)
    return Facts(
        place=view.run.path,
        files=view.run.artefacts,
        is_run=True,
        target=view.target,
        failed=tuple(f for f in findings if f.outcome == "fail" and f.owner == "product"),
        trouble=tuple(
            f
            for f in findings
            if f.outcome == "invalid" or (f.outcome == "fail" and f.owner != "product")
        ),
        outcomes=outcomes,
        planted=_planted(view),
        problems=problems,
        infrastructure=outside,
        llm=_llm(view),
        queue=queue,
        disk=_disk(view, logs),
        process=_process(view, logs),
        gpu=gpu_facts(view, findings),
        memory=_memory(view),
        held=held_in_run(view, findings, _inspections(view)),
        progress=_progress(view, findings, queue),
        reproduce=str(view.config.get("reproduce", "")),
    )


def _planted(view: RunView) -> dict[str, str]:
    """Triage path -> the first fault that was injected to exercise it."""
    declared = view.last("fault_paths")
    names = declared[1].detail.get("paths", {}) if declared else {}
    planted: dict[str, str] = {}
    for window, _, _ in view.injected_faults:
        entry = names.get(window.name) if isinstance(names, dict) else None
        if isinstance(entry, dict):
            planted.setdefault(str(entry.get("triage")), f"{window.fault_id} {window.name}")
    return planted


def _problems(view: RunView) -> tuple[tuple[Evidence, ...], bool]:
    """(events of trouble that is not the Watcher's, whether any is of the infrastructure)."""
    found = [(line, e) for line, e in view.events if e.name in _TROUBLE and e.owner != "product"]
    found = sorted(found + own_losses(view), key=lambda one: one[0])
    told = tuple(
        view.evidence(line, f"{event.name} at {event.t_s:.1f} s: {_said(event.detail)}")
        for line, event in found
    )
    return told[:_KEPT_MAX], any(event.owner == "infrastructure" for _, event in found)


def _said(detail: dict[str, Any]) -> str:
    return str(detail.get("message") or ", ".join(f"{k} {v}" for k, v in detail.items()))[:300]


def _inspections(view: RunView) -> list[tuple[str, dict[str, Any]]]:
    return [(f"history.jsonl:{line}", event.detail) for line, event in view.named("inspection")]


def _memory(view: RunView) -> MemoryFacts:
    """By the last look at which the Watcher answered, or the last one's reason for silence."""
    looks = _inspections(view)
    answered = [one for one in looks if "types" in (one[1].get("memory") or {})]
    for ref, look in (answered or looks)[-1:]:
        return MemoryFacts(tuple(Evidence(ref, line) for line in allocator_lines(look)))
    return MemoryFacts()


# -- LLM --------------------------------------------------------------------------------------


def _llm(view: RunView) -> LLMFacts:
    raw = view.criteria.get("heuristic_fallbacks", {}).get("allowance_s", _ALLOWANCE_S)
    allowance_s = float(raw) if isinstance(raw, (int, float)) else _ALLOWANCE_S
    table = view.files.decisions
    lost_calls = table.any_call(~table.call_ok)
    # By the rule of the check: a cause that no finding counts would be a guess.
    failed = fallbacks_outside(view, allowance_s) & (lost_calls | (table.call_count == 0))
    contradicting = table.fallback & (table.call_count > 0) & ~lost_calls
    answered = table.any_call(table.call_ok) & ~table.fallback
    lost = _server_lost(view)
    return LLMFacts(
        failed_outside=_shown(view, failed, "without the LLM"),
        failed_count=int(failed.sum()),
        contradicting=_shown(view, contradicting, "says fallback, and every call was answered"),
        answered_last=_last(view, answered, table.fallback),
        server_lost=lost,
        reachable="" if lost else _reachable(view),
        watched=len(table) > 0,
    )


def _shown(view: RunView, which: Mask, text: str) -> tuple[Evidence, ...]:
    """The first decisions chosen, as evidence."""
    path = view.target.decisions.path
    return tuple(
        Evidence(view.files.ref(path, one.line), f"{one.id} {one.request}: {text}")
        for one in view.files.decisions.some(which.nonzero()[0], _KEPT_MAX)
    )


def _last(view: RunView, answered: Mask, fallback: Mask) -> Evidence | None:
    """The last answer of the LLM, unless the Watcher did without it afterwards."""
    found, without = answered.nonzero()[0], fallback.nonzero()[0]
    if not len(found) or (len(without) and without[-1] > found[-1]):
        return None
    one = view.files.decisions[int(found[-1])]
    ref = view.files.ref(view.target.decisions.path, one.line)
    return Evidence(ref, f"{one.id} {one.request}: the LLM answered, the last time")


def _server_lost(view: RunView) -> tuple[Evidence, ...]:
    """The LLM server died by itself, not by a fault."""
    path, events = view.target.llm.events, view.files.llm_events
    killed = {window.evidence("effect_proven").get("killed_pid") for window in view.faults}
    crashed = [
        Evidence(view.files.ref(path, event.line), f"the LLM server {event.pid} died by itself")
        for event in (events.crashes() if events else [])
        if event.pid not in killed
    ][:_KEPT_MAX]
    exits = [
        view.evidence(line, f"{event.detail.get('service')} ended by itself")
        for line, event in view.named("service_exit")
    ]
    return tuple(crashed + exits)[:_KEPT_MAX]


def _reachable(view: RunView) -> str:
    """What shows that the LLM was there: the fault's own proof that it was over."""
    healed = [w for w in view.faults if w.is_llm and w.end_s is not None]
    if healed:
        return f"the LLM was proven to answer again ({healed[-1].ref('recovered')})"
    return "its server never died"


# -- queue, disk, process ---------------------------------------------------------------------


def _queue(view: RunView) -> QueueFacts:
    queue, files = view.target.queue, view.files
    bad: list[BadRequest] = []
    sound: list[Evidence] = []
    part: Literal["pending", "claimed", "quarantined"]
    for part, pattern, names in (
        ("pending", queue.pending, files.pending),
        ("claimed", queue.claimed, files.claimed),
        ("quarantined", queue.quarantined, files.quarantined),
    ):
        for name in names[:_PARSED_MAX]:
            path = f"{pattern.rpartition('/')[0]}/{name}"
            wrong = _defect_of(view.run.artefacts / path, queue.type_field)
            if wrong:
                bad.append(BadRequest(view.run.artefacts / path, files.ref(path), part, wrong))
            elif part != "quarantined":
                sound.append(Evidence(files.ref(path), f"{part}, can be read"))
    return QueueFacts(len(files.pending), len(files.claimed), tuple(bad), tuple(sound))


def _defect_of(path: Path, key: str) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_REQUEST_BYTES_MAX + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(content) > _REQUEST_BYTES_MAX:
        return f"larger than a request can be (over {_REQUEST_BYTES_MAX} bytes)"
    return defect(content, key)


class _Logs:
    """The Watcher's logs, read once and in blocks for what triage looks for."""

    def __init__(self, view: RunView) -> None:
        self.no_space: list[Evidence] = []
        self.last_words: list[Evidence] = []
        self._left = _LOG_BYTES_MAX
        for ref, path in self._files(view):
            self._scan(ref, path)

    @staticmethod
    def _files(view: RunView) -> Iterator[tuple[str, Path]]:
        for path in view.files.log_paths():
            yield view.files.ref(path), view.run.artefacts / path
        yield "logs/watcher.log", view.run.logs / "watcher.log"

    def _scan(self, ref: str, path: Path) -> None:
        """Only blocks that hold any of the words are taken apart into lines."""
        try:
            stream = path.open("rb")
        except OSError:
            return
        with stream:
            number = 1
            while self._left > 0 and (block := stream.read(_BLOCK_BYTES) + stream.readline()):
                self._left -= len(block)
                if any(word in block for word in (*_NO_SPACE, *_LAST_WORDS)):
                    for offset, line in enumerate(block.split(b"\n")):
                        self._note(f"{ref}:{number + offset}", line)
                number += block.count(b"\n")

    def _note(self, ref: str, line: bytes) -> None:
        for words, kept in ((_NO_SPACE, self.no_space), (_LAST_WORDS, self.last_words)):
            if any(word in line for word in words):
                kept.append(Evidence(ref, line[:300].decode("utf-8", "replace").strip()))
                del kept[:-_KEPT_MAX]


def _disk(view: RunView, logs: _Logs) -> DiskFacts:
    total = float(view.target.workspace.size_mb * (1 << 20))
    table = view.samples
    used = table.column("disk.workspace_used_bytes")
    known = (used == used).nonzero()[0]
    errors = tuple(logs.no_space)
    if not len(known):
        return DiskFacts(errors=errors)
    most = int(known[int(used[known].argmax())])
    text = (
        f"at most {float(used[most]) / 1e6:.1f} MB of {total / 1e6:.0f} MB in use "
        f"(at {float(table.t_s[most]):.1f} s)"
    )
    full = float(used[most]) >= total * _FULL_PART
    evidence = view.evidence(int(table.lines[most]), text) if full else None
    return DiskFacts(full=evidence, free_text=text, errors=errors, measured=True)


def _process(view: RunView, logs: _Logs) -> ProcessFacts:
    exits = exits_by_itself(view)
    died = tuple(
        view.evidence(
            line,
            f"the Watcher ended by itself at {event.t_s:.1f} s "
            f"({_ending(event.detail.get('exit_code'))})",
        )
        for line, event in exits
    ) + tuple(not_returned(view))
    contradiction = ""
    if exits:
        table = view.samples
        later = (table.t_s > exits[-1][1].t_s + 1.0).nonzero()[0]
        pids = table.column("watcher.pid")[later]
        before = table.column("watcher.pid")[table.t_s <= exits[-1][1].t_s]
        before = before[before == before]
        if len(before) and bool((pids == before[-1]).any()):
            contradiction = "its exit was recorded, and the same process was sampled afterwards"
    halted = view.last("halted")
    alive = None if view.last("ready") is None else not died
    told = ""
    if halted and not died:
        meant = view.named("watcher_exit")
        told = "it ran until it was halted" + (", but for what faults ended" if meant else "")
    return ProcessFacts(died, alive, tuple(logs.last_words), contradiction, told)


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


def _progress(view: RunView, findings: Sequence[Finding], queue: QueueFacts) -> ProgressFacts:
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
    drained = view.last("drained")
    if drained is not None and not drained[1].detail.get("in_time", False):
        pending = drained[1].detail.get("pending", "?")
        took_s = drained[1].detail.get("took_s", "?")
        text = f"{pending} requests were not worked within {took_s} s after the last one came"
        stuck.append(view.evidence(drained[0], text))
    elif view.ran_to_end and queue.pending:
        count = plural(queue.pending, "request")
        stuck.append(view.evidence(view.lines, f"{count} left at the end of the run"))
    flag = view.run.artefacts / view.target.halt.flag
    early = view.phase_s("halt") is None and flag.is_file()
    went_on = drained is not None and not stuck
    return ProgressFacts(tuple(stuck), went_on, flag if early else None)
