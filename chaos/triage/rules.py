"""The rules: one pure function per cause, from the facts to a ruling.

Ordered from the most specific cause to the least. A rule names its cause only if there is evidence
for it, and excludes it only if there is evidence against it. Otherwise it says which evidence would
decide.
"""

import re
from collections.abc import Callable, Sequence

from chaos.checks.finding import Evidence, plural
from chaos.record import recovery_paths as paths
from chaos.record.history import Owner
from chaos.triage import direct_rules, leak_rules, llm_rules, steps
from chaos.triage.direct_rules import DIRECT
from chaos.triage.facts import Facts
from chaos.triage.result import RuledOut, Ruling, Step, cause, undecided

_QUEUE_CHECKS = ("request_queue", "requests_archived", "requests_pending", "exactly_once")
_LLM_CHECKS = ("heuristic_fallbacks", "recovery_time")
_NO_SPACE = ("No space left on device", "Errno 28", "ENOSPC")


def disk_exhaustion(facts: Facts) -> Ruling:
    """The volume was measured as full, or log lines say so and no measurement contradicts them."""
    disk = facts.disk
    largest = steps.largest(facts.files)
    failed_writes = steps.grep(facts.files / "logs", _NO_SPACE, "which writes failed")
    if disk.full is not None:
        fault = facts.planted.get(paths.DISK_EXHAUSTION)
        by = f" (fault {fault} filled it: the Watcher has to withstand that)" if fault else ""
        return cause(
            "disk_exhaustion",
            f"the Watcher's volume was full: {disk.full.text}{by}",
            [disk.full, *disk.errors],
            facts.failing(
                "disk_growth", "log_growth", "errors", *_QUEUE_CHECKS, "telemetry",
                "completed_cycles", "stall",
            ),
            largest,
            failed_writes,
            steps.signal_of(facts, "disk.workspace_used_bytes", "how the volume filled"),
        )  # fmt: skip
    if disk.errors:
        return undecided(
            "disk_exhaustion",
            f"the logs report a full volume, but {disk.free_text or 'its space was not measured'}",
            "which volume or quota the failed writes went to",
            failed_writes,
            largest,
        )
    if growing := facts.failed_of("disk_growth", "log_growth"):
        return undecided(
            "disk_exhaustion",
            f"files grow ({growing[0].summary}), the volume was not full yet",
            "a run long enough to fill the volume",
            largest,
        )
    if disk.measured:
        return RuledOut(name="disk_exhaustion", why=disk.free_text)
    return undecided(
        "disk_exhaustion",
        "the free space was never measured",
        "samples of the volume's free space",
    )


def queue_corruption(facts: Facts) -> Ruling:
    """A request is stuck and cannot be read."""
    stuck = [bad for bad in facts.queue.bad if bad.part != "quarantined"]
    quarantined = [bad for bad in facts.queue.bad if bad.part == "quarantined"]
    fault = facts.planted.get(paths.QUEUE_CORRUPTION)
    if blamed := stuck or ([] if fault else quarantined):
        by = f" (fault {fault} put corrupt files there)" if fault else ""
        defects = "; ".join(dict.fromkeys(bad.defect for bad in blamed[:3]))
        how = "stuck" if stuck else "set aside"
        return cause(
            "queue_corruption",
            f"{plural(len(blamed), 'request')} {how} that cannot be read: {defects}{by}",
            [Evidence(bad.ref, f"{bad.part}: {bad.defect}") for bad in blamed],
            facts.failing(*_QUEUE_CHECKS, "stall", "completed_cycles"),
            *(step for bad in blamed[:3] for step in (steps.parse(bad.path), steps.raw(bad.path))),
            _listing(facts),
        )
    if sound := facts.queue.sound:
        why = f"{plural(len(sound), 'request')} left over, each is a complete JSON object"
        return RuledOut(name="queue_corruption", why=why, evidence=sound[:8])
    count = plural(len(quarantined), "corrupt one")
    handled = f", {count} set aside as it should be" if quarantined else ""
    return RuledOut(name="queue_corruption", why=f"no request is stuck{handled}")


def _listing(facts: Facts) -> Step | None:
    folder = facts.files / facts.target.work.submit.folder
    if not folder.is_dir():
        return None
    listing = steps.quoted("ls", "-la", "--", folder)
    return Step("names, sizes, permissions and owners", listing)


def vram_not_freed(facts: Facts) -> Ruling:
    """GPU memory is still held when the server is stopped."""
    gpu = facts.gpu
    if gpu.kept:
        return cause(
            "vram_not_freed",
            gpu.kept[0].text,
            gpu.kept,
            facts.failing("gpu_memory", "llm_lifecycle"),
            steps.gpu_holders(),
            steps.tail(facts.files / facts.target.llm.events, "starts and stops of the server"),
            steps.signal_of(facts, "gpu[0-9a-z]*.[a-z_]*_bytes", "the course of GPU memory"),
        )
    if gpu.absent:
        return RuledOut(name="vram_not_freed", why=f"no GPU memory here: {gpu.absent}")
    if gpu.freed:
        return RuledOut(name="vram_not_freed", why="GPU memory was released after each stop")
    return undecided(
        "vram_not_freed",
        "there is a GPU, but its memory was not sampled over a stop of the LLM server",
        "GPU memory sampled before, during and after a dispatch",
        steps.gpu_holders(),
    )


def memory_leak(facts: Facts) -> Ruling:
    """The check for growth failed, over a process that lived long enough."""
    failed = facts.failed_of("memory_growth")
    course = steps.signal_of(facts, "watcher.rss_anon_bytes", "the course of anonymous memory")
    again = steps.longer(facts)
    if failed:
        allocators = facts.memory.allocators
        grown = [item for finding in failed for item in finding.evidence]
        of_service = failed[0].summary.partition(": ")[0] in facts.target.services
        grows = "memory grows" if of_service else "the Watcher's memory grows"
        return cause(
            "memory_leak",
            f"{grows}: {failed[0].summary}",
            [*grown[: 8 - len(allocators)], *allocators],
            ["memory_growth"],
            course,
            steps.inspected(facts),
            again,
        )
    if facts.outcomes.get("memory_growth") == "pass":
        return RuledOut(name="memory_leak", why="its memory was sampled, and does not grow")
    if again is None:
        words = ["run", "soak_c", *steps.target_words(facts), "--fault", "none"]
        command = steps.quoted("chaos", *words, "--profile", "full")
        again = Step("follow its memory over a whole soak", command)
    return undecided(
        "memory_leak",
        "its growth could not be judged" if facts.is_run else "one snapshot shows no growth",
        "its anonymous memory over a longer time, or over more requests",
        course,
        again,
    )


def llm_connection_drop(facts: Facts) -> Ruling:
    """Calls failed while no fault held, or the Watcher did not use the LLM again after a fault."""
    llm, decisions = facts.llm, facts.target.decisions
    not_recovered = facts.failed_of("recovery_time")
    logs = (
        steps.tail(facts.place / "logs" / "llm.log", "the last lines of the LLM server"),
        steps.tail(facts.files / facts.target.llm.events, "starts and stops of the LLM server"),
        steps.grep(
            facts.files / decisions.path,
            [f'"{decisions.fallback}"'],
            "the decisions without the LLM",
            last=5,
        )
        if decisions.fallback
        else None,
    )
    if (llm.refused or llm.cut_short) and llm.failed_outside and not llm.server_lost:
        why = "the LLM answered; what it was asked was wrong, or its answers could not be used"
        return RuledOut(name="llm_connection_drop", why=why)
    if llm.silent and facts.progress.stuck:
        why = "the Watcher did not even try to reach its LLM after the fault: it stood still"
        return RuledOut(name="llm_connection_drop", why=why)
    if llm.none_failed and llm.failed_outside and not not_recovered and not llm.server_lost:
        why = "on the wire no call to the LLM failed while no fault held"
        return RuledOut(name="llm_connection_drop", why=why)
    if llm.failed_outside or (not_recovered and not llm.contradicting):
        where = "the server was lost" if llm.server_lost else "the Watcher did not reconnect"
        if not llm.server_lost and llm.reachable:
            where += f": {llm.reachable}"
        count = plural(llm.failed_count, "decision")
        what = [f"{count} without the LLM while no fault held"] if llm.failed_outside else []
        late = [item for finding in not_recovered for item in finding.evidence]
        owner: Owner = "infrastructure" if llm.server_lost else "product"
        return cause(
            "llm_connection_drop",
            "; ".join([*what, where]),
            [*llm.server_lost[:2], *late[:3], *llm.failed_outside],
            facts.failing(*_LLM_CHECKS, "llm_slots", "llm_lifecycle"),
            *logs,
            owner=owner,
        )
    if llm.contradicting:
        return undecided(
            "llm_connection_drop",
            "decisions are marked as made without the LLM, yet each of their calls was answered",
            "the log lines of the proxy and the server for those calls",
            *(steps.at(facts, item) for item in llm.contradicting[:2]),
            next((step for step in logs if step is not None), None),
        )
    if not llm.watched:
        return undecided(
            "llm_connection_drop",
            "there are no decisions",
            "one request, and the decision that follows",
        )
    if facts.failed_of(*_LLM_CHECKS):
        return undecided(
            "llm_connection_drop",
            "a finding about the LLM failed, but no call failed while it could be reached",
            "whether the marked fallbacks are all that there were",
            *logs,
        )
    why = "every call was answered while the LLM could be reached"
    if fault := facts.planted.get(paths.LLM_DROP):
        why += f"; it was cut by fault {fault} and used again afterwards"
    answered = (llm.answered_last,) if llm.answered_last else ()
    return RuledOut(name="llm_connection_drop", why=why, evidence=answered)


def process_died(facts: Facts) -> Ruling:
    """The Watcher ended by itself."""
    process = facts.process
    if process.contradiction:
        return undecided(
            "process_died",
            process.contradiction,
            "the process table at that time",
            *(steps.at(facts, item) for item in process.died[:2]),
        )
    last_error = [steps.at(facts, item) for item in process.last_errors[-1:]]
    if process.died:
        last = f"; its last error: {process.last_errors[-1].text}" if process.last_errors else ""
        return cause(
            "process_died",
            f"{process.died[0].text}{last}",
            [*process.died, *process.last_errors[-4:]],
            facts.failing(
                *("watcher_alive", "completed_cycles", "halt", "stall", "draws_ingested"),
                *_QUEUE_CHECKS,
            ),
            steps.tail(
                facts.place / "logs" / f"{process.log}.log", "the last lines that it printed"
            ),
            *last_error,
            steps.again(facts),
        )
    if process.alive or process.halted:
        why = process.halted or "the Watcher ran until it was halted"
        return RuledOut(name="process_died", why=why)
    return undecided(
        "process_died",
        "no process works in the folder, and nothing records how the last one ended",
        "the exit code, which the process that started it received",
        *last_error,
    )


def stall(facts: Facts) -> Ruling:
    """Readable requests wait, the Watcher lives, and there is no progress."""
    progress = facts.progress
    silent = ("recovery_time",) if facts.llm.silent else ()
    if progress.stuck and facts.process.alive is not False:
        flag = progress.halt_flag
        paused = f"; {flag.name} tells it to pause" if flag else ""
        look = Step("who set the flag, and why", steps.quoted("cat", "--", flag)) if flag else None
        return cause(
            "stall",
            f"{progress.stuck[0].text}{paused}",
            [*progress.stuck, *progress.where, *facts.queue.sound],
            facts.failing("stall", "completed_cycles", "draws_ingested", *_QUEUE_CHECKS, *silent),
            look,
            _listing(facts),
            steps.inspected(facts),
            steps.tail(facts.files / "logs" / "watcher_agent.log", "what it did last"),
            steps.tail(facts.place / "logs" / "watcher.log", "the last lines that it printed"),
        )
    if progress.stuck:
        return RuledOut(name="stall", why="the Watcher does not run, so there is no progress")
    if progress.went_on:
        return RuledOut(name="stall", why="there was progress as long as requests waited")
    return undecided(
        "stall",
        "nothing shows whether there was progress",
        "a waiting request, and the decisions after it",
    )


def harness_or_infrastructure(facts: Facts) -> Ruling:
    """A problem of the harness or the infrastructure, not of the Watcher."""
    problems = [item for item in facts.problems if not _ended_by_watcher(facts, item)]
    trouble = [
        finding
        for finding in facts.trouble
        if not finding.evidence
        or any(not _ended_by_watcher(facts, item) for item in finding.evidence)
    ]
    if trouble or problems:
        of_findings = [item for finding in trouble for item in finding.evidence[:2]]
        outside = facts.infrastructure or any(f.owner == "infrastructure" for f in trouble)
        return cause(
            "harness_or_infrastructure",
            problems[0].text if problems else trouble[0].summary,
            [*problems, *of_findings],
            [finding.check for finding in trouble],
            *(steps.at(facts, item) for item in problems[:2]),
            steps.tail(facts.place / "logs" / "harness.log", "the last lines of the harness"),
            steps.again(facts),
            owner="infrastructure" if outside else "harness",
        )
    if facts.problems or facts.trouble:
        why = "the services that ended were ended by the Watcher"
        return RuledOut(name="harness_or_infrastructure", why=why, evidence=facts.problems[:2])
    if facts.is_run:
        why = "harness and infrastructure report no problem"
        return RuledOut(name="harness_or_infrastructure", why=why)
    return undecided(
        "harness_or_infrastructure",
        "a folder alone does not show its surroundings",
        "a run, which checks the machine first",
    )


def _ended_by_watcher(facts: Facts, item: Evidence) -> bool:
    """True if a service ended, and the Watcher was seen to end it, or to end anything."""
    if not item.text.startswith(("service_exit ", "injector ended ")):
        return False
    hits = [hit.text for finding in facts.failed_of("bystanders") for hit in finding.evidence]
    return any(
        hit.endswith(("every process", "none of its own"))
        or re.search(rf"\b{re.escape(hit.rpartition(' of the ')[2])}\b", item.text)
        for hit in hits
    )


# Those that make others come first.
_BEFORE = {"bystander_ended", "no_lock", "past_the_link"}
_FIRST = [rule for one, rule in zip(DIRECT, direct_rules.RULES, strict=True) if one.name in _BEFORE]
RULES: Sequence[Callable[[Facts], Ruling | None]] = (
    *_FIRST,
    disk_exhaustion,
    queue_corruption,
    vram_not_freed,
    memory_leak,
    *leak_rules.RULES,
    *llm_rules.RULES,
    llm_connection_drop,
    process_died,
    stall,
    *(rule for rule in direct_rules.RULES if rule not in _FIRST),
    harness_or_infrastructure,
)
