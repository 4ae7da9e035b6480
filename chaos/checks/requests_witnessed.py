"""Requests witnessed: each request file that was seen in the queue ends in the archive, once, as it
was emitted, and the archive holds nothing else.

The folders at the end show what is there; the witness saw how it came there. A request that the
daemon deletes, archives twice, makes up in the archive or exchanges for another one is found even
where names and counts are right. A file beside a request, a copy in place of a rename and notes
that are added to a request are habits, not defects.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from chaos.base.foreign import written_out
from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.queue_replay import Replay, Request, replayed
from chaos.checks.witnessed import finding_of, not_witnessed
from chaos.record.open_run import OpenRun

_KNOWN = "select name, source from emitted union all select name, 'planted' from planted"
_FILES = "select path, place from files where place is not null"
_DECIDED = "select distinct request from decisions where dispatch is not null"
# The log admits that these were not worked.
_REJECTED = "select distinct request from decisions where not completed and request is not null"
_UNREADABLE = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Judged:
    """The requests of one run, and what is known of them from elsewhere."""

    def __init__(self, run: OpenRun) -> None:
        self.run = run
        self.replay: Replay = replayed(run)
        rows = run.sql(_KNOWN)
        self.emissions = Counter(name for name, source in rows if source == "harness")
        self.planted = {name for name, source in rows if source in ("planted", "fault")}
        self.known = {name for name, _ in rows} | set(self.replay.requests)
        self.stems = {run.target.work.stem(name) for name in self.known}
        self.files: dict[str, str] = dict(
            run.sql("select path, place from files where place is not null")
        )
        self.names = {path.rpartition("/")[2] for path in self.files}
        self.rejected = {name for (name,) in run.sql(_REJECTED)}
        self.type_field = run.target.work.type_field
        self.bodies = {
            written_out(op.id): op.detail.get("body") for _, op in run.ops if op.op == "submit"
        }

    def wrong(self) -> Iterator[tuple[int, str]]:
        """(line of the witness's record, what is wrong) of each request."""
        for request in self.replay.requests.values():
            if request.name in self.planted:
                continue  # judged by what must become of it
            yield from self._deleted(request)
            yield from self._again(request)
        if self.run.target.work.finished.request:
            yield from self._made_up()
            yield from self._exchanged()

    def _deleted(self, request: Request) -> Iterator[tuple[int, str]]:
        call = request.deleted
        if call is None or request.archived or request.set_aside:
            return
        if request.name in self.rejected or request.name in self.replay.live.values():
            return
        stem = self.run.target.work.stem(request.name)
        there = request.name in self.names or any(stem in name for name in self.names)
        if not there and (request.emitted or self.emissions[request.name] or request.taken):
            yield call.line, f"{request.name} was deleted at {call.t_s:.1f} s and never archived"

    def _again(self, request: Request) -> Iterator[tuple[int, str]]:
        emitted = max(1, self.emissions[request.name] + len(request.emitted))
        if len(request.archived) > emitted:
            call, first = request.archived[emitted], request.archived[0]
            yield (
                call.line,
                f"{request.name} was archived again at {call.t_s:.1f} s, after {first.t_s:.1f} s",
            )

    def _made_up(self) -> Iterator[tuple[int, str]]:
        decided = {name for (name,) in self.run.sql(_DECIDED)}
        for path, call in self.replay.foreign.items():
            name = path.rpartition("/")[2]
            if self._belongs(name):
                continue
            looks = bool(self.type_field) and self.type_field in dict(
                _items(self._content(path)[1])
            )
            if self.files.get(path) == "archived" and (looks or name in decided):
                text = f"{name} was made in the archive at {call.t_s:.1f} s; nobody had emitted it"
                yield call.line, text

    def _belongs(self, name: str) -> bool:
        """Whether a file in the archive is a copy of a known request, or a note beside one."""
        return name in self.known or any(stem in name for stem in self.stems)

    def _exchanged(self) -> Iterator[tuple[int, str]]:
        owners = self.replay.owners()
        for path, request, line in self._archived():
            digest, content = self._content(path)
            if not digest or digest in request.digests:
                continue
            owner = owners.get(digest)
            if owner is not None and request.digests:
                yield line, f"{path} has the content of {owner}"
            elif missing := self._missing(request.name, content):
                yield line, f"{path} is not what was emitted: {missing}"

    def _archived(self) -> Iterator[tuple[str, Request, int]]:
        """(path, request, line of its coming) of each archived file, also of one copied there."""
        requests = self.replay.requests
        found = [
            (path, requests[name], requests[name].archived[-1])
            for path, name in self.replay.live.items()
            if requests[name].archived
        ]
        for path, call in self.replay.foreign.items():
            name = path.rpartition("/")[2]
            if name in requests:
                found.append((path, requests[name], call))
        for path, request, call in found:
            if self.files.get(path) == "archived" and request.name not in self.planted:
                yield path, request, call.line

    def _missing(self, name: str, content: Any) -> str:
        """What of the request is not in the archived file; "" if it is all there."""
        held: dict[str, list[Any]] = {}
        for key, value in _items(content):
            held.setdefault(key, []).append(value)
        if self.type_field and self.type_field not in held:
            return f"it has no {self.type_field}"
        for key, value in _items(self.bodies.get(name)):
            plain = isinstance(value, int) or key == self.type_field
            if plain and value not in held.get(key, []):
                return f"{key} {value} is {held.get(key, ['missing'])[0]}"
        return ""

    def _content(self, path: str) -> tuple[str, Any]:
        """(SHA-256, JSON) of a collected file; "" and None for what cannot be read."""
        try:
            content = (self.run.files / path).read_bytes()
        except OSError:
            return "", None
        try:
            return hashlib.sha256(content).hexdigest(), msgspec.json.decode(content)
        except _UNREADABLE:
            return hashlib.sha256(content).hexdigest(), None


def _items(content: Any) -> Iterator[tuple[str, Any]]:
    """(key, value) of every plain value, however deep."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _items(value) if isinstance(value, dict | list) else [(str(key), value)]
    elif isinstance(content, list):
        for value in content:
            yield from _items(value)


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None in a run without the witness, or where it saw no request."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    judged = _Judged(run)
    count = len(judged.replay.requests)
    if not count and not judged.replay.foreign:
        return []
    summary = f"{plural(count, 'request file')} followed through the queue"
    return finding_of(
        [Evidence(f"witness.jsonl:{line}", text) for line, text in sorted(judged.wrong())],
        passed=f"{summary}: none lost, repeated, made up or exchanged",
        failed=f"{summary}, {{wrong}} lost, repeated, made up or exchanged",
    )


CHECK = Check(
    name="requests_witnessed",
    says=("work.pending",),
    title="Requests witnessed",
    judge=judge,
    depends=depends_on("files", "stack"),
    always=True,
)
