"""The live view of a run as server-sent events: an update a second, until the run has ended.

A client that goes away ends its reader. The number of streams is limited.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from anyio.to_thread import run_sync

from chaos.base.errors import ChaosError
from chaos.serve.live import LiveRun

STREAMS_MAX = 16
PERIOD_S = 1.0
_LOOK_S = 0.2  # how soon a stream notices that the server ends
_LENGTH_MAX_S = 12 * 3600.0  # then the page connects again


class Streams:
    """The open streams. `closing` says that the server is about to end."""

    def __init__(self, closing: Callable[[], bool]) -> None:
        self.closing = closing
        self.count = 0

    @property
    def full(self) -> bool:
        """True if there is no place for one more."""
        return self.count >= STREAMS_MAX

    async def events(
        self, opened: Callable[[], LiveRun], result: Callable[[], dict[str, Any] | None]
    ) -> AsyncIterator[bytes]:
        """The events of one run: `update` with its state, `end` with its result.

        `result` returns None as long as the run goes on.
        """
        self.count += 1
        run = None
        try:
            run = await run_sync(opened)
            last: dict[str, Any] = {}
            deadline_s = time.monotonic() + _LENGTH_MAX_S
            while not self.closing() and time.monotonic() < deadline_s:
                # Asked first: what the run wrote before it ended is then read.
                ended = await run_sync(result)
                new = await run_sync(run.advance)
                update = run.update()
                if new or update["rows"] != last.get("rows"):
                    yield _event("update", update)
                else:
                    yield b": nothing new\n\n"
                last = update
                if ended is not None and not new:
                    yield _event("end", ended)
                    return
                if not new:
                    await self._pause()
        except ChaosError as error:
            yield _event("problem", {"text": str(error)})
        finally:
            self.count -= 1
            if run is not None:
                run.close()

    async def _pause(self) -> None:
        until_s = time.monotonic() + PERIOD_S
        while not self.closing() and (left_s := until_s - time.monotonic()) > 0:
            await anyio.sleep(min(_LOOK_S, left_s))


def _event(name: str, content: dict[str, Any]) -> bytes:
    data = json.dumps(content, separators=(",", ":"), allow_nan=False)  # without line breaks
    return f"event: {name}\ndata: {data}\n\n".encode()
