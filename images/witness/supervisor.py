"""Looks at each watched call before it happens, notes it, and lets it go on.

One thread answers all listeners, in the order in which the calls arrive. What a call will do is
read while its process waits: the path, what is about to be published (its size and SHA-256), the
processor time of a process that ends. Whether the kernel then did the call is not seen. A call that
a rule changes (rules.py) is noted with what was done to it; one that waits is looked at, noted and
let go on when it is due, and holds up no other.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import select
import signal
import stat
import time
from collections.abc import Callable
from typing import Any

import caller
from calls import Call, by_number
from guard import Guard
from record import Record
from rules import Held, HeldCalls, Rule, Rules
from seccomp import Notice, fail, let_go_on, receive, waits

_HASHED_BYTES_MAX = 64 << 20  # of a larger file the size alone is noted
_CHUNK_BYTES = 1 << 20
_IDLE_S = 0.2
_NO_FILES = ("/dev/", "/proc/")
_PIDFD_SEND_SIGNAL = 424


class Supervisor:
    """Answers the calls of the processes that were handed to it."""

    def __init__(self, record: Record, root: str = "", guard: Guard | None = None) -> None:
        """Paths below `root` are noted from there on. `guard`: who gets no signal."""
        self.rules = Rules()
        self._held = HeldCalls()
        self._record = record
        self._guard = guard or Guard()
        self._root = f"{root.rstrip('/')}/" if root else ""
        self._calls = by_number()
        self._poll = select.poll()
        self._listeners: dict[int, str] = {}  # -> whose processes are under it
        self._others: dict[int, Callable[[], None]] = {}
        self._ends: dict[int, int] = {}  # pidfd -> pid
        self._processes: dict[int, str] = {}  # pid -> its service
        self._thread_of: dict[int, int] = {}  # thread -> process; kept small

    def watch(self, listener: int, name: str, pid: int) -> None:
        """Take the listener of a process that has just put itself under the filter."""
        self._listeners[listener] = name
        self._poll.register(listener, select.POLLIN)
        self._record.write("enter", pid=pid, service=name)

    def also(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call `ready` when `descriptor` can be read."""
        self._others[descriptor] = ready
        self._poll.register(descriptor, select.POLLIN)

    @property
    def busy(self) -> bool:
        """Whether any watched process is left, or its end still to be noted.

        The kernel may let go of a filter before it tells that its last process ended.
        """
        return bool(self._listeners or self._ends)

    def step(self) -> None:
        """Wait for the next events, at most `_IDLE_S`, and answer them."""
        wait_s = self._held.left_s(time.monotonic(), _IDLE_S)
        for descriptor, event in self._poll.poll(wait_s * 1000):
            if descriptor in self._listeners:
                if event & select.POLLIN:
                    self._look(descriptor)
                elif event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                    self._drop(descriptor)  # the last process under this filter is gone
            elif descriptor in self._ends:
                self._ended(descriptor)
            else:
                self._others[descriptor]()
        self._let_go()
        self._record.flush_if_due()

    def no_longer(self, descriptor: int) -> Rule | None:
        """Undo `also`. The rule that came over `descriptor` goes, and lets go of its calls."""
        self._poll.unregister(descriptor)
        del self._others[descriptor]
        rule = self.rules.drop(descriptor)
        if rule is not None:
            self._held.release(rule)
            self._let_go()
        return rule

    def _let_go(self) -> None:
        """Answer the calls that were held back long enough."""
        for held in self._held.due(time.monotonic()):
            self._consider(held.listener, held.notice, held)

    def _drop(self, listener: int) -> None:
        self._held.forget(listener)
        self._poll.unregister(listener)
        del self._listeners[listener]
        os.close(listener)

    def _look(self, listener: int) -> None:
        notice = receive(listener)
        if notice is not None:
            self._consider(listener, notice)

    def _consider(self, listener: int, notice: Notice, held: Held | None = None) -> None:
        """Note a call and answer it, unless a rule holds it back. `held`: it was held back."""
        try:
            facts = self._facts(notice)
        except (OSError, ValueError) as error:
            facts = {"unread": str(error)}
        if facts is None or not waits(listener, notice):
            let_go_on(listener, notice)
            return
        service = self._listeners[listener]
        pid = self._process(notice.tid, service)
        thread = None if notice.tid == pid else notice.tid
        refused = self._guard.refuses(facts["target"]) if facts.get("signal") else False
        name = self._calls[notice.number].name
        rule = None
        if not (refused or held or "unread" in facts):
            rule = self.rules.striking(service, name, pid, facts)
        if rule is not None and rule.action == "delay":
            self._held.hold(listener, notice, rule, time.monotonic())
            return
        changed = _waited(held) if held else rule.note() if rule else {}
        facts |= {"thread": thread, "refused": refused or None, **changed}
        self._record.write(name, pid=pid, **facts)
        if refused:
            fail(listener, notice, errno.EPERM)
        elif rule is not None:
            self._change(listener, notice, rule, pid)
        else:
            let_go_on(listener, notice)

    def _change(self, listener: int, notice: Notice, rule: Rule, pid: int) -> None:
        """Let the call fail, or end its process in its place."""
        rule.struck += 1
        if rule.action == "fail":
            fail(listener, notice, rule.code)
            return
        service = self._processes.get(pid)
        struck = [
            descriptor
            for descriptor, owner in self._ends.items()
            if owner == pid or (rule.whole and self._processes.get(owner) == service)
        ]
        if not struck:
            let_go_on(listener, notice)
            return
        # By descriptors: a number could be another process's by now. No answer is due then.
        for descriptor in struck:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    def _process(self, tid: int, service: str) -> int:
        """The process of that thread; one that was never seen before is noted."""
        if tid in self._processes:
            return tid
        pid = self._thread_of.get(tid, 0)
        if pid in self._processes:
            return pid
        try:
            pid = caller.process_of(tid)
            if pid not in self._processes:
                parent, ticks = caller.birth(pid)
                self._processes[pid] = service
                self._await_end(pid)
                self._record.write(
                    "process",
                    pid=pid,
                    parent=parent,
                    service=service,
                    start_ticks=ticks,
                    argv=caller.arguments_of(pid),
                )
        except OSError:
            return tid
        if pid != tid:
            self._thread_of[tid] = pid
        return pid

    def _await_end(self, pid: int) -> None:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return
        self._ends[descriptor] = pid
        self._poll.register(descriptor, select.POLLIN)

    def _ended(self, descriptor: int) -> None:
        pid = self._ends.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        self._processes.pop(pid, None)
        self._thread_of = {tid: owner for tid, owner in self._thread_of.items() if owner != pid}
        self._record.write("end", pid=pid)

    # -- what a call says ---------------------------------------------------------------------

    def _facts(self, notice: Notice) -> dict[str, Any] | None:
        """What is noted of that call; None for what is not worth a line."""
        call = self._calls[notice.number]
        arguments, tid = notice.arguments, notice.tid
        facts: dict[str, Any] = {}
        if call.path >= 0:
            facts["path"] = _path(tid, arguments, call.path, call.folder)
        if call.to >= 0:
            facts["to"] = _path(tid, arguments, call.to, call.to_folder)
            facts |= _published(tid, facts["path"])
            facts |= _cut(tid, facts["to"], facts.get("bytes", _HASHED_BYTES_MAX))
        if call.descriptor >= 0 and call.address < 0:
            facts["path"] = caller.descriptor_path(tid, arguments[call.descriptor] & 0xFFFFFFFF)
        known = _ADDED.get(call.name, _nothing)(call, notice, facts)
        if known is not None and self._root:
            for key in known.keys() & {"path", "to"}:
                known[key] = known[key].removeprefix(self._root)
        return known


def _waited(held: Held) -> dict[str, Any]:
    """What is noted of a call that was held back."""
    held.rule.struck += 1
    return {"rule": held.rule.id, "delayed_ms": round((time.monotonic() - held.since_s) * 1000, 3)}


def _path(tid: int, arguments: tuple[int, ...], place: int, folder: int) -> str:
    return caller.path_at(tid, arguments[place], arguments[folder] if folder >= 0 else caller.CWD)


def _plain(tid: int, path: str) -> tuple[int, int] | None:
    """(descriptor, size) of a plain file, as the caller sees it: it may have another root."""
    try:
        descriptor = os.open(f"/proc/{tid}/root{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status.st_size
    os.close(descriptor)
    return None


def _published(tid: int, path: str) -> dict[str, Any]:
    """Size and SHA-256 of the file that gets a new name; nothing for what is no plain file."""
    file = _plain(tid, path)
    if file is None:
        return {}
    descriptor, size = file
    try:
        if size > _HASHED_BYTES_MAX:
            return {"bytes": size}
        digest = hashlib.sha256()
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            digest.update(chunk)
        return {"bytes": size, "sha256": digest.hexdigest()}
    finally:
        os.close(descriptor)


def _cut(tid: int, path: str, kept: int) -> dict[str, Any]:
    """How many bytes of whole lines the file loses beyond `kept`; nothing where it loses none.

    Half a line at its end does not count: that is what a repair cuts off.
    """
    file = _plain(tid, path)
    if file is None:
        return {}
    descriptor, size = file
    try:
        begin = max(kept, size - _CHUNK_BYTES)
        lines = os.pread(descriptor, max(0, size - begin), begin).rfind(b"\n") + 1
        lost = begin - kept + lines
        return {"cut_bytes": lost} if lost else {}
    finally:
        os.close(descriptor)


def _nothing(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any]:
    return facts


def _open(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any] | None:
    if facts["path"].startswith(_NO_FILES) and not facts["path"].startswith("/dev/shm/"):
        return None
    if call.flags >= 0:
        facts["flags"] = notice.arguments[call.flags] & 0xFFFFFFFF
    # creat(2) always truncates; the flags of openat2 are not read.
    flags = facts.get("flags", os.O_TRUNC if call.folder < 0 else 0)
    return facts | (_cut(notice.tid, facts["path"], 0) if flags & os.O_TRUNC else {})


def _truncate(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any]:
    return facts | _cut(notice.tid, facts["path"], notice.arguments[call.value])


def _sync(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any]:
    return facts | _published(notice.tid, facts["path"])


def _exec(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any] | None:
    if not os.path.exists(f"/proc/{notice.tid}/root{facts['path']}"):
        return None  # a search along PATH tries many
    return facts | {"argv": caller.arguments_at(notice.tid, notice.arguments[call.path + 1])}


def _exit(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any]:
    used_s = caller.cpu_s(caller.process_of(notice.tid))
    return {"code": notice.arguments[call.value] & 0xFF, "cpu_s": used_s}


def _kill(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any] | None:
    if call.thread >= 0:
        thread = notice.arguments[call.thread] & 0xFFFFFFFF
        if caller.process_of(thread) == caller.process_of(notice.tid):
            return None  # some runtimes signal their own threads a hundred times a second
    target = notice.arguments[call.process] & 0xFFFFFFFF
    if notice.number == _PIDFD_SEND_SIGNAL:
        target = caller.process_behind(notice.tid, target)
    target = target - (1 << 32) if target >> 31 else target
    # Of a group its leader is looked at, who has the group's number.
    filtered = caller.filtered(abs(target)) if abs(target) > 1 else None
    signal = notice.arguments[call.signal] & 0xFFFFFFFF
    return {"target": target, "signal": signal, "target_watched": filtered}


def _connect(call: Call, notice: Notice, facts: dict[str, Any]) -> dict[str, Any] | None:
    arguments = notice.arguments
    size = arguments[call.value] & 0xFFFFFFFF
    address = caller.address_at(notice.tid, arguments[call.address], size)
    return {"address": address} if address else None


_ADDED = {
    "open": _open,
    "truncate": _truncate,
    "fsync": _sync,
    "exec": _exec,
    "exit": _exit,
    "kill": _kill,
    "connect": _connect,
}
