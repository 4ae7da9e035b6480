"""The facts of a Watcher's working directory, from one snapshot of it, without run and history.

A snapshot shows one moment, so causes that need a course of time, such as growth, stay undecided.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.files import select
from chaos.base.proc import is_alive
from chaos.checks.finding import Evidence, plural
from chaos.record.target import Target
from chaos.triage.facts import (
    BadRequest,
    DiskFacts,
    Facts,
    GPUFacts,
    LLMFacts,
    ProcessFacts,
    ProgressFacts,
    QueueFacts,
)
from chaos.triage.held import held_now
from chaos.triage.result import Triage
from chaos.triage.snapshot import seen_lines
from chaos.triage.triage import triage

_FULL_PART = 0.98
_STALL_POLLS = 20
_STALL_S_MIN = 60.0
_NO_SPACE = ("No space left on device", "Errno 28", "ENOSPC")
_STOPPED = ("stopped", "halted", "exited")


def triage_workspace(
    target: Target, workspace: Path, snapshot: dict[str, Any], *, named: str = ""
) -> Triage:
    """Triage of a running or ended Watcher, from a snapshot of its folder.

    `named`: the value of --target in the commands of next steps; "" for the default target.
    """
    return triage(
        facts_of(target, workspace, snapshot, named=named),
        seen=seen_lines(snapshot),
        notes=["one snapshot: causes that need time to show stay open"],
    )


def facts_of(
    target: Target, workspace: Path, snapshot: dict[str, Any], *, named: str = ""
) -> Facts:
    """All facts of a snapshot."""
    decisions = _decisions(snapshot)
    queue = _queue(workspace, snapshot)
    process = _process(target, snapshot)
    return Facts(
        place=workspace,
        files=workspace,
        is_run=False,
        target=target,
        llm=_llm(target, decisions, snapshot, alive=bool(process.alive)),
        queue=queue,
        disk=_disk(snapshot),
        process=process,
        gpu=_gpu(snapshot),
        held=held_now(snapshot),
        progress=_progress(target, workspace, snapshot, queue),
        named=named,
    )


def _decisions(snapshot: dict[str, Any]) -> list[dict[str, Any]]:
    """The last decisions as JSON objects, without unreadable lines."""
    decisions = []
    for line in snapshot.get("decisions", {}).get("tail", []):
        try:
            entry = msgspec.json.decode(str(line).encode())
        except (msgspec.MsgspecError, RecursionError):
            continue
        if isinstance(entry, dict):
            decisions.append(entry)
    return decisions


def _llm(
    target: Target, decisions: list[dict[str, Any]], snapshot: dict[str, Any], *, alive: bool
) -> LLMFacts:
    """From the fallbacks at the end of the log: one that an answer follows is over."""
    fields = target.decisions
    trailing: list[Evidence] = []
    for entry in reversed(decisions):
        if not fields.fallback or not select(entry, fields.fallback):
            break
        name = select(entry, fields.id) if fields.id else "?"
        trailing.append(Evidence(fields.path, f"{name}: without the LLM"))
    listening = snapshot.get("listening", {})
    lost: tuple[Evidence, ...] = ()
    if trailing and alive and listening.get("endpoint") is False:
        lost = (Evidence(".", f"no process listens on {target.llm.endpoint}"),)
    last = Evidence(fields.path, "the last decision was made with the LLM")
    return LLMFacts(
        failed_outside=tuple(reversed(trailing)),
        failed_count=len(trailing),
        answered_last=last if decisions and not trailing else None,
        server_lost=lost,
        reachable=f"a process listens on {target.llm.endpoint}"
        if listening.get("endpoint")
        else "",
        watched=bool(decisions),
    )


def _queue(workspace: Path, snapshot: dict[str, Any]) -> QueueFacts:
    queue = snapshot.get("queue", {})
    bad, sound = [], []
    for request in queue.get("stuck", []):
        path = str(request["path"])
        if request.get("defect"):
            bad.append(BadRequest(workspace / path, path, request["part"], request["defect"]))
        elif request["part"] != "quarantined":
            sound.append(Evidence(path, f"{request['part']}, can be read"))
    counts = (int(queue.get("pending", 0)), int(queue.get("claimed", 0)))
    return QueueFacts(*counts, tuple(bad), tuple(sound))


def _disk(snapshot: dict[str, Any]) -> DiskFacts:
    volume = snapshot.get("volume", {})
    errors = tuple(
        Evidence(str(error["path"]), str(error["text"]))
        for error in snapshot.get("errors", [])
        if any(word in str(error["text"]) for word in _NO_SPACE)
    )
    total, free = volume.get("total_bytes"), volume.get("free_bytes")
    if not total or free is None:
        return DiskFacts(errors=errors)
    text = f"{free / 1e6:.1f} MB of {total / 1e6:.0f} MB are free"
    full = free < total * (1 - _FULL_PART)
    if volume.get("free_inodes") == 0 and not full:
        full, text = True, f"{text}, but no inodes"
    return DiskFacts(Evidence(".", text) if full else None, text, errors, True)


def _process(target: Target, snapshot: dict[str, Any]) -> ProcessFacts:
    """From the process table. It died if its status says that it works, and there is no process."""
    running = [p for p in snapshot.get("processes", []) if p.get("role") == "watcher"]
    errors = snapshot.get("errors", [])
    last = tuple(Evidence(str(e["path"]), str(e["text"])) for e in errors[-4:])
    if running:
        pids = ", ".join(str(process["pid"]) for process in running)
        return ProcessFacts(alive=True, last_errors=last, halted=f"it runs, process {pids}")
    if snapshot.get("halt_flag"):
        why = f"it was told to end: {', '.join(target.halt_flags)}"
        return ProcessFacts(alive=False, last_errors=last, halted=why)
    state, pid = _status(str(snapshot.get("status", "")))
    if state in _STOPPED:
        return ProcessFacts(alive=False, halted=f"its own status says that it {state}")
    if pid is None:
        return ProcessFacts(last_errors=last)
    if is_alive(pid):
        text = f"its status names process {pid}, which exists and does not work in this folder"
        return ProcessFacts(last_errors=last, contradiction=text)
    text = f"its status says {state!r} as process {pid}, and there is no such process"
    died = (Evidence(target.watcher.ready_file, text),)
    return ProcessFacts(died=died, alive=False, last_errors=last)


def _status(text: str) -> tuple[str, int | None]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(content, dict):
        return "", None
    pid = content.get("pid")
    return str(content.get("state", "")), pid if isinstance(pid, int) else None


def _gpu(snapshot: dict[str, Any]) -> GPUFacts:
    """Memory counts as kept if a process of the folder holds it while no LLM server listens."""
    gpu = snapshot.get("gpu", {})
    if "absent" in gpu:
        return GPUFacts(absent=str(gpu["absent"]))
    roles = {process["pid"]: process["role"] for process in snapshot.get("processes", [])}
    serving = snapshot.get("listening", {}).get("upstream") is True
    holders = [
        (device["index"], holder)
        for device in gpu.get("gpus", [])
        for holder in device.get("holders", [])
    ]
    kept = tuple(
        Evidence(".", f"process {holder['pid']} ({roles[holder['pid']]}) holds memory of GPU "
                 f"{index} while no LLM server listens")
        for index, holder in holders
        if holder["pid"] in roles and not serving
    )  # fmt: skip
    blind = any("unseen" in device for device in gpu.get("gpus", []))
    return GPUFacts(kept=kept, freed=not holders and not blind)


def _progress(
    target: Target, workspace: Path, snapshot: dict[str, Any], queue: QueueFacts
) -> ProgressFacts:
    """Stuck if readable requests have waited long, and no decision came in that time."""
    flags = [workspace / flag for flag in target.halt_flags] if snapshot.get("halt_flag") else []
    flag = next((flag for flag in flags if flag.exists()), None)
    waiting = [
        request
        for request in snapshot.get("queue", {}).get("stuck", [])
        if request["part"] != "quarantined" and "modified_s" in request
    ]
    if not waiting:
        return ProgressFacts(went_on=queue.pending + queue.claimed == 0, halt_flag=flag)
    limit_s = max(_STALL_S_MIN, _STALL_POLLS * target.poll_interval_s)
    now_s = float(snapshot.get("time_s", 0.0))
    oldest_s = now_s - min(float(request["modified_s"]) for request in waiting)
    decided_s = now_s - float(snapshot.get("decisions", {}).get("modified_s", 0.0))
    if oldest_s < limit_s:
        return ProgressFacts(halt_flag=flag)
    if decided_s < limit_s:
        return ProgressFacts(went_on=True, halt_flag=flag)
    text = (
        f"{plural(len(waiting), 'request')} waiting, the oldest for {oldest_s:.0f} s, "
        "and no decision came in that time"
    )
    first = min(waiting, key=lambda request: (request["modified_s"], request["path"]))
    return ProgressFacts(stuck=(Evidence(str(first["path"]), text),), halt_flag=flag)
