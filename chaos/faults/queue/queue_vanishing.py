"""queue_vanishing: requests are removed or renamed while the Watcher reads them.

Half a request appears. As soon as the Watcher has read it (its access time changes), it is removed,
or renamed and then completed. Half a request is invalid, so that the Watcher must not claim it
first. Proven by a read before each removal, and by the names being nowhere afterwards.
Source: producers that clean up, and people with `mv`.
"""

import contextlib
import os
import threading
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, probe
from chaos.faults.params import FaultParams, Value, number, text
from chaos.faults.queue import requests
from chaos.faults.queue.base import LOOK_PAUSE_S, Planted, QueueFault
from chaos.faults.queue.folder import QueueFolder, content_of, was_read
from chaos.faults.queue.producer import Producer
from chaos.stack.base import Stack

_LOOK_S = 0.005
_LIFE_S = 0.5  # of a file that nobody reads; a Watcher must not quarantine it so early


class QueueVanishing(QueueFault):
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
