"""Rules for resources that are never released, except memory: sockets, descriptors, threads, child
processes, temporary files. One pure function per cause, as in rules.py.
"""

from collections.abc import Callable, Sequence
from functools import partial

from chaos.checks.finding import Evidence
from chaos.triage import steps
from chaos.triage.facts import Facts
from chaos.triage.held import CHILDREN, DESCRIPTORS, FDS, SOCKETS, TEMP_FILES, THREADS, Held
from chaos.triage.result import Cause, Name, RuledOut, Ruling, Step, cause, undecided

# If this part of the rise of the descriptors is sockets, the sockets explain the rise.
_ACCOUNTS_PART = 0.8
# The names that the sampler counts. `chaos.witness` has the same list; judging never imports it.
TEMP_ENDINGS = (".part", ".tmp", ".temp", ".partial", ".swp", "~")
# What a growing signal means for the Watcher's code.
_MEANING = {
    "watcher.sockets_close_wait": "the other side has closed them, the Watcher never does",
    "watcher.sockets_established": "connections are opened anew, and the old ones kept",
    "watcher.zombies": "children have ended, and the Watcher never waits for them",
    "watcher.children": "children are started that never end",
    "workspace.temp_files": "they are written, and neither renamed nor removed",
}


def socket_leak(facts: Facts) -> Ruling:
    """Sockets of any state grow, or the descriptors are exhausted and most of them are sockets."""
    held = facts.held
    if held.exhausted is not None and held.sockets >= 0.5:
        return _exhausted(facts, held.exhausted, "socket_leak", "most of them sockets")
    grown = held.of(SOCKETS, "fail")
    if not grown:
        return _without_growth(facts, "socket_leak", SOCKETS, "sockets")
    explains = ["resource_growth", *(["file_descriptors"] if _are_the_sockets(facts) else [])]
    return _grown(facts, "socket_leak", grown, explains, held.kinds)


def descriptor_leak(facts: Facts) -> Ruling:
    """Descriptors grow, unless they are the growing sockets."""
    held = facts.held
    if held.exhausted is not None and held.sockets < 0.5:
        return _exhausted(facts, held.exhausted, "descriptor_leak", "few of them sockets")
    grown = held.of(DESCRIPTORS, "fail")
    if not grown:
        return _without_growth(facts, "descriptor_leak", DESCRIPTORS, "descriptors")
    if _are_the_sockets(facts):
        why = f"the descriptors that stay are sockets: {grown[0][1].text}"
        return RuledOut(name="descriptor_leak", why=why)
    return _grown(facts, "descriptor_leak", grown, ["file_descriptors"], held.kinds)


def _simple(name: Name, keys: Sequence[str], what: str, facts: Facts) -> Ruling:
    grown = facts.held.of(keys, "fail")
    if not grown:
        return _without_growth(facts, name, keys, what)
    return _grown(facts, name, grown, ["resource_growth"])


def temp_files_left(facts: Facts) -> Ruling:
    """Temporary files in the workspace grow, or files anywhere were seen to be left behind."""
    left = [item for finding in facts.failed_of("files_left") for item in finding.evidence]
    if not left:
        return _simple("temp_files_left", TEMP_FILES, "temporary files", facts)
    grown = facts.held.of(TEMP_FILES, "fail")
    return cause(
        "temp_files_left",
        f"files are created and never removed: {left[0].text}",
        [*left, *(Evidence("history.jsonl", signal.text) for _, signal in grown)],
        facts.failing("files_left", *(["resource_growth"] if grown else []), "disk_growth"),
        *(steps.at(facts, item) for item in left[:2]),
        steps.again(facts),
    )


RULES: Sequence[Callable[[Facts], Ruling]] = (
    socket_leak,
    descriptor_leak,
    partial(_simple, "thread_leak", THREADS, "threads"),
    partial(_simple, "children_left", CHILDREN, "child processes"),
    temp_files_left,
)


def _are_the_sockets(facts: Facts) -> bool:
    """True if the growing sockets account for the rise of the descriptors."""
    fds = facts.held.signals.get(FDS)
    rise = sum(signal.rise for _, signal in facts.held.of(SOCKETS, "fail"))
    return fds is not None and rise > 0 and rise >= fds.rise * _ACCOUNTS_PART


def _grown(
    facts: Facts,
    name: Name,
    grown: Sequence[tuple[str, Held]],
    explains: Sequence[str],
    kinds: Sequence[Evidence] = (),
) -> Cause:
    meanings = dict.fromkeys(_MEANING[key] for key, _ in grown if key in _MEANING)
    why = f" ({'; '.join(meanings)})" if meanings else ""
    return cause(
        name,
        f"{'; '.join(signal.text for _, signal in grown)}{why}",
        [*(Evidence("history.jsonl", signal.text) for _, signal in grown), *kinds],
        facts.failing(*explains),
        *(steps.signal_of(facts, key, f"the course of {signal.name}") for key, signal in grown),
        _temp_files(facts) if name == "temp_files_left" else steps.inspected(facts),
        steps.again(facts),
    )


def _temp_files(facts: Facts) -> Step | None:
    if not facts.files.is_dir():
        return None
    named = [word for ending in TEMP_ENDINGS for word in ("-o", "-name", f"*{ending}")][1:]
    command = steps.quoted(
        "find", facts.files, "-type", "f", "(", *named, ")", "-printf", "%T+ %s %p\\n"
    )
    return Step("which they are, the oldest first", steps.piped(command, "sort", "head -n 40"))


def _exhausted(facts: Facts, exhausted: Evidence, name: Name, kind: str) -> Cause:
    pid = facts.held.pid
    listing = steps.quoted("ls", "-l", f"/proc/{pid}/fd")
    return cause(
        name,
        f"{exhausted.text}, {kind}",
        [exhausted, *facts.held.kinds],
        (),
        Step("what each of them is", listing) if pid else None,
        steps.closer(facts),
    )


def _without_growth(facts: Facts, name: Name, keys: Sequence[str], what: str) -> Ruling:
    """Exclude the cause if each sampled signal of `keys` passed; else it is undecided."""
    inconclusive = facts.held.of(keys, "inconclusive")
    if not inconclusive and any(key in facts.held.signals for key in keys):
        return RuledOut(name=name, why=f"the {what} were sampled, and do not grow")
    again = steps.longer(facts)
    if inconclusive:
        why = "; ".join(signal.text for _, signal in inconclusive)
    elif facts.is_run:
        why = f"the {what} were not judged in this run"
    else:
        why = "one snapshot shows no growth"
        where = ["--workspace", str(facts.place), *steps.target_words(facts)]
        again = Step(f"follow the {what}", steps.quoted("chaos", "monitor", *where))
    return undecided(
        name, why, f"the number of {what} over a longer time, or over more requests", again
    )
