"""Examine the LLM server: `llm.ready_path`, then a completion of one token, then a grammar.

Each call has a timeout. A ready server is not enough: `/health` stays 200 while generation hangs,
and a server may answer a grammar that does not parse with unconstrained text and status 200. Must
not start or stop the server.
"""

import time
from collections.abc import Iterator
from functools import partial

from chaos.base.errors import EnvironmentProblem
from chaos.doctor.item import Item, Subject, short
from chaos.runner.preflight import constrained_completion
from chaos.stack.base import Endpoint
from chaos.stack.http_client import NoAnswer, call
from chaos.stack.llm_probe import FAULTY, completes

_HEALTH_LIMIT_S = 3.0
_COMPLETION_LIMIT_S = 30.0


def examine_llm(subject: Subject) -> Iterator[Item]:
    """Yield up to three items; the next one only if the previous one is in order."""
    state, seen = _health(subject.llm, subject.target.llm.ready_path)
    if state != "ok":
        start = subject.target.prerequisites.start_llm
        hint = f"start it in the workspace: {start}" if start else "start the LLM server"
        hint = f"{hint}; another address: --llm HOST:PORT"
        if state == "loading":
            hint = "wait until it has loaded"
        yield Item("llm_health", "LLM health", "problem", seen, hint)
        return
    yield Item("llm_health", "LLM health", "ok", seen)
    item = partial(Item, "llm_completion", "LLM completion")
    began_s = time.monotonic()
    if not completes(subject.llm, _COMPLETION_LIMIT_S):
        seen = f"no completion of one token within {_COMPLETION_LIMIT_S:g} s, although healthy"
        yield item("problem", seen, "restart the LLM server and read its log")
        return
    yield item("ok", f"one token in {time.monotonic() - began_s:.2f} s")
    if subject.target.llm.server is None:  # one of the daemon's own may know no grammar
        yield _grammar(subject.llm)


def _health(endpoint: Endpoint, path: str) -> tuple[str, str]:
    """(`ok`, `loading` or `down`; what the state is based on)."""
    try:
        answer = call(endpoint, "GET", path, timeout_s=_HEALTH_LIMIT_S)
    except NoAnswer as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            return "down", f"no server listens on {endpoint}"
        if error.timed_out:
            return "down", f"{endpoint} does not answer within {_HEALTH_LIMIT_S:g} s"
        return "down", f"{endpoint}: {str(error) or type(error.__cause__).__name__}"
    body = short(answer.body[:4096].decode(errors="replace"))
    if answer.status < FAULTY:  # a server without that path says 404
        return "ok", f"{endpoint} answers {answer.status} at {path}"
    state = "loading" if answer.status == 503 else "down"
    return state, f"{endpoint} answers {answer.status}: {body}"


def _grammar(endpoint: Endpoint) -> Item:
    item = partial(Item, "llm_grammar", "LLM grammar")
    try:
        answer = constrained_completion(endpoint, _COMPLETION_LIMIT_S)
    except EnvironmentProblem as problem:
        return item("problem", problem.message, "read the LLM server's log")
    if answer not in ("yes", "no"):
        seen = f"asked for yes or no under a grammar, it said {answer!r}"
        hint = "try another model or build: its decisions would not be of the agreed form"
        return item("problem", seen, hint)
    return item("ok", f"obeyed: asked for yes or no, it said {answer!r}")
