"""Rules for what is taken and never given back, beside memory: sockets, descriptors, threads,
children, temporary files. One pure function a cause, as in rules.py.
"""

from collections.abc import Sequence

from chaos.checks.finding import Evidence
from chaos.triage import steps
from chaos.triage.facts import Facts
from chaos.triage.held import CHILDREN, DESCRIPTORS, FDS, SOCKETS, TEMP_FILES, THREADS, Held
from chaos.triage.result import Cause, Name, RuledOut, Ruling, Step, Undecided

_EVIDENCE_MAX = 8
# So much of the rise of the descriptors must be sockets, for the sockets to explain it.
_ACCOUNTS_PART = 0.8
# The names that the sampler counts (`chaos.witness`, which judging never imports).
TEMP_ENDINGS = (".part", ".tmp", ".temp", ".partial", ".swp", "~")
# What the growing signal itself says of the fault in the Watcher.
_MEANING = {
    "watcher.sockets_close_wait": "the other side has closed them, the Watcher never does",
    "watcher.sockets_established": "connections are opened anew, and the old ones kept",
    "watcher.zombies": "children have ended, and the Watcher never waits for them",
    "watcher.children": "children are started that never end",
    "workspace.temp_files": "they are written, and neither renamed nor removed",
}


def socket_leak(facts: Facts) -> Ruling:
    """Sockets of any state that stay, or hardly a descriptor left and most of them sockets."""
    name: Name = "socket_leak"
    held = facts.held
    if held.exhausted is not None and held.sockets >= 0.5:
        return _exhausted(facts, name, "most of them sockets")
    grown = held.of(SOCKETS, "fail")
    if not grown:
        return _without_growth(facts, name, SOCKETS, "sockets")
    explains = ["resource_growth"]
    if _are_the_sockets(facts):
        explains.append("file_descriptors")
    return _cause(facts, name, grown, explains, [*held.kinds])


def descriptor_leak(facts: Facts) -> Ruling:
    """Descriptors that stay, unless they are the sockets that stay."""
    name: Name = "descriptor_leak"
    held = facts.held
    if held.exhausted is not None and held.sockets < 0.5:
        return _exhausted(facts, name, "few of them sockets")
    grown = held.of(DESCRIPTORS, "fail")
    if not grown:
        return _without_growth(facts, name, DESCRIPTORS, "descriptors")
    if _are_the_sockets(facts):
        why = f"the descriptors that stay are sockets: {grown[0][1].text}"
        return RuledOut(name=name, why=why)
    return _cause(facts, name, grown, ["file_descriptors"], [*held.kinds])


def thread_leak(facts: Facts) -> Ruling:
    """Threads that never end."""
    return _simple(facts, "thread_leak", THREADS, "threads")


def children_left(facts: Facts) -> Ruling:
    """Children that are never waited for, or never end."""
    return _simple(facts, "children_left", CHILDREN, "child processes")


def temp_files_left(facts: Facts) -> Ruling:
    """Temporary files that stay in the working directory."""
    return _simple(facts, "temp_files_left", TEMP_FILES, "temporary files")


def _simple(facts: Facts, name: Name, keys: Sequence[str], what: str) -> Ruling:
    grown = facts.held.of(keys, "fail")
    if not grown:
        return _without_growth(facts, name, keys, what)
    return _cause(facts, name, grown, ["resource_growth"], [])


def _are_the_sockets(facts: Facts) -> bool:
    """Whether the rise of the sockets is that of the descriptors."""
    fds = facts.held.signals.get(FDS)
    rise = sum(one.rise for _, one in facts.held.of(SOCKETS, "fail"))
    return fds is not None and rise > 0 and rise >= fds.rise * _ACCOUNTS_PART


def _cause(
    facts: Facts,
    name: Name,
    grown: Sequence[tuple[str, Held]],
    explains: Sequence[str],
    more: Sequence[Evidence],
) -> Cause:
    failed = {finding.check for finding in facts.failed}
    meanings = dict.fromkeys(_MEANING[key] for key, _ in grown if key in _MEANING)
    why = f" ({'; '.join(meanings)})" if meanings else ""
    return Cause(
        name=name,
        owner="product",
        summary=f"{'; '.join(one.text for _, one in grown)}{why}",
        evidence=[*(Evidence("history.jsonl", one.text) for _, one in grown), *more][
            :_EVIDENCE_MAX
        ],
        explains=[check for check in explains if check in failed],
        steps=steps.present(
            *(steps.signal_of(facts, key, f"the course of {one.name}") for key, one in grown),
            _left_behind(facts) if name == "temp_files_left" else steps.looked_at(facts),
            steps.again(facts),
        ),
    )


def _left_behind(facts: Facts) -> Step | None:
    if not facts.files.is_dir():
        return None
    named = [word for ending in TEMP_ENDINGS for word in ("-o", "-name", f"*{ending}")][1:]
    command = steps.quoted(
        "find", facts.files, "-type", "f", "(", *named, ")", "-printf", "%T+ %s %p\\n"
    )
    return Step("which they are, the oldest first", steps.piped(command, "sort", "head -n 40"))


def _exhausted(facts: Facts, name: Name, kind: str) -> Cause:
    held = facts.held
    assert held.exhausted is not None
    listing = steps.quoted("ls", "-l", f"/proc/{held.pid}/fd")
    return Cause(
        name=name,
        owner="product",
        summary=f"{held.exhausted.text}, {kind}",
        evidence=[held.exhausted, *held.kinds],
        steps=steps.present(
            Step("what each of them is", listing) if held.pid else None, steps.closer(facts)
        ),
    )


def _without_growth(facts: Facts, name: Name, keys: Sequence[str], what: str) -> Ruling:
    """Ruled out when each of `keys` that was sampled passed, else open."""
    open_ = facts.held.of(keys, "inconclusive")
    seen = [key for key in keys if key in facts.held.signals]
    if seen and not open_:
        return RuledOut(name=name, why=f"the {what} were followed, and do not grow")
    again = steps.again(facts)
    if open_:
        why = "; ".join(one.text for _, one in open_)
    elif facts.is_run:
        why = f"the {what} were not judged in this run"
    else:
        why = "one look shows no growth"
        where = ["--workspace", str(facts.place), *steps.target_words(facts)]
        command = steps.quoted("chaos", "monitor", *where)
        again = Step(f"follow the {what}", command)
    return Undecided(
        name=name,
        why=why,
        would_decide=f"the number of {what} over a longer time, or over more requests",
        steps=steps.present(again),
    )
