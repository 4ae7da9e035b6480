"""LLM signals against a stand-in server: healthy, loading, hung, closed; and the real server."""

from __future__ import annotations

import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.stack.base import Endpoint
from chaos.witness.base import Source, Values
from chaos.witness.llm import LLMGauges, LLMHealth, LLMProcess
from tests.waiting import wait_for

METRICS = b"# TYPE x gauge\nllamacpp:requests_processing 2\nllamacpp:requests_deferred 5\n"


def answer(status: str, body: bytes, extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


OK = answer("200 OK", b'{"status":"ok"}')
LOADING = answer("503 Service Unavailable", b'{"error":{"message":"Loading model"}}')


class StandIn:
    """Stands for an LLM server: answers each GET with `reply`, or holds it while `hung`."""

    def __init__(self) -> None:
        self.reply = OK
        self.close_after_reply = False
        self.flowing = threading.Event()
        self.flowing.set()
        self.requests: list[bytes] = []
        self.connections = 0
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                while line := self.rfile.readline():
                    while self.rfile.readline().strip():
                        pass
                    outer.requests.append(line)
                    outer.flowing.wait(20)
                    self.wfile.write(outer.reply)
                    if outer.close_after_reply:
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Stay quiet: a test that ends closes its connections."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = Endpoint("127.0.0.1", self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.flowing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


def read(source: Source) -> Values:
    values: Values = {}
    source.read(values)
    return values


def until(source: Source, met: Callable[[Values], bool]) -> Values:
    """Read until `met` is true of the values; fail with the last values at the limit."""
    last: Values = {}

    def look() -> bool:
        last.clear()
        source.read(last)
        return met(last)

    wait_for("a sample as expected", look, seen=lambda: (last, source.absences()))
    return last


def becomes(source: Source, state: str) -> None:
    until(source, lambda values: values.get("llm.health") == state)


def test_503_is_loading_and_200_is_ok(server: StandIn) -> None:
    server.reply = LOADING
    health = LLMHealth(server.endpoint)
    becomes(health, "loading")
    server.reply = OK
    becomes(health, "ok")
    health.close()


def test_any_other_status_is_down(server: StandIn) -> None:
    server.reply = answer("500 Internal Server Error", b"")
    health = LLMHealth(server.endpoint)
    becomes(health, "down")
    health.close()


def test_a_hung_server_has_at_most_one_request_in_flight(server: StandIn) -> None:
    """No answer is `hung`, not `down`. The pending request is not repeated at each read."""
    health = LLMHealth(server.endpoint, hung_after_s=0.2)
    becomes(health, "ok")
    server.flowing.clear()
    becomes(health, "hung")
    sent = len(server.requests)
    for _ in range(50):
        assert read(health) == {"llm.health": "hung"}
    assert len(server.requests) == sent
    assert server.connections == 1
    server.flowing.set()
    becomes(health, "ok")
    health.close()


def test_a_hung_request_is_sent_again_after_give_up_s(server: StandIn) -> None:
    """An answer that never comes does not blind the observer for ever."""
    health = LLMHealth(server.endpoint, hung_after_s=0.1, give_up_s=0.3)
    server.flowing.clear()
    becomes(health, "hung")
    until(health, lambda _: server.connections == 2)
    server.flowing.set()
    becomes(health, "ok")
    health.close()


def test_a_closed_port_is_down_at_the_first_read(server: StandIn) -> None:
    """A server that listens is `ok`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        health = LLMHealth(Endpoint("127.0.0.1", free.getsockname()[1]))
        assert read(health) == {"llm.health": "down"}
        health.close()
    health = LLMHealth(server.endpoint)
    becomes(health, "ok")
    health.close()


def test_one_connection_serves_many_samples(server: StandIn) -> None:
    """The connection is kept. A server that closes an idle connection is still `ok`."""
    health = LLMHealth(server.endpoint)
    until(health, lambda _: len(server.requests) >= 20)
    assert server.connections == 1
    server.close_after_reply = True
    seen: set[object] = set()
    sent = len(server.requests)

    def record(values: Values) -> bool:
        seen.add(values["llm.health"])
        return len(server.requests) >= sent + 10

    until(health, record)
    assert seen == {"ok"}
    assert server.connections > 5
    health.close()


def test_an_answer_that_arrives_byte_by_byte_is_read_completely() -> None:
    """Head and body may arrive over several reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        health = LLMHealth(Endpoint("127.0.0.1", listener.getsockname()[1]), hung_after_s=60)
        assert read(health) == {}
        assert health.absences() == {"llm.health": "no answer yet"}
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in OK[:-1]:
                connection.sendall(bytes([byte]))
                assert read(health) == {}
            connection.sendall(OK[-1:])
            becomes(health, "ok")
        health.close()


def test_gauges_are_absent_without_metrics(server: StandIn) -> None:
    """Both gauges come from `/metrics`; without it they are absent, never 0."""
    server.reply = answer("200 OK", METRICS, "Connection: close\r\n")
    server.close_after_reply = True
    gauges = LLMGauges(server.endpoint, period_s=0.01)
    values = until(gauges, lambda values: bool(values))
    assert values == {"llm.requests_processing": 2, "llm.requests_deferred": 5}
    assert gauges.absences() == {}
    server.reply = answer("501 Not Implemented", b"")
    until(gauges, lambda values: not values)
    assert gauges.absences() == {"llm.metrics": "HTTP 501"}
    gauges.close()


def test_metrics_are_requested_once_per_period(server: StandIn) -> None:
    """More frequent reads repeat the last values."""
    server.reply = answer("200 OK", METRICS)
    server.close_after_reply = True
    gauges = LLMGauges(server.endpoint, period_s=3600)
    until(gauges, lambda values: bool(values))
    for _ in range(50):
        assert read(gauges)["llm.requests_deferred"] == 5
    assert len(server.requests) == 1
    gauges.close()


def test_gauges_are_absent_if_the_connection_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gauges = LLMGauges(Endpoint("127.0.0.1", free.getsockname()[1]))
        assert read(gauges) == {}
        assert gauges.absences() == {"llm.metrics": "connection refused"}
        gauges.close()


def test_pid_follows_the_supervisors_events(tmp_path: Path) -> None:
    """The PID is present from `start` to `gone` or `crashed`, and absent in between."""
    events = tmp_path / "llm_events.jsonl"
    source = LLMProcess(events)
    assert read(source) == {} and "llm.process" in source.absences()
    pids: list[object] = []
    with events.open("a") as log:
        for event, pid in (
            ("start", 10), ("ready", 10), ("stop", 10), ("gone", 10),
            ("start", 11), ("start_refused", 11), ("crashed", 11), ("start", 12),
        ):  # fmt: skip
            log.write(json.dumps({"time_s": 1.0, "event": event, "pid": pid}) + "\n")
            log.flush()
            pids.append(read(source).get("llm.pid"))
    assert pids == [10, 10, 10, None, 11, 11, None, 12]
    source.close()


SERVE = """
import sys, threading, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
p.n_ctx, p.n_parallel, p.endpoint_metrics, p.cache_ram_mib = 512, 1, True, 0
p.cpuparams.n_threads = 1
server = xllamacpp.Server(p)
threading.Event().wait()
"""


@pytest.mark.stack
def test_health_follows_the_real_server_when_paused_resumed_and_killed(model_path: Path) -> None:
    """llama.cpp's server: ok with gauges, hung while paused, ok again, down when killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(model_path), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    health = LLMHealth(Endpoint("127.0.0.1", port), hung_after_s=0.5)
    gauges = LLMGauges(Endpoint("127.0.0.1", port), period_s=0.05)
    try:
        until(health, lambda values: values.get("llm.health") == "ok")
        assert until(gauges, lambda values: len(values) == 2)["llm.requests_processing"] == 0
        os.kill(process.pid, signal.SIGSTOP)
        becomes(health, "hung")
        os.kill(process.pid, signal.SIGCONT)
        becomes(health, "ok")
        process.kill()
        becomes(health, "down")
        until(gauges, lambda values: not values)
    finally:
        process.kill()
        process.wait()
        health.close()
        gauges.close()
