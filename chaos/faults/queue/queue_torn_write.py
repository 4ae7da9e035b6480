"""queue_torn_write: a slow producer writes a request under its final name, in two parts.

The second part follows `delay` after the Watcher has read the first one, at the latest when
recovery gives up. Proven by reading the half back, by the Watcher's read of it (access time), and
by the half being left in the queue. In the end it must be one request that is processed once.
Source: scripts that write JSON directly into the folder.
"""

import os
import threading
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, probe
from chaos.faults.params import FaultParams, Value, duration
from chaos.faults.queue import requests
from chaos.faults.queue.base import LOOK_PAUSE_S, Planted, QueueFault
from chaos.faults.queue.folder import content_of, was_read
from chaos.faults.queue.producer import Producer
from chaos.record.request_file import defect
from chaos.stack.base import Stack


class QueueTornWrite(QueueFault):
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
        type_field = stack.target.queue.type_field

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
