"""A mark lies at the same place however the body is cut into chunks."""

from __future__ import annotations

import pytest

from chaos.stack.http_proxy.mark import ByteMark, EventMark, InsideMark, Mark

STREAM = b": hello\n\ndata: one\n\ndata: two\r\n\r\ndata: a\ndata: b\n\nid: 7\n\ndata: last\n\n"
# After which bytes 0, 1, 2, 3 and 4 events are over (a block without data is none).
PLACES = [
    0,
    STREAM.index(b"data: two"),
    STREAM.index(b"data: a"),
    STREAM.index(b"id: 7"),
    None,  # the last event ends with the body: nothing would be lost
]


def place(mark: Mark, body: bytes, size: int) -> int | None:
    for start in range(0, len(body), size):
        found = mark.before(body[start : start + size])
        if found is not None:
            return start + found
    return None


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 1000])
@pytest.mark.parametrize("count", range(5))
def test_event_mark_is_after_its_events(size: int, count: int) -> None:
    assert place(EventMark(count), STREAM, size) == PLACES[count]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_byte_mark_is_after_its_bytes(size: int) -> None:
    assert place(ByteMark(0), b"abcdef", size) == 0
    assert place(ByteMark(4), b"abcdef", size) == 4
    assert place(ByteMark(6), b"abcdef", size) is None


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 1000])
@pytest.mark.parametrize("count", range(5))
def test_inside_mark_is_within_the_next_data_line(size: int, count: int) -> None:
    stream = b"".join(b'data: {"text":"%d"}\n\n' % number for number in range(4)) + b"data: [DONE]"
    found = place(InsideMark(count), stream, size)
    assert found is not None
    before, line = stream[:found].rpartition(b"\n")[::2]
    assert before.count(b"data:") == count and line.startswith(b"data: ")
    assert stream[found : found + 1] != b"\n"
