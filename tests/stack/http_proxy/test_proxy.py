"""The wire proxy: what no rule strikes passes byte for byte; what one strikes is exactly that."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.stack.http_proxy.proxy import CONNECTIONS_MAX
from tests.ports import free_ports
from tests.stack.http_proxy.client import ask, read_answer
from tests.stack.http_proxy.conftest import Wire
from tests.stack.http_proxy.upstream import COMPLETION, NOISE, Upstream, completion_bytes, events
from tests.waiting import wait_for

GRAMMAR = json.dumps({"grammar": 'root ::= "{\\"verdict\\":\\"" ("promote" | "hold") "\\"}"'})


# Untouched


def test_without_a_rule_answers_pass_byte_for_byte(wire: Wire, server: Upstream) -> None:
    body = NOISE[::-1]
    seen = ask(wire.port, "/echo?x=1", body, headers="X-Mine: 7\r\n")
    assert (seen.status, seen.body) == (200, body)
    method, path, got, headers = server.requests[0]
    assert (method, path, got, headers["X-Mine"]) == ("POST", "/echo?x=1", body, "7")
    assert ask(wire.port, "/echo", body).body == body
    assert ask(wire.port, "/echo", body).status == 201
    noise = ask(wire.port, "/noise")
    assert (noise.body, noise.headers["x-own"]) == (NOISE, "kept")
    assert noise.headers["content-length"] == str(len(NOISE))
    stream = ask(wire.port, "/stream")
    assert (stream.body, stream.ended) == (b"".join(events()), "complete")
    assert ask(wire.port, "/noise", b"", method="HEAD").headers["content-length"] == str(len(NOISE))


def test_chunked_and_expect_continue_requests_pass(wire: Wire, server: Upstream) -> None:
    """The server behind reads lengths only, so what arrives there is refused or complete."""
    with socket.create_connection(("127.0.0.1", wire.port), timeout=60) as link:
        link.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert link.recv(1024).startswith(b"HTTP/1.1 100")
        link.sendall(b"abc")
        assert read_answer(link, 20).body == b"abc"
    assert server.requests[0][2] == b"abc"


def test_connection_carries_many_requests(wire: Wire) -> None:
    with socket.create_connection(("127.0.0.1", wire.port), timeout=60) as link:
        for _ in range(3):
            link.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(link, 20).body == b'{"status":"ok"}'


def test_unreachable_server_closes_the_connection(
    make_wire: Callable[[int], Wire],
) -> None:
    (nowhere,) = free_ports(1)
    wire = make_wire(nowhere)
    assert ask(wire.port, "/health", b"", method="GET").ended == "closed"
    assert wire.stats()["upstream_unreachable"] == 1


def test_stream_is_forwarded_without_delay(wire: Wire, server: Upstream) -> None:
    """Two events arrive while the server still holds the third: nothing is collected."""
    server.gate.clear()
    with socket.create_connection(("127.0.0.1", wire.port), timeout=60) as link:
        link.sendall(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        raw = b""
        while events()[1] not in raw:
            raw += link.recv(65536)
        assert events()[2] not in raw


def test_leaving_client_closes_the_servers_connection(wire: Wire, server: Upstream) -> None:
    """Otherwise the LLM server would generate an answer without a reader."""
    with socket.create_connection(("127.0.0.1", wire.port), timeout=60) as link:
        link.sendall(b"POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        wait_for("the request arrived", lambda: server.requests)
    assert server.clients_gone.wait(60)
    wait_for("the connection is forgotten", lambda: wire.stats()["connections"] == 0)


def test_memory_stays_flat_with_large_bodies(wire: Wire) -> None:
    ask(wire.port, "/noise")
    before = _rss_kb(wire)
    for _ in range(60):  # 18 MB of answers, 18 MB of requests
        ask(wire.port, "/echo", NOISE)
    assert _rss_kb(wire) - before < 6000


def _rss_kb(wire: Wire) -> int:
    text = Path(f"/proc/{wire.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    ],
)
def test_connection_without_http_is_closed_alone(wire: Wire, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", wire.port), timeout=60) as link:
        try:
            link.sendall(sent)
            assert link.recv(1024) == b""
        except OSError:
            pass  # reset while we were still sending
    assert ask(wire.port, "/health", b"", method="GET").status == 200


def test_connections_are_limited(wire: Wire) -> None:
    links = [
        socket.create_connection(("127.0.0.1", wire.port), timeout=60)
        for _ in range(CONNECTIONS_MAX)
    ]
    try:
        wait_for("all are open", lambda: wire.stats()["connections"] == CONNECTIONS_MAX)
        assert ask(wire.port, "/health", b"", method="GET").ended == "closed"
        assert wire.stats()["refused"] == 1
    finally:
        for link in links:
            link.close()
    wait_for("all are closed", lambda: wire.stats()["connections"] == 0)
    assert ask(wire.port, "/health", b"", method="GET").status == 200


# Struck


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (503, "unavailable_error"),
        (500, "server_error"),
        (429, "rate_limit_error"),
        (401, "authentication_error"),
        (400, "exceed_context_size_error"),
    ],
)
def test_error_answer_has_the_servers_format(
    wire: Wire, server: Upstream, status: int, kind: str
) -> None:
    wire.rule("status", status=status, retry_after_s=7)
    seen = ask(wire.port, "/completion")
    error = json.loads(seen.body)["error"]
    assert (seen.status, error["code"], error["type"], seen.ended) == (
        status,
        status,
        kind,
        "complete",
    )
    assert seen.headers.get("retry-after") == ("7" if status == 429 else None)
    assert server.requests == []
    assert ask(wire.port, "/health", b"", method="GET").status == 200
    assert wire.counters() == (1, 1)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (503, "server_error", None),
        (500, "server_error", None),
        (429, "requests", "rate_limit_exceeded"),
        (401, "invalid_request_error", "invalid_api_key"),
        (400, "invalid_request_error", "context_length_exceeded"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/chat/completions"])
def test_error_answer_has_openais_format_on_its_paths(
    wire: Wire, path: str, status: int, kind: str, code: str | None
) -> None:
    wire.rule("status", status=status, retry_after_s=7)
    seen = ask(wire.port, path)
    error = json.loads(seen.body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (seen.status, error["type"], error["code"], seen.ended) == (
        status,
        kind,
        code,
        "complete",
    )
    waits = [seen.headers.get(name) for name in ("retry-after", "x-ratelimit-reset-requests")]
    assert waits == (["7", "7s"] if status == 429 else [None, None])


def test_client_detects_a_truncated_body(wire: Wire) -> None:
    """The length is the original one, so an honest client sees an incomplete read."""
    wire.rule("truncate", after_bytes=10)
    seen = ask(wire.port, "/completion")
    assert (seen.body, seen.ended) == (completion_bytes()[:10], "closed")
    assert seen.headers["content-length"] == str(len(completion_bytes()))


def test_truncated_body_with_a_matching_length_is_valid_http(wire: Wire) -> None:
    wire.rule("truncate", after_bytes=10, length="rewritten")
    seen = ask(wire.port, "/completion")
    assert (seen.body, seen.ended) == (completion_bytes()[:10], "complete")
    assert seen.headers["content-length"] == "10"


@pytest.mark.parametrize("length", ["original", "rewritten"])
def test_body_that_ends_at_the_mark_is_not_struck(wire: Wire, length: str) -> None:
    """Nothing was taken from it, so nothing may be counted."""
    wire.rule("truncate", after_bytes=len(completion_bytes()), length=length)
    seen = ask(wire.port, "/completion")
    assert (seen.body, seen.ended) == (completion_bytes(), "complete")
    assert wire.counters() == (1, 0)


@pytest.mark.parametrize(("length", "ended"), [("original", "closed"), ("rewritten", "complete")])
def test_stream_is_cut_after_a_token(wire: Wire, length: str, ended: str) -> None:
    wire.rule("truncate", after_tokens=3, length=length, match={"path": "*"})
    seen = ask(wire.port, "/stream")
    assert (seen.body, seen.ended) == (b"".join(events()[:3]), ended)
    assert ask(wire.port, "/completion").body == completion_bytes()  # not streamed: left alone
    assert wire.counters() == (2, 1)


def test_stream_is_cut_within_an_event(wire: Wire) -> None:
    wire.rule("truncate", after_tokens=3, mid_event=True, match={"path": "/stream"})
    seen = ask(wire.port, "/stream")
    assert seen.ended == "closed"
    assert seen.body == b"".join(events()[:3]) + b'data: {"co'


def test_answer_that_was_due_and_has_not_the_form_is_counted(wire: Wire) -> None:
    """A stall after tokens of an answer that is not streamed; no choices where there are none."""
    params: dict[str, dict[str, Any]] = {
        "stall": {"after_tokens": 1},
        "no_choices": {},
        "no_end": {},
    }
    for kind in params:
        wire.rule(kind, **params[kind])
        assert ask(wire.port, "/completion").body == completion_bytes()
        (rule,) = wire.control("GET", "/rules")[1]["rules"]
        assert (rule["struck"], rule["missed"]) == (0, 1)


def test_stall_keeps_the_socket_open_until_the_rule_is_removed(wire: Wire) -> None:
    wire.rule("stall", after_tokens=2, match={"path": "/stream"})
    with socket.create_connection(("127.0.0.1", wire.port), timeout=60) as link:
        link.sendall(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        wait_for("it stalls", lambda: wire.counters() == (1, 1))
        first = read_answer(link, 0.3)
        assert (first.body, first.ended) == (b"".join(events()[:2]), "silent")
        wire.control("DELETE", "/rule/r")
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            rest += link.recv(65536)
    assert all(block in rest for block in events()[2:])


def test_stall_ends_after_its_time(wire: Wire) -> None:
    wire.rule("stall", after_bytes=5, stall_s=0.2)
    assert ask(wire.port, "/completion").body == completion_bytes()
    assert wire.counters() == (1, 1)


def test_leaving_client_ends_the_stall(wire: Wire) -> None:
    wire.rule("stall", after_bytes=5)
    assert ask(wire.port, "/completion", silence_s=0.2).body == completion_bytes()[:5]
    wait_for("nothing is held", lambda: wire.stats()["connections"] == 0)


def test_delay_sends_the_head_at_once_and_the_body_late(wire: Wire) -> None:
    wire.rule("delay", delay_s=60)
    seen = ask(wire.port, "/completion", silence_s=0.3)
    assert (seen.status, seen.body, seen.ended) == (200, b"", "silent")
    wire.rule("delay", delay_s=0.1)
    assert ask(wire.port, "/completion").body == completion_bytes()


def test_prose_changes_only_the_content(wire: Wire) -> None:
    wire.rule("prose")
    answer = json.loads(ask(wire.port, "/completion").body)
    assert "{" not in answer["content"]
    assert {**answer, "content": ""} == {**COMPLETION, "content": ""}


def test_wrong_decision_is_allowed_by_the_grammar_and_differs_from_the_models(wire: Wire) -> None:
    wire.rule("wrong_decision")
    seen = ask(wire.port, "/completion", GRAMMAR.encode())
    assert json.loads(seen.body)["content"] == '{"verdict":"hold"}'
    assert seen.ended == "complete"
    assert ask(wire.port, "/completion").body == completion_bytes()  # no grammar: left alone
    assert wire.counters() == (2, 1)
    wire.rule("wrong_decision", content="not allowed by the grammar")
    content = json.loads(ask(wire.port, "/completion", GRAMMAR.encode()).body)["content"]
    assert content == '{"verdict":"hold"}'


def test_streamed_answer_is_rewritten_event_by_event(wire: Wire) -> None:
    wire.rule("prose", content="Hm.", match={"path": "/stream"})
    blocks = ask(wire.port, "/stream").body.split(b"\n\n")[:-1]
    contents = [json.loads(block.removeprefix(b"data: "))["content"] for block in blocks]
    assert contents == ["Hm.", "", "", "", ""]


def test_answer_that_cannot_be_rewritten_passes_unchanged(wire: Wire) -> None:
    """Not JSON, not a completion, or larger than may be collected."""
    wire.rule("prose", match={"path": "*"})
    assert ask(wire.port, "/noise").body == NOISE
    assert ask(wire.port, "/health", b"", method="GET").body == b'{"status":"ok"}'
    large = json.dumps({"content": "x" * 2_000_000}).encode()
    seen = ask(wire.port, "/echo", large)
    assert (seen.body, seen.ended) == (large, "complete")
    assert wire.counters() == (3, 0)


def test_taken_port_gives_one_line(wire: Wire) -> None:
    ports = free_ports(2)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "chaos.stack.http_proxy", "--listen", f"127.0.0.1:{wire.port}"),
            *("--upstream", f"127.0.0.1:{ports[0]}", "--control", f"127.0.0.1:{ports[1]}"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.startswith("chaos.stack.http_proxy: cannot listen on 127.0.0.1")
    assert done.stderr.count("\n") == 1
