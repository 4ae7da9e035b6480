"""The toxics: the effect of each on the chunks of one direction of one connection.

Names, attributes and meaning are those of Toxiproxy (its README, "Toxics"): times in ms (the
slicer's `delay` in µs), rate in kB/s. Toxicity is always 1, because only the seeded schedule may be
random.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

CHUNKS_MAX = 64  # waiting before one toxic; more make the sender wait
_VALUE_MAX = 10**12
_BANDWIDTH_SLICE_MS = 100

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "latency": ("latency", "jitter"),
    "bandwidth": ("rate",),
    "slow_close": ("delay",),
    "timeout": ("timeout",),
    "reset_peer": ("timeout",),
    "slicer": ("average_size", "size_variation", "delay"),
    "limit_data": ("bytes",),
}


class BadToxic(ValueError):
    """The toxic is not valid; the message says why."""


@dataclass(frozen=True)
class Chunk:
    """Bytes in transit; `read_s` is when they were read (monotonic)."""

    data: bytes
    read_s: float


# None is the end of the stream.
Chunks = asyncio.Queue[Chunk | None]


@dataclass(frozen=True)
class Toxic:
    """One toxic as the client requested it."""

    name: str
    type: str
    stream: str
    attributes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": 1,
            "attributes": self.attributes,
        }


def parse_toxic(raw: Any) -> Toxic:
    """A toxic from decoded JSON. Raises `BadToxic`."""
    if not isinstance(raw, dict):
        raise BadToxic("a JSON object is needed")
    kind, stream = raw.get("type"), raw.get("stream", "downstream")
    if kind not in ATTRIBUTES:
        raise BadToxic(f"invalid toxic type {kind!r}; known: {', '.join(ATTRIBUTES)}")
    if stream not in ("upstream", "downstream"):
        raise BadToxic("stream was invalid, can be either upstream or downstream")
    if raw.get("toxicity", 1) != 1:
        raise BadToxic("only toxicity 1 is known here")
    name = raw.get("name") or f"{kind}_{stream}"
    given = raw.get("attributes") or {}
    if not isinstance(name, str) or not isinstance(given, dict):
        raise BadToxic("name: a text, attributes: an object is needed")
    attributes = {}
    for key in ATTRIBUTES[kind]:
        value = given.get(key, 0)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 0 <= value <= _VALUE_MAX:
            raise BadToxic(f"{key}: a whole number from 0 on is needed, not {value!r}")
        attributes[key] = value
    return Toxic(name, kind, stream, attributes)


class Stage:
    """Applies one toxic in one direction of one connection: takes from `input`, gives to `output`.

    After the toxic is removed, the stage forwards everything unchanged.
    """

    def __init__(self, toxic: Toxic, output: Chunks) -> None:
        self.toxic: Toxic | None = toxic
        self.input: Chunks = asyncio.Queue(CHUNKS_MAX)
        self._output = output
        self._held: list[Chunk | None] = []  # taken but not given yet: a removal must not lose it
        self._passed_bytes = 0
        self._ended = False
        self._task = asyncio.ensure_future(self._work(toxic))

    async def remove(self) -> None:
        """Remove the toxic; a removed `timeout` closes the connection."""
        toxic, self.toxic = self.toxic, None
        await self._stop()
        if toxic is not None and toxic.type == "timeout":
            self._held = [None]
        if not self._ended:
            self._task = asyncio.ensure_future(self._pass())

    async def end(self) -> None:
        self._ended = True
        await self._stop()

    async def _stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self) -> Chunk | None:
        chunk = await self.input.get()
        self._held.append(chunk)
        return chunk

    async def _give(self, chunk: Chunk | None, rest: list[Chunk | None] | None = None) -> None:
        await self._output.put(chunk)
        self._held = rest or []

    async def _pass(self) -> None:
        while True:
            while self._held:
                await self._give(self._held[0], self._held[1:])
            await self._take()

    async def _work(self, toxic: Toxic) -> None:
        await getattr(self, f"_{toxic.type}")(toxic.attributes)  # one method for each type

    async def _latency(self, of: dict[str, int]) -> None:
        while True:
            chunk = await self._take()
            if chunk is not None:
                delay_ms = of["latency"]
                if of["jitter"]:
                    delay_ms += random.randint(-of["jitter"], of["jitter"])
                await asyncio.sleep(chunk.read_s + delay_ms / 1000 - time.monotonic())
            await self._give(chunk)

    async def _bandwidth(self, of: dict[str, int]) -> None:
        """Send slices of the size allowed in 100 ms; a rate of 0 sends nothing."""
        while True:
            chunk = await self._take()
            while chunk is not None and not of["rate"]:
                await asyncio.sleep(3600)
            slice_bytes = of["rate"] * _BANDWIDTH_SLICE_MS  # kB/s = bytes per ms
            while chunk is not None and len(chunk.data) > slice_bytes:
                await asyncio.sleep(_BANDWIDTH_SLICE_MS / 1000)
                rest = Chunk(chunk.data[slice_bytes:], chunk.read_s)
                await self._give(Chunk(chunk.data[:slice_bytes], chunk.read_s), [rest])
                chunk = rest
            if chunk is not None:
                await asyncio.sleep(len(chunk.data) / of["rate"] / 1000)
            await self._give(chunk)

    async def _slow_close(self, of: dict[str, int]) -> None:
        while True:
            chunk = await self._take()
            if chunk is None:
                await asyncio.sleep(of["delay"] / 1000)
            await self._give(chunk)

    async def _timeout(self, of: dict[str, int]) -> None:
        """Drop all data; close after so long without any (0: never), or at the end."""
        while True:
            try:
                async with asyncio.timeout(of["timeout"] / 1000 or None):
                    chunk = await self.input.get()
            except TimeoutError:
                chunk = None
            if chunk is None:
                await self._give(None)
                return

    async def _reset_peer(self, of: dict[str, int]) -> None:
        """Close some time after the first data; by a reset (see `Tunnel`)."""
        await self.input.get()
        await asyncio.sleep(of["timeout"] / 1000)
        await self._give(None)

    async def _slicer(self, of: dict[str, int]) -> None:
        while True:
            chunk = await self._take()
            while chunk is not None and len(chunk.data) > (size := _slice_bytes(of)):
                rest = Chunk(chunk.data[size:], chunk.read_s)
                await self._give(Chunk(chunk.data[:size], chunk.read_s), [rest])
                await asyncio.sleep(of["delay"] / 1_000_000)
                chunk = rest
            await self._give(chunk)

    async def _limit_data(self, of: dict[str, int]) -> None:
        while True:
            chunk = await self._take()
            if chunk is not None:
                left = max(0, of["bytes"] - self._passed_bytes)
                self._passed_bytes += len(chunk.data)
                if len(chunk.data) < left:
                    await self._give(chunk)
                    continue
                if left:
                    await self._give(Chunk(chunk.data[:left], chunk.read_s))
            await self._give(None)
            return


def _slice_bytes(of: dict[str, int]) -> int:
    vary = of["size_variation"]
    return max(1, of["average_size"] + (random.randint(-vary, vary) if vary else 0))
