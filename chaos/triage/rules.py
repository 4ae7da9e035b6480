"""The rules: one small pure function for each cause, from the facts to a ruling.

Ordered from the most specific cause to the least. A rule names its cause only on evidence of its
own, rules it out only on evidence to the contrary, and says otherwise what would decide it.
"""

from collections.abc import Callable, Sequence

from chaos.checks.finding import Evidence, plural
from chaos.record import recovery_paths as paths
from chaos.record.history import Owner
from chaos.triage import leak_rules, steps
from chaos.triage.facts import Facts
from chaos.triage.result import Cause, Name, RuledOut, Ruling, Step, Undecided

_EVIDENCE_MAX = 8
_QUEUE_CHECKS = ("request_queue", "requests_archived", "requests_pending", "exactly_once")
_LLM_CHECKS = ("heuristic_fallbacks", "recovery_time")
_GROWTH_CHECKS = ("memory_growth",)


def disk_exhaustion(facts: Facts) -> Ruling:
    """Full by measurement, or errors that say so with nothing against it."""
    disk = facts.disk
    if disk.full is not None:
        planted = facts.planted.get(paths.DISK_EXHAUSTION)
        by = f" (fault {planted} filled it: the Watcher has to stand that)" if planted else ""
        return Cause(
            name="disk_exhaustion",
            owner="product",
            summary=f"the Watcher's volume was full: {disk.full.text}{by}",
            evidence=_cut([disk.full, *disk.errors]),
            explains=_explained(
                facts, "disk_growth", "log_growth", "errors", *_QUEUE_CHECKS, "telemetry",
                "completed_cycles", "stall",
            ),
            steps=steps.present(
                steps.largest(facts.files),
                steps.grep(facts.files / "logs", _NO_SPACE, "which writes failed"),
                steps.signal_of(facts, "disk.workspace_used_bytes", "how the volume filled"),
            ),
        )  # fmt: skip
    if disk.errors:
        return Undecided(
            name="disk_exhaustion",
            why=f"the logs say that there was no space, but {disk.free_text or 'nobody measured'}",
            would_decide="which volume or quota the failed writes went to",
            steps=steps.present(
                steps.grep(facts.files / "logs", _NO_SPACE, "which writes failed"),
                steps.largest(facts.files),
            ),
        )
    if facts.failed_of("disk_growth", "log_growth"):
        found = facts.failed_of("disk_growth", "log_growth")
        return Undecided(
            name="disk_exhaustion",
            why=f"files grow ({found[0].summary}), the volume was not full yet",
            would_decide="a run long enough to fill the volume",
            steps=steps.present(steps.largest(facts.files)),
        )
    if disk.measured:
        return RuledOut(name="disk_exhaustion", why=disk.free_text)
    return Undecided(
        name="disk_exhaustion",
        why="the free space was never measured",
        would_decide="samples of the volume's free space",
    )


_NO_SPACE = ("No space left on device", "Errno 28", "ENOSPC")


def queue_corruption(facts: Facts) -> Ruling:
    """A request that is stuck and cannot be read."""
    stuck = [bad for bad in facts.queue.bad if bad.part != "quarantined"]
    aside = [bad for bad in facts.queue.bad if bad.part == "quarantined"]
    planted = facts.planted.get(paths.QUEUE_CORRUPTION)
    blamed = stuck or ([] if planted else aside)
    if blamed:
        by = f" (fault {planted} put corrupt files there)" if planted else ""
        kinds = "; ".join(dict.fromkeys(bad.defect for bad in blamed[:3]))
        how = "stuck" if stuck else "set aside"
        return Cause(
            name="queue_corruption",
            owner="product",
            summary=f"{plural(len(blamed), 'request')} {how} that cannot be read: {kinds}{by}",
            evidence=_cut([Evidence(bad.ref, f"{bad.part}: {bad.defect}") for bad in blamed]),
            explains=_explained(facts, *_QUEUE_CHECKS, "stall", "completed_cycles"),
            steps=steps.present(
                *(
                    step
                    for bad in blamed[:3]
                    for step in (steps.parse(bad.path), steps.raw(bad.path))
                ),
                *_listing(facts),
            ),
        )
    if facts.queue.sound:
        count = len(facts.queue.sound)
        why = f"{plural(count, 'request')} left over, each one a whole JSON object"
        return RuledOut(name="queue_corruption", why=why, evidence=_cut(facts.queue.sound))
    handled = f", {plural(len(aside), 'corrupt one')} set aside as it should be" if aside else ""
    return RuledOut(name="queue_corruption", why=f"no request is stuck{handled}")


def _listing(facts: Facts) -> list[Step]:
    folder = facts.files / facts.target.queue.submit_dir
    if not folder.is_dir():
        return []
    listing = steps.quoted("ls", "-la", "--", folder)
    return [Step("names, sizes, permissions and owners", listing)]


def vram_not_freed(facts: Facts) -> Ruling:
    """GPU memory that stays when the server is stopped."""
    gpu = facts.gpu
    if gpu.kept:
        return Cause(
            name="vram_not_freed",
            owner="product",
            summary=gpu.kept[0].text,
            evidence=_cut(gpu.kept),
            explains=_explained(facts, "gpu_memory", "llm_lifecycle"),
            steps=steps.present(
                steps.gpu_holders(),
                steps.tail(facts.files / facts.target.llm.events, "starts and stops of the server"),
                steps.signal_of(facts, "gpu[0-9a-z]*.[a-z_]*_bytes", "the course of GPU memory"),
            ),
        )
    if gpu.absent:
        return RuledOut(name="vram_not_freed", why=f"no GPU memory here: {gpu.absent}")
    if gpu.freed:
        return RuledOut(name="vram_not_freed", why="GPU memory went back after each stop")
    return Undecided(
        name="vram_not_freed",
        why="there is a GPU, and its memory was not watched over a stop of the LLM server",
        would_decide="GPU memory sampled before, during and after a dispatch",
        steps=[steps.gpu_holders()],
    )


def memory_leak(facts: Facts) -> Ruling:
    """Growth that the rule for growth has found, over a process that lived long enough."""
    failed = facts.failed_of(*_GROWTH_CHECKS)
    course = steps.signal_of(facts, "watcher.rss_anon_bytes", "the course of anonymous memory")
    if failed:
        held = list(facts.memory.allocators)
        return Cause(
            name="memory_leak",
            owner="product",
            summary=f"the Watcher's memory grows: {failed[0].summary}",
            evidence=_cut(
                [item for one in failed for item in one.evidence][: _EVIDENCE_MAX - len(held)]
                + held
            ),
            explains=_explained(facts, *_GROWTH_CHECKS),
            steps=steps.present(
                course,
                steps.looked_at(facts),
                steps.again(facts),
            ),
        )
    outcome = facts.outcomes.get("memory_growth", "")
    if outcome == "pass":
        return RuledOut(name="memory_leak", why="its memory was followed, and does not grow")
    why = "its growth could not be judged" if facts.is_run else "one look shows no growth"
    again = steps.again(facts)
    if again is None:
        words = ["run", "soak_c", *steps.target_words(facts), "--fault", "none"]
        command = steps.quoted("chaos", *words, "--profile", "full")
        again = Step("follow its memory over a whole soak", command)
    return Undecided(
        name="memory_leak",
        why=why,
        would_decide="its anonymous memory over a longer time, or over more requests",
        steps=steps.present(course, again),
    )


def llm_connection_drop(facts: Facts) -> Ruling:
    """Calls that failed while no fault held, or a connection never taken up again."""
    llm = facts.llm
    never_again = facts.failed_of("recovery_time")
    log_steps = steps.present(
        steps.tail(facts.place / "logs" / "llm.log", "the LLM server's last words"),
        steps.tail(facts.files / facts.target.llm.events, "starts and stops of the LLM server"),
        steps.grep(
            facts.files / facts.target.decisions.path,
            [f'"{facts.target.decisions.fallback}"'],
            "the decisions without the LLM",
            last=5,
        ),
    )
    if llm.failed_outside or (never_again and not llm.contradicting):
        where = "the server was lost" if llm.server_lost else "the Watcher did not reconnect"
        if not llm.server_lost and llm.reachable:
            where += f": {llm.reachable}"
        count = plural(llm.failed_count, "decision")
        what = f"{count} without the LLM while nothing kept it away" if llm.failed_outside else ""
        told = [item for one in never_again for item in one.evidence]
        owner: Owner = "infrastructure" if llm.server_lost else "product"
        return Cause(
            name="llm_connection_drop",
            owner=owner,
            summary="; ".join(part for part in (what, where) if part),
            evidence=_cut([*llm.server_lost[:2], *told[:3], *llm.failed_outside]),
            explains=_explained(facts, *_LLM_CHECKS, "llm_slots", "llm_lifecycle"),
            steps=log_steps,
        )
    if llm.contradicting:
        return Undecided(
            name="llm_connection_drop",
            why="decisions say that they did without the LLM, yet each of their calls was answered",
            would_decide="what the proxy and the server saw of those calls",
            steps=steps.present(*(steps.at(facts, item) for item in llm.contradicting[:2]))
            + log_steps[:1],
        )
    if not llm.watched:
        return Undecided(
            name="llm_connection_drop",
            why="there are no decisions to tell by",
            would_decide="one request, and the decision that follows",
        )
    exercised = facts.planted.get(paths.LLM_DROP)
    if facts.failed_of(*_LLM_CHECKS):
        return Undecided(
            name="llm_connection_drop",
            why="a finding about the LLM failed, but no call failed while it could be reached",
            would_decide="whether the marked fallbacks are all that there were",
            steps=log_steps,
        )
    why = "every call was answered while the LLM could be reached"
    if exercised:
        why += f"; it was cut by fault {exercised} and used again afterwards"
    found = (llm.answered_last,) if llm.answered_last else ()
    return RuledOut(name="llm_connection_drop", why=why, evidence=found)


def process_died(facts: Facts) -> Ruling:
    """The Watcher ended by itself."""
    process = facts.process
    if process.contradiction:
        return Undecided(
            name="process_died",
            why=process.contradiction,
            would_decide="the process table at that time",
            steps=steps.present(*(steps.at(facts, item) for item in process.died[:2])),
        )
    if process.died:
        last = f"; its last words: {process.last_words[-1].text}" if process.last_words else ""
        return Cause(
            name="process_died",
            owner="product",
            summary=f"{process.died[0].text}{last}",
            evidence=_cut([*process.died, *process.last_words[-4:]]),
            explains=_explained(
                facts, "watcher_alive", "completed_cycles", "halt", "stall", *_QUEUE_CHECKS
            ),
            steps=steps.present(
                steps.tail(facts.place / "logs" / "watcher.log", "what it printed last"),
                *(steps.at(facts, item) for item in process.last_words[-1:]),
                steps.again(facts),
            ),
        )
    if process.alive or process.told_to_stop:
        why = process.told_to_stop or "the Watcher ran until it was told to end"
        return RuledOut(name="process_died", why=why)
    return Undecided(
        name="process_died",
        why="no process works in the folder, and nothing says how the last one ended",
        would_decide="the exit code of whoever started it",
        steps=steps.present(*(steps.at(facts, item) for item in process.last_words[-1:])),
    )


def stall(facts: Facts) -> Ruling:
    """Work waits, can be read, the Watcher lives, and nothing is done."""
    progress = facts.progress
    if progress.stuck and facts.process.alive is not False:
        flag = progress.halt_flag
        paused = f"; it is told to pause by {flag.name}" if flag else ""
        look = steps.quoted("cat", "--", flag) if flag else ""
        return Cause(
            name="stall",
            owner="product",
            summary=f"{progress.stuck[0].text}{paused}",
            evidence=_cut([*progress.stuck, *facts.queue.sound]),
            explains=_explained(facts, "stall", "completed_cycles", *_QUEUE_CHECKS),
            steps=steps.present(
                Step("who set the flag, and why", look) if flag else None,
                *_listing(facts),
                steps.tail(facts.files / "logs" / "watcher_agent.log", "what it did last"),
                steps.tail(facts.place / "logs" / "watcher.log", "what it printed last"),
            ),
        )
    if progress.stuck:
        return RuledOut(name="stall", why="the Watcher does not run, so that nothing can move")
    if progress.went_on:
        return RuledOut(name="stall", why="work was done as long as there was any")
    return Undecided(
        name="stall",
        why="nothing shows whether work went on",
        would_decide="a waiting request, and the decisions after it",
    )


def harness_or_infrastructure(facts: Facts) -> Ruling:
    """Trouble that is not the Watcher's."""
    if facts.trouble or facts.problems:
        told = [item for one in facts.trouble for item in one.evidence[:2]]
        said = facts.problems[0].text if facts.problems else facts.trouble[0].summary
        outside = facts.infrastructure or any(f.owner == "infrastructure" for f in facts.trouble)
        return Cause(
            name="harness_or_infrastructure",
            owner="infrastructure" if outside else "harness",
            summary=said,
            evidence=_cut([*facts.problems, *told]),
            explains=[finding.check for finding in facts.trouble],
            steps=steps.present(
                *(steps.at(facts, item) for item in facts.problems[:2]),
                steps.tail(facts.place / "logs" / "harness.log", "what the harness said"),
                steps.again(facts),
            ),
        )
    if facts.is_run:
        return RuledOut(
            name="harness_or_infrastructure", why="harness and infrastructure report no trouble"
        )
    return Undecided(
        name="harness_or_infrastructure",
        why="a folder alone does not show what is around it",
        would_decide="a run, which checks its own ground",
    )


RULES: Sequence[tuple[Name, Callable[[Facts], Ruling]]] = (
    ("disk_exhaustion", disk_exhaustion),
    ("queue_corruption", queue_corruption),
    ("vram_not_freed", vram_not_freed),
    ("memory_leak", memory_leak),
    ("socket_leak", leak_rules.socket_leak),
    ("descriptor_leak", leak_rules.descriptor_leak),
    ("thread_leak", leak_rules.thread_leak),
    ("children_left", leak_rules.children_left),
    ("temp_files_left", leak_rules.temp_files_left),
    ("llm_connection_drop", llm_connection_drop),
    ("process_died", process_died),
    ("stall", stall),
    ("harness_or_infrastructure", harness_or_infrastructure),
)


def _explained(facts: Facts, *checks: str) -> list[str]:
    """Those of `checks` that have failed here, in their order."""
    failed = {finding.check for finding in facts.failed}
    return [check for check in checks if check in failed]


def _cut(evidence: Sequence[Evidence]) -> list[Evidence]:
    return list(dict.fromkeys(evidence))[:_EVIDENCE_MAX]
