"""A file of JSON lines in blocks of whole lines, decoded a block at a time.

A million lines cost one call for each of them otherwise. What is not plainly one object per line is
told, so that it can be read line by line. Knows nothing of what is in the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

_BLOCK_BYTES = 1 << 18  # larger ones leave the processor's cache
_NEWLINE, _OPEN, _CLOSE = b"\n{}"


class LineBlock:
    """Lines of a file: `number` is that of the first, from 1, `offset` where it begins."""

    def __init__(self, number: int, offset: int, content: bytes) -> None:
        self.number = number
        self.offset = offset
        self.content = content

    @cached_property
    def bounds(self) -> npt.NDArray[np.intp]:
        """Where each line begins, and the end of the last one."""
        ends = np.flatnonzero(self._bytes == _NEWLINE) + 1
        torn = [] if self.content.endswith(b"\n") else [len(self.content)]
        return np.concatenate([[0], ends, torn]).astype(np.intp)

    @property
    def _bytes(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.content, dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def lines(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(line number, line with its newline) of the lines at `first` to before `last`."""
        bounds = self.bounds[first : len(self) + 1 if last is None else last + 1].tolist()
        for number, (begin, end) in enumerate(pairwise(bounds), start=self.number + first):
            yield number, self.content[begin:end]

    def runs(self, prefix: bytes) -> Iterator[tuple[int, int, bool]]:
        """(first, last + 1, whether they do) of lines that all begin with `prefix`, or all not."""
        places = self.bounds[:-1, None] + np.arange(len(prefix))
        wanted = np.frombuffer(prefix, dtype=np.uint8)
        inside = np.minimum(places, len(self.content) - 1)
        begin = (self._bytes[inside] == wanted).all(axis=1)
        changes = (np.flatnonzero(begin[1:] != begin[:-1]) + 1).tolist()
        for first, last in pairwise([0, *changes, len(begin)]):
            yield first, last, bool(begin[first])

    def entries(
        self,
        decode_lines: Callable[[memoryview], list[Any]],
        first: int = 0,
        last: int | None = None,
    ) -> list[Any] | None:
        """The objects in those lines, one for each; None where they have to be read one by one.

        A line break between "}" and "{" is between two objects, wherever it comes in valid JSON:
        then as many objects as lines are one in each.
        """
        bounds = self.bounds[first : len(self) + 1 if last is None else last + 1]
        found = self._bytes
        ends = bounds[1:] - 1
        if (
            len(ends) == 0
            or not (found[ends] == _NEWLINE).all()
            or not (found[ends - 1] == _CLOSE).all()
            or not (found[bounds[:-1]] == _OPEN).all()
        ):
            return None
        try:
            entries = decode_lines(memoryview(self.content)[bounds[0] : bounds[-1]])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return entries if len(entries) == len(ends) else None


def line_blocks(stream: BinaryIO, line_bytes_max: int = -1) -> Iterator[LineBlock]:
    """All lines of `stream`; of one beyond `line_bytes_max` only the beginning, as if torn."""
    number, offset = 1, 0
    while content := stream.read(_BLOCK_BYTES):
        inside = not content.endswith(b"\n")
        if inside:
            content += stream.readline(line_bytes_max)
            inside = not content.endswith(b"\n")
        last = content.rfind(b"\n", 0, -1) + 1
        if 0 < line_bytes_max < len(content) - last:
            content = content[: last + line_bytes_max]
            while inside and (rest := stream.readline(line_bytes_max)):
                inside = not rest.endswith(b"\n")
        block = LineBlock(number, offset, content)
        yield block
        number, offset = number + len(block), stream.tell()
