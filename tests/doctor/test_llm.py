"""The doctor's items for the LLM server: the real one, and stand-ins with one defect each."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.base.shipped import EXPERIMENTS
from chaos.doctor import llm
from tests.doctor.conftest import examine
from tests.llm.supervised import Supervisor


@pytest.mark.stack
def test_the_real_server_has_no_problem(
    workspace: Path, supervise: Callable[..., Supervisor], model_path: Path
) -> None:
    supervisor = supervise(model_path, "--autostart")
    supervisor.await_healthy()
    seen = examine(workspace, llm=f"127.0.0.1:{supervisor.port}")
    states = {i["name"]: i["state"] for i in seen.items if i["name"].startswith("llm_")}
    assert states == {"llm_health": "ok", "llm_completion": "ok", "llm_grammar": "ok"}
    assert seen.bad() == set()
    assert seen.exit_code == ExitCode.PASS


class Sick(BaseHTTPRequestHandler):
    """Stands for an LLM server with a defect, which `health`, `tokens` and `text` set."""

    health = 200
    ready_path = ""  # the only path that it is ready at; empty: any
    tokens = 1
    text = "yes"
    hang = False
    openai = False  # knows only chats, by OpenAI's API

    def do_GET(self) -> None:
        status = self.health if self.ready_path in ("", self.path) else 500
        self._answer(status, {"error": {"message": "Loading model"}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.hang:
            self.server.released.wait(30)  # type: ignore[attr-defined]
        if self.openai:
            message = {"role": "assistant", "content": self.text}
            answer = {"choices": [{"message": message}], "usage": {"completion_tokens": 1}}
            self._answer(200 if self.path == "/v1/chat/completions" else 404, answer)
            return
        self._answer(200, {"tokens_predicted": self.tokens, "content": self.text})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def sick() -> Iterator[Callable[..., str]]:
    """`sick(health=503)` -> HOST:PORT of a server with that defect."""
    servers: list[ThreadingHTTPServer] = []

    def start(**defects: object) -> str:
        handler = type("Defective", (Sick,), defects)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.released = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


def test_a_server_that_knows_only_openais_api_has_no_problem(
    workspace: Path, sick: Callable[..., str]
) -> None:
    items = examine(workspace, llm=sick(openai=True)).items
    states = {item["name"]: item["state"] for item in items if item["name"].startswith("llm_")}
    assert states == {"llm_health": "ok", "llm_completion": "ok", "llm_grammar": "ok"}


def told(folder: Path, llm: str) -> str:
    """The reference target with these lines in its section `llm`."""
    text = (EXPERIMENTS / "targets" / "reference.yaml").read_text()
    assert "\nllm:\n" in text
    path = folder / "reference.yaml"
    path.write_text(text.replace("\nllm:\n", f"\nllm:\n  {llm}\n"))
    return str(path)


@pytest.mark.parametrize("status", [200, 404])
def test_a_server_is_asked_where_the_target_says_and_ready_below_500(
    status: int, workspace: Path, sick: Callable[..., str], tmp_path: Path
) -> None:
    target = told(tmp_path, "ready_path: /ready")
    server = sick(health=status, ready_path="/ready")
    seen = examine(workspace, "--target", target, llm=server).named("llm_health", "ok")
    assert f"answers {status} at /ready" in seen[0]["seen"]


def test_a_server_of_the_daemons_own_need_not_know_a_grammar(
    workspace: Path, sick: Callable[..., str], tmp_path: Path
) -> None:
    target = told(tmp_path, 'server: {external: "10.0.0.5:8000"}')
    seen = examine(workspace, "--target", target, llm=sick(text="Water is wet."))
    assert seen.named("llm_completion", "ok") and not seen.named("llm_grammar")


@pytest.mark.parametrize(
    ("defects", "name", "seen"),
    [
        ({"health": 503}, "llm_health", "answers 503"),
        ({"health": 500}, "llm_health", "answers 500"),
        ({"tokens": 0}, "llm_completion", "no completion of one token"),
        ({"hang": True}, "llm_completion", "although healthy"),
        ({"text": "Water is wet."}, "llm_grammar", "it said 'Water is wet.'"),
    ],
)
def test_the_examination_ends_at_the_first_defect_and_names_it(
    defects: dict[str, object],
    name: str,
    seen: str,
    workspace: Path,
    sick: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(llm, "_COMPLETION_LIMIT_S", 1.0)
    examined = examine(workspace, llm=sick(**defects))
    problems = [
        i for i in examined.items if i["name"].startswith("llm_") and i["state"] == "problem"
    ]
    assert [i["name"] for i in problems] == [name] and seen in problems[0]["seen"]
    assert examined.items[examined.items.index(problems[0]) + 1]["name"] == "namespaces"
    assert examined.exit_code == ExitCode.INVALID
