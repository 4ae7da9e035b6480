"""What became of each request file, replayed from the witnessed calls.

A request is known by its file name when it first lay in the queue, and is followed through renames
and links, wherever they lead. A call is noted before it happens and may fail: one that is made
again for the same file changes nothing.
"""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chaos.record.open_run import OpenRun
from chaos.record.work import Work

_CALLS = """
select line, t_s, call, path, to_path, sha256, place, to_place from file_ops
where service not in ('injector', 'probe') and (call in ('rename', 'link', 'unlink')
    or (call = 'open' and place is not null)) order by line
"""
_QUEUED = ("pending", "claimed")


class FileCall(NamedTuple):
    """One row of `file_ops`."""

    line: int
    t_s: float
    call: str
    path: str
    to_path: str | None
    sha256: str | None
    place: str | None
    to_place: str | None
    name: str = ""  # of the request that the file at `path`, and at `to_path`, belongs to
    to_name: str = ""


@dataclass
class Request:
    """One request file. `archived`: each time it came into the archive."""

    name: str
    emitted: list[FileCall] = field(default_factory=list)  # by the daemon itself
    digests: set[str] = field(default_factory=set)  # before it was archived
    taken: FileCall | None = None  # the first call that moved it out of the pending ones
    archived: list[FileCall] = field(default_factory=list)
    set_aside: bool = False
    deleted: FileCall | None = None


@dataclass
class Replay:
    """`requests` by name; `live`: path -> name of the request that lies there; `foreign`: files
    that came into the archive and were no request before.
    """

    requests: dict[str, Request] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, FileCall] = field(default_factory=dict)

    def of(self, name: str) -> Request:
        """The request of that name."""
        return self.requests.setdefault(name, Request(name))

    def owners(self) -> dict[str, str]:
        """SHA-256 -> the request that was seen with that content."""
        return {d: r.name for r in self.requests.values() for d in r.digests}

    def take(self, call: FileCall) -> None:
        """Apply one call."""
        if call.call == "unlink":
            self._delete(call)
        elif call.call == "open":
            if call.path not in self.live:
                self._appear(call, call.path, call.place, call.name)
        elif call.to_path is not None:
            self._move(call, call.to_path)

    def _delete(self, call: FileCall) -> None:
        name = self.live.pop(call.path, None)
        if name is None and call.place in _QUEUED:
            name = call.name
            if self.of(name).taken is not None:
                return  # it has moved on: a clean-up that finds nothing, or of a repeated file
        if name is not None and call.place != "archived":
            self.of(name).deleted = call

    def _move(self, call: FileCall, to: str) -> None:
        name = self.live.get(call.path)
        if name is None and call.place in _QUEUED:
            name = call.name
            if self.live.get(to) == name:
                return  # made again, because it had failed
        if name is None:
            if to not in self.live:
                self._appear(call, to, call.to_place, call.to_name)
            if call.sha256 is None:
                self._move_folder(call, to)
            return
        if call.call == "rename":
            self.live.pop(call.path, None)
        known, request = self.live.get(to), self.of(name)
        self.live[to] = name
        if call.to_place == "archived":
            if known != name and call.place != "archived":
                request.archived.append(call)
        elif call.sha256 is not None and not request.archived:
            request.digests.add(call.sha256)
        if call.place == "pending" and call.to_place != "pending":
            request.taken = request.taken or call
        request.set_aside |= call.to_place == "quarantined"

    def _move_folder(self, call: FileCall, to: str) -> None:
        # Of a file the hash is known.
        inside = [path for path in self.live if path.startswith(f"{call.path}/")]
        for path in inside:
            self.live[to + path.removeprefix(call.path)] = self.live.pop(path)

    def _appear(self, call: FileCall, path: str, place: str | None, name: str) -> None:
        """A file that was no request comes to lie at `path`; an opened one may have been there."""
        if place in _QUEUED:
            request = self.of(name)
            self.live[path] = name
            if call.call != "open":
                request.emitted.append(call)
                request.digests |= {call.sha256} if call.sha256 else set()
            elif place == "pending" and request.taken is None:
                request.emitted.append(call)
        elif place == "archived":
            self.foreign.setdefault(path, call)
        elif place == "quarantined":
            self.of(name).set_aside = True


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def replayed(run: OpenRun) -> Replay:
    """The replay of a run; made once."""
    return run.once("queue_replay", _replay)


def _replay(run: OpenRun) -> Replay:
    replay, work = Replay(), run.target.work
    rows: list[Any] = run.sql(_CALLS)
    for row in rows:
        call = FileCall(*row)
        name, place = _request(work, call.path, call.place)
        to_name, to_place = _request(work, call.to_path or "", call.to_place)
        replay.take(call._replace(name=name, place=place, to_name=to_name, to_place=to_place))
    return replay


def _request(work: Work, path: str, place: Any) -> tuple[str, str | None]:
    """(the request that the file belongs to, its place; None where it is no request there)."""
    name = _name(path)
    if place not in _QUEUED:
        return name, place
    request = work.request_of(name, place)
    return request or name, place if request else None


class Child(NamedTuple):
    """A process of the daemon. `words`: its command line, split where a shell or `=` would."""

    line: int
    start_s: float
    words: list[str]


_PROCESSES = """
select line, start_s, array_to_string(argv, ' ') from processes
where service not in ('injector', 'probe') and argv is not null order by start_s, line
"""


def children_by_request(run: OpenRun) -> dict[str, list[Child]]:
    """Name of a request -> the processes whose command line names it, in order of start."""
    return run.once("children_by_request", _children)


def _children(run: OpenRun) -> dict[str, list[Child]]:
    names = {name for (name,) in run.sql("select distinct name from emitted")}
    names |= set(replayed(run).requests)
    stem = run.target.work.stem
    by_word = {stem(name): name for name in names} | {name: name for name in names}
    found: dict[str, list[Child]] = {}
    for line, start_s, text in run.sql(_PROCESSES):
        child = Child(line, start_s, re.split(r"[\s=]+", text))
        named = {by_word.get(_name(word.rstrip("/"))) for word in child.words}
        for name in named - {None}:
            found.setdefault(str(name), []).append(child)
    return found
