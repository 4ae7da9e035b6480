"""queue_vanishing: requests that go away, or change their name, while the Watcher looks at them.

Half a request appears; as soon as the Watcher has read it (its access time moves) it is removed, or
renamed to the name under which it is then completed. A half is never a request, so that the Watcher
cannot rightly take it first. Proven by reads that were seen before each removal, and from the names
being nowhere. Source: producers that clean up after themselves, and people with `mv`.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Param, Value
from chaos.faults.queue import requests
from chaos.faults.queue.base import LOOK_PAUSE_S, Planted, QueueFault
from chaos.faults.queue.folder import QueueFolder, content_of, was_read
from chaos.faults.queue.producer import Producer
from chaos.stack.base import Stack

_LOOK_S = 0.005
_LIFE_S = 0.5  # of a file that nobody reads: shorter than what makes a half file suspicious


class QueueVanishing(QueueFault):
    """See the module."""

    name: ClassVar[str] = "queue_vanishing"
    summary: ClassVar[str] = "request files removed or renamed while the Watcher reads them"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "how",
            "text",
            "what becomes of a file once it was read",
            default="removed",
            choices=("removed", "renamed"),
        ),
        Param("files", "int", "so many files appear at most", default=40, min=1, max=1000),
        Param("reads", "int", "enough once so many were read", default=3, min=1, max=1000),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._renamed = values["how"] == "renamed"
        self._files, self._reads = int(values["files"]), int(values["reads"])
        self._vanished: list[str] = []  # read by the Watcher, then removed or renamed by us
        self._last: tuple[str, bytes] = ("", b"")  # the name and content it ends under
        self._producer: Producer | None = None

    def plan(self, stack: Stack) -> list[Planted]:
        """Names that come and go, and for `renamed` the request that is left in the end."""
        count = 1 if self._renamed else self._files
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
        """Let files come and go, in a thread."""
        folder = self.folder(stack)
        for one in self.planted:
            self.note_put(one.name)
        work = self._rename if self._renamed else self._remove
        self._producer = Producer(f"producer {self.fault_id}", lambda stop: work(folder, stop))
        self._producer.start()

    def _remove(self, folder: QueueFolder, stop: threading.Event) -> None:
        half = self._last[1][: len(self._last[1]) // 2]
        for one in self.planted:
            if stop.is_set() or len(self._vanished) >= self._reads:
                return
            os.close(folder.begin(one.name, half))
            path = folder.submit / one.name
            wait = Deadline(_LIFE_S, stop)
            while not was_read(path) and wait.wait(_LOOK_S):
                pass
            read = was_read(path)
            with contextlib.suppress(FileNotFoundError):  # the Watcher was quicker
                path.unlink()
                if read:
                    self._vanished.append(one.name)

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
        """Files were read, and are nowhere under the name under which they were read."""
        folder, enough = self.folder(stack), 1 if self._renamed else self._reads
        while True:
            gone = [name for name in self._vanished if not folder.places(name)]
            final = self._last[0]
            there = [folder.path(final, at) for at in folder.places(final)]
            whole = any(content_of(path) == self._last[1] for path in there)
            if len(gone) >= enough and (whole or not self._renamed):
                break
            if not deadline.wait(LOOK_PAUSE_S):
                break
        measured: dict[str, Any] = {"read_and_gone": len(gone), "renamed_and_whole": whole}
        if gone:
            measured["path_taken"] = f"the Watcher read {gone[0]}, and found it gone afterwards"
        return Evidence(bool(gone) and (whole or not self._renamed), measured)

    def recover(self, stack: Stack) -> None:
        """No more files come and go."""
        if self._producer is not None:
            self._producer.end()
        super().recover(stack)


def _nothing(folder: QueueFolder) -> None:
    """The producer puts it there."""
