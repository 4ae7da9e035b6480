"""The witness of the wire on real connections: what it notes of each way in which they end."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.stack.base import Endpoint
from chaos.stack.llm_probe import completes
from chaos.stack.witness import cannot_capture
from tests.ports import free_ports
from tests.waiting import wait_for

PROGRAM = Path(__file__).resolve().parents[2] / "images" / "wire_witness"
LIMIT_S = 60.0
Line = dict[str, Any]
Take = Callable[..., tuple[bytes, bool]]

pytestmark = pytest.mark.skipif(bool(cannot_capture()), reason="needs CAP_NET_RAW")


def json_answer(content: str) -> bytes:
    body = json.dumps({"content": content, "stop_type": "eos"}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def events(*parts: dict[str, Any]) -> bytes:
    chunks = [b"data: " + json.dumps(part).encode() + b"\n\n" for part in parts]
    chunks.append(b"data: [DONE]\n\n")
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    return head + b"\r\n" + framed + b"0\r\n\r\n"


DELTAS = [
    {"choices": [{"delta": {"content": part}, "finish_reason": finish}]}
    for part, finish in (("Hel", None), ("lo", None), ("", "length"))
]
PARTS = [{"choices": [{"text": part}]} for part in ("Hel", "lo")]
END = {"choices": [{"text": "", "finish_reason": "length"}], "model": "m"}
USAGE = {"choices": [], "usage": {"completion_tokens": 2}}
CALL = {"index": 0, "function": {"name": "decide", "arguments": '{"verdict": "ho'}}
ANSWERS = {
    "/whole": json_answer("yes"),
    "/completion": json_answer("Hi"),
    "/stream": events(*DELTAS),
    "/chat": b"HTTP/1.0 200 OK\r\n\r\n"
    + json.dumps({"choices": [{"message": {"content": "no"}, "finish_reason": "stop"}]}).encode(),
    "/v1/completions": events(*PARTS, END, USAGE),
    "/tools": events(
        {"choices": [{"delta": {"role": "assistant", "content": None}}]},
        {"choices": [{"delta": {"tool_calls": [CALL]}}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
    ),
    "/no_choices": b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps({"choices": []}).encode(),
    "/mid_event": events(*DELTAS)[:-60],
    "/no_last_chunk": events(*DELTAS)[:-5],
    "/no_mark": events(*DELTAS).partition(b"e\r\ndata: [DONE]")[0],
    "/stop": events({"content": "Hi", "stop": True}).partition(b"e\r\ndata: [DONE]")[0],
    "/busy": b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    "/nothing": b"",
    "/garbled": b"no HTTP at all\r\n\r\n",
}
LEFT_OPEN = {"/no_last_chunk": b"[DONE]", "/stop": b'"stop": true', "/no_mark": b'"length"'}


class Handler(socketserver.BaseRequestHandler):
    """Answers a request by its path, as raw bytes."""

    def handle(self) -> None:
        while path := self._request():
            if path == "/reset":
                linger = struct.pack("ii", 1, 0)  # close(2) sends RST
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.request.close()
                return
            if path == "/late":
                self.server.asked.set()  # type: ignore[attr-defined]
                self.server.release.wait(LIMIT_S)  # type: ignore[attr-defined]
            with contextlib.suppress(OSError):
                self.request.sendall(ANSWERS.get(path, ANSWERS["/whole"]))
            if path not in ("/whole", "/stream", "/busy", *LEFT_OPEN):
                return

    def _request(self) -> str:
        data = b""
        with contextlib.suppress(OSError):
            while not _is_whole(data) and (more := self.request.recv(65536)):
                data += more
        return data.split(b" ")[1].decode() if b" " in data else ""


def _is_whole(request: bytes) -> bool:
    head, gap, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(gap) and len(body) >= (int(length[1]) if length else 0)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class Seen:
    """A server on the link `llm`, nobody on the link `other`, and the witness of both."""

    def __init__(self, folder: Path) -> None:
        self.port, self.other = free_ports(2)
        self.record, self.pcap = folder / "wire.jsonl", folder / "wire.pcap"
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.release = threading.Event()  # type: ignore[attr-defined]
        self.server.asked = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        argv = ["--record", str(self.record), "--pcap", str(self.pcap), f"llm={self.port}"]
        command = [sys.executable, str(PROGRAM), *argv, f"other={self.other}"]
        self.process = subprocess.Popen(command)
        wait_for("the witness captures", self.record.exists)

    def post(self, path: str) -> None:
        """Ask, and read the answer; `/late`: go away before it comes."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        with contextlib.suppress(OSError, http.client.HTTPException):
            link.request("POST", path, b'{"prompt": "x"}')
            if path == "/late":
                assert self.server.asked.wait(LIMIT_S)  # type: ignore[attr-defined]
            else:
                link.getresponse().read()
        link.close()

    def lines(self) -> list[Line]:
        """End the witness; what it has noted."""
        self.server.release.set()  # type: ignore[attr-defined]
        self.process.terminate()
        assert self.process.wait(LIMIT_S) == 0
        self.server.shutdown()
        self.server.server_close()
        return [json.loads(line) for line in self.record.read_text().splitlines()]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's modules can be imported by their own names, as it does."""
    monkeypatch.syspath_prepend(PROGRAM)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    seen = Seen(tmp_path)
    yield seen
    seen.process.kill()
    seen.process.wait(LIMIT_S)


def test_how_an_exchange_ended_is_noted(seen: Seen) -> None:
    for path in ("/whole", "/stream", "/chat", "/busy", "/cut", "/nothing", "/reset", "/garbled"):
        seen.post(path)
    lines = {line.get("path"): line for line in seen.lines()}
    noted = {path: (x["ended"], x.get("status"), x.get("text")) for path, x in lines.items()}
    assert noted == {
        "/whole": ("answered", 200, "yes"),
        "/stream": ("answered", 200, "Hello"),
        "/chat": ("answered", 200, "no"),
        "/busy": ("answered", 503, "busy"),
        "/cut": ("cut", 200, "abc"),
        "/nothing": ("cut", None, None),
        "/reset": ("reset", None, None),
        "/garbled": ("garbled", None, None),
    }
    finishes = {path: line.get("finish") for path, line in lines.items() if line.get("finish")}
    assert finishes == {"/whole": "eos", "/stream": "length", "/chat": "stop"}
    whole = lines["/whole"]
    assert (whole["method"], whole["sent"], whole["link"]) == ("POST", '{"prompt": "x"}', "llm")
    assert whole["open_s"] <= whole["time_s"] <= whole["first_byte_s"] <= whole["end_s"]
    assert not any("harness" in line for line in lines.values())


def test_answers_of_openais_api_are_put_together(seen: Seen) -> None:
    """Also one that says nothing, and one that is cut within an event."""
    for path in ("/v1/completions", "/tools", "/no_choices", "/mid_event"):
        seen.post(path)
    noted = {
        line["path"]: (line["ended"], line["text"], line.get("finish")) for line in seen.lines()
    }
    assert noted == {
        "/v1/completions": ("answered", "Hello", "length"),
        "/tools": ("answered", json.dumps([CALL]), "tool_calls"),
        "/no_choices": ("answered", '{"choices": []}', None),
        "/mid_event": ("cut", "Hello", None),
    }


def test_an_answer_that_comes_after_the_client_has_gone_is_not_taken_for_one(seen: Seen) -> None:
    seen.post("/late")
    seen.server.release.set()  # type: ignore[attr-defined]
    seen.post("/whole")
    ended = {line["path"]: line["ended"] for line in seen.lines()}
    assert ended == {"/late": "given_up", "/whole": "answered"}


def test_a_client_that_leaves_at_the_end_mark_of_a_stream_was_answered(seen: Seen) -> None:
    for path, last in LEFT_OPEN.items():
        with socket.create_connection(("127.0.0.1", seen.port), timeout=LIMIT_S) as link:
            link.sendall(
                b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % path.encode()
            )
            data = b""
            while last not in data or not data.endswith(b"\n\n\r\n"):
                data += link.recv(65536)
    ended = {line["path"]: line["ended"] for line in seen.lines()}
    assert ended == {"/no_last_chunk": "answered", "/stop": "answered", "/no_mark": "given_up"}


def test_a_client_that_ends_its_side_first_still_gets_its_answer(seen: Seen) -> None:
    with socket.create_connection(("127.0.0.1", seen.port), timeout=LIMIT_S) as link:
        link.sendall(b"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        link.shutdown(socket.SHUT_WR)
        while link.recv(65536):
            pass
    assert [line["ended"] for line in seen.lines()] == ["answered"]


def test_requests_over_a_connection_that_is_kept_are_told_apart(seen: Seen) -> None:
    link = http.client.HTTPConnection("127.0.0.1", seen.port, timeout=LIMIT_S)
    for _ in range(3):
        link.request("POST", "/whole", b"x" * 200_000)
        link.getresponse().read()
    link.close()
    lines = seen.lines()
    assert [line["connection"] for line in lines] == [1, 1, 1]
    assert [line["sent_bytes"] for line in lines] == [200_000] * 3
    assert all(len(line["sent"]) == 4096 for line in lines)


def test_connections_without_an_exchange_are_noted(seen: Seen) -> None:
    socket.create_connection(("127.0.0.1", seen.port), timeout=LIMIT_S).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", seen.other), timeout=LIMIT_S)
    idle = socket.create_connection(("127.0.0.1", seen.port), timeout=LIMIT_S)
    noted = [(line["link"], line["ended"]) for line in seen.lines()]
    idle.close()
    assert noted == [("llm", "unused"), ("other", "refused"), ("llm", "open")]


def test_exchanges_of_the_harness_are_known_and_its_polls_left_out(seen: Seen) -> None:
    completes(Endpoint("127.0.0.1", seen.port), LIMIT_S)
    link = http.client.HTTPConnection("127.0.0.1", seen.port, timeout=LIMIT_S)
    link.request("GET", "/whole", headers={"User-Agent": "chaos"})
    link.getresponse().read()
    link.close()
    (line,) = seen.lines()
    assert (line["path"], line["harness"], line["ended"]) == ("/completion", True, "answered")
    assert "text" not in line and "sent" not in line


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.usefixtures("program")
def test_both_families_are_captured_and_nothing_else(family: int) -> None:
    host = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[socket.AddressFamily(family)]
    from capture import Capture
    from streams import segment_of

    try:
        listeners = [socket.create_server((host, 0), family=family) for _ in range(2)]
    except OSError:
        pytest.skip(f"no {host} here")
    ports = [listener.getsockname()[1] for listener in listeners]
    capture = Capture(ports[:1])
    frames: list[bytes] = []
    for port in reversed(ports):
        socket.create_connection((host, port), timeout=LIMIT_S).close()

    def closed() -> bool:
        frames.extend(frame for _, frame in capture.frames())
        return len(frames) >= 4

    wait_for("the frames of a connection", closed)
    segments = [segment_of(0, frame) for frame in frames]
    ends = {(s.source.port, s.target.port) for s in segments if s is not None}
    assert len(segments) == len([s for s in segments if s is not None])
    assert all(ports[0] in pair and ports[1] not in pair for pair in ends)
    assert sum(s.opens for s in segments if s is not None) == 1  # each frame once
    capture.close()
    for listener in listeners:
        listener.close()


def test_without_the_right_to_capture_it_says_so() -> None:
    run = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    if shutil.which(run[0]) is None:
        pytest.skip("needs setpriv")
    argv = [*run, sys.executable, str(PROGRAM), "llm=1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 4
    assert "cannot capture on lo: [Errno 1] Operation not permitted" in done.stderr


@pytest.fixture
def take(program: None) -> Take:
    from streams import End, Segment, Stream

    stream, end = Stream(), End("127.0.0.1", 1)

    def take(sequence: int, data: bytes, flags: int = 16) -> tuple[bytes, bool]:
        taken = stream.take(Segment(0.0, end, end, sequence % (1 << 32), flags, data))
        return taken, stream.broken

    return take


def test_segments_out_of_order_and_sent_again_are_put_together(take: Take) -> None:
    first = (1 << 32) - 3  # the number wraps around in the middle
    take(first - 1, b"", 2)
    taken = [
        take(first + 3, b"def")[0],
        take(first, b"ab")[0],
        take(first, b"abc")[0],
        take(first + 1, b"bcdefg")[0],
        take(first + 2, b"c")[0],
        take(first + 7, b"h")[0],
    ]
    assert taken == [b"", b"ab", b"cdef", b"g", b"", b"h"]


def test_a_stream_with_missing_bytes_is_broken(take: Take) -> None:
    take(0, b"", 2)
    assert not any(broken for _, broken in (take(2 + 2 * n, b"x") for n in range(256)))
    assert take(1000, b"x") == (b"", True)


@pytest.mark.usefixtures("program")
def test_old_parts_of_the_frames_are_given_up(tmp_path: Path) -> None:
    from capture import PcapFile

    pcap = PcapFile(tmp_path / "wire.pcap", part_bytes=200, parts=3)
    for number in range(20):
        pcap.write(number * 1_000_000_001, bytes([number]) * 50)
    pcap.close()
    parts = sorted(path.name for path in tmp_path.iterdir())
    assert parts == ["wire.pcap", "wire.pcap.1", "wire.pcap.2"]
    last = (tmp_path / "wire.pcap").read_bytes()
    assert last[:4] == struct.pack("=I", 0xA1B23C4D) and last[-50:] == bytes([19]) * 50
    assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())
