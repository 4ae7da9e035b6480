"""Kinds with a producer that writes half a request while the Watcher looks on."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, probe
from chaos.faults.params import FaultParams, Value, duration, number, text
from chaos.faults.queue import requests
from chaos.faults.queue.base import LOOK_PAUSE_S, Planted, QueueFault
from chaos.faults.queue.folder import QueueFolder, content_of, was_read
from chaos.faults.queue.producer import Producer
from chaos.record.request_file import defect
from chaos.stack.base import Stack

_LOOK_S = 0.005
_LIFE_S = 0.5  # of a file that nobody reads; a Watcher must not quarantine it so early


class QueueTornWrite(QueueFault):
    """A slow producer writes a request under its final name, in two parts.

    The second part follows `delay` after the Watcher has read the first one, at the latest when
    recovery gives up. Proven by reading the half back, by the Watcher's read of it (access time),
    and by the half being left in the queue. In the end it must be one request that is processed
    once. Source: scripts that write JSON directly into the folder.
    """

    name = "queue_torn_write"
    summary = "a slow producer: half a request is there before the rest is written"

    class Params(FaultParams):
        delay: Annotated[
            float, duration("from the Watcher's read of the half to the rest", 0.1, 3600.0)
        ] = 2.0

    params: Params

    _content = b""
    _producer: Producer | None = None

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._read = threading.Event()  # the Watcher has read the half

    def plan(self, stack: Stack) -> list[Planted]:
        name = self.name_of("torn_write")
        self._content = requests.encoded(self.body(stack, name))
        return [Planted(name, "archived", lambda folder: None, lambda path: "", self._content)]

    @property
    def _half(self) -> bytes:
        return self._content[: len(self._content) // 2]

    def inject(self, stack: Stack) -> None:
        name = self.planted[0].name
        handle = self.folder(stack).begin(name, self._half)
        self.note_put(name)
        path = self.folder(stack).submit / name
        self._producer = Producer(
            f"producer {name}", lambda stop: self._write_rest(handle, path, stop)
        )
        self._producer.start()

    def _write_rest(self, handle: int, path: Path, stop: threading.Event) -> None:
        try:
            while not was_read(path) and not stop.wait(LOOK_PAUSE_S):
                pass
            if was_read(path):
                self._read.set()
                stop.wait(self.params.delay)
            rest = self._content[len(self._half) :]
            while rest:
                rest = rest[os.write(handle, rest) :]
        finally:
            os.close(handle)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        folder, name = self.folder(stack), self.planted[0].name
        path = folder.submit / name
        type_field = stack.target.work.type_field

        def look(measured: dict[str, Any]) -> bool:
            read = was_read(path)
            content = content_of(path)
            if content != self._half:
                return False
            measured |= {"bytes": len(content), "wrong": defect(content, type_field)}
            if read:
                measured["path_taken"] = (
                    f"the Watcher read {name} ({measured['wrong']}) and left it where it was"
                )
            return read

        nothing_seen = {"bytes": 0, "of": len(self._content), "wrong": ""}
        evidence = probe(look, deadline, LOOK_PAUSE_S, nothing_seen)
        if not evidence.proven:
            evidence.measured["not_met"] = "nobody has read the half so far"
        return Evidence(bool(evidence.measured["wrong"]), evidence.measured)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        producer = self._producer
        if producer is None:
            return super().recovered(stack, deadline)
        half_s = deadline.limit_s / 2  # the other half is for the request to be worked off
        while producer.alive() and deadline.left_s() > half_s:
            deadline.wait(LOOK_PAUSE_S)
        producer.end()
        evidence = super().recovered(stack, deadline)
        if not self._read.is_set():
            return evidence
        return evidence.plus(met_later="the Watcher read the half before the rest was written")


class QueueVanishing(QueueFault):
    """Requests are removed or renamed while the Watcher reads them.

    Half a request appears. As soon as the Watcher has read it (its access time changes), it is
    removed, or renamed and then completed. Half a request is invalid, so that the Watcher must not
    claim it first. Proven by a read before each removal, and by the names being nowhere
    afterwards. Source: producers that clean up, and people with `mv`.
    """

    name = "queue_vanishing"
    summary = "request files removed or renamed while the Watcher reads them"

    class Params(FaultParams):
        how: Annotated[
            Literal["removed", "renamed"], text("what happens to a file once it was read")
        ] = "removed"
        files: Annotated[int, number("files at most", 1, 1000)] = 40
        reads: Annotated[int, number("stop once so many files were read", 1, 1000)] = 3

    params: Params

    _producer: Producer | None = None

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._renamed = self.params.how == "renamed"
        self._vanished: list[str] = []  # read by the Watcher, then removed or renamed
        self._last: tuple[str, bytes] = ("", b"")  # final name and content

    def plan(self, stack: Stack) -> list[Planted]:
        count = 1 if self._renamed else self.params.files
        planted = [
            Planted(self.name_of(f"vanishing_{i:03d}"), "gone", _nothing, lambda path: "")
            for i in range(1, count + 1)
        ]
        final = self.name_of("renamed")
        self._last = (final, requests.encoded(self.body(stack, final)))
        if self._renamed:
            planted.append(Planted(final, "archived", _nothing, lambda path: "", self._last[1]))
        return planted

    def inject(self, stack: Stack) -> None:
        folder = self.folder(stack)
        for file in self.planted:
            self.note_put(file.name)
        work = self._rename if self._renamed else self._remove
        self._producer = Producer(f"producer {self.fault_id}", lambda stop: work(folder, stop))
        self._producer.start()

    def _remove(self, folder: QueueFolder, stop: threading.Event) -> None:
        half = self._last[1][: len(self._last[1]) // 2]
        for file in self.planted:
            if stop.is_set() or len(self._vanished) >= self.params.reads:
                return
            os.close(folder.begin(file.name, half))
            path = folder.submit / file.name
            wait = Deadline(_LIFE_S, stop)
            while not was_read(path) and wait.wait(_LOOK_S):
                pass
            read = was_read(path)
            with contextlib.suppress(FileNotFoundError):  # the Watcher was faster
                path.unlink()
                if read:
                    self._vanished.append(file.name)

    def _rename(self, folder: QueueFolder, stop: threading.Event) -> None:
        first = self.planted[0].name
        final, content = self._last
        half = content[: len(content) // 2]
        handle = folder.begin(first, half)
        try:
            path = folder.submit / first
            while not was_read(path) and not stop.wait(_LOOK_S):
                pass
            read = was_read(path)
            path.rename(folder.submit / final)
            if read:
                self._vanished.append(first)
            os.write(handle, content[len(half) :])
        finally:
            os.close(handle)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        folder, enough = self.folder(stack), 1 if self._renamed else self.params.reads
        final, content = self._last
        gone: list[str] = []

        def look(measured: dict[str, Any]) -> bool:
            nonlocal gone
            gone = [name for name in self._vanished if not folder.places(name)]
            there = [folder.path(final, at) for at in folder.places(final)]
            whole = any(content_of(path) == content for path in there)
            measured |= {"read_and_gone": len(gone), "renamed_and_whole": whole}
            return len(gone) >= enough and (whole or not self._renamed)

        measured = probe(look, deadline, LOOK_PAUSE_S).measured
        whole = measured["renamed_and_whole"]
        if gone:
            measured["path_taken"] = f"the Watcher read {gone[0]}, which then vanished"
        return Evidence(bool(gone) and (whole or not self._renamed), measured)

    def recover(self, stack: Stack) -> None:
        if self._producer is not None:
            self._producer.end()
        super().recover(stack)


def _nothing(folder: QueueFolder) -> None:
    """The producer puts it there."""
