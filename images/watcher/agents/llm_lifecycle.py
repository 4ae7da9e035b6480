"""Stops the LLM server before heavy work, and starts it again for the evaluation.

Talks to the control API of the supervisor that owns the server. Stopped means that the process is
gone; started means that the Watcher's endpoint answers. A server that misbehaves raises nothing:
the outcome is a record for the decision log. Knows nothing of requests.

    python -m agents.llm_lifecycle start|stop|status     (cwd = workspace)
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loguru import logger

from agents.http_call import CallFailed, call
from agents.llm_client import LLMClient, poll_until
from agents.policies import LLMPolicies, PolicyFile
from agents.stop import Stop

STATUS_LIMIT_S = 2.0
START_LIMIT_S = 10.0
STOP_LIMIT_S = 20.0
PARTING_LIMIT_S = 3.0
COMMAND_PATIENCE_S = 5.0
COMMAND_PAUSE_FIRST_S = 0.1
COMMAND_PAUSE_CAP_S = 1.0
REVIVALS_MAX = 2  # restarts of a server that dies while it is waited for


class Lifecycle:
    """Starts and stops the LLM server. Methods raise Halted only."""

    def __init__(self, stop: Stop, settings: Callable[[], LLMPolicies]) -> None:
        self._stop = stop
        self._settings = settings
        self.client = LLMClient(stop, settings, self.revive)

    def status(self) -> dict[str, Any] | None:
        """The supervisor's status; None if the supervisor does not answer."""
        try:
            return self._control("GET", "/status", STATUS_LIMIT_S)
        except CallFailed:
            return None

    def stop(self) -> dict[str, Any]:
        """Stops the server, and verifies that its process is gone. Returns the record."""
        began_s = time.monotonic()
        try:
            reply = self._command("/stop", STOP_LIMIT_S)
        except CallFailed as failure:
            return _outcome(began_s, f"stop: {failure}")
        status = self.status() or reply
        stopped = status.get("state") == "stopped" and not status.get("pid")
        return _outcome(began_s, "" if stopped else "stop: the process is still there", reply)

    def start(self) -> dict[str, Any]:
        """Starts the server unless it runs, and waits until the endpoint answers.

        Returns the record.
        """
        began_s = time.monotonic()
        try:
            reply = self._command("/start", START_LIMIT_S)
        except CallFailed as failure:
            return _outcome(began_s, f"start: {failure}")
        ready = self._wait_healthy(began_s)
        return _outcome(began_s, "" if ready else "start: the endpoint does not answer", reply)

    def _wait_healthy(self, began_s: float) -> bool:
        settings = self._settings()
        deadline_s = began_s + settings.start_timeout_s
        loaded = False
        revivals = 0
        last_failure = ""

        def done() -> bool:
            nonlocal deadline_s, loaded, revivals, last_failure
            if self.client.healthy():
                return True
            try:
                status = self._control("GET", "/status", STATUS_LIMIT_S)
            except CallFailed as failure:
                # Log each reason once. The cause may be the daemon itself, for example when it
                # has no descriptor left for a connection.
                status = {}
                if str(failure) != last_failure:
                    last_failure = str(failure)
                    logger.warning(
                        "LLM server is waited for, its supervisor not heard: {}", last_failure
                    )
            if not loaded and status.get("healthy") is True:
                # The server is up, and only the connection to it is broken: wait less long.
                loaded = True
                deadline_s = min(deadline_s, time.monotonic() + settings.timeout_s)
            # A server that loads slowly is waited for. Only a dead server is started again.
            if status.get("state") == "stopped" and revivals < REVIVALS_MAX:
                revivals += 1
                self._start_again()
            return False

        return poll_until(self._stop, lambda: deadline_s, done)

    def _start_again(self) -> None:
        logger.warning("LLM server died while it was waited for; starting it again")
        try:
            self._control("POST", "/start", START_LIMIT_S)
        except CallFailed as failure:
            logger.warning("LLM server cannot be started: {}", failure)

    def revive(self) -> None:
        """Starts the server if it is stopped; otherwise does nothing."""
        status = self.status()
        if status is not None and status.get("state") == "stopped":
            logger.warning("LLM server is down; starting it")
            self.start()

    def _command(self, path: str, limit_s: float) -> dict[str, Any]:
        """Sends an idempotent command; repeats one that fails within `COMMAND_PATIENCE_S`.

        Without it one refused connection would leave the server beside the dispatch child.
        """
        end_s = time.monotonic() + COMMAND_PATIENCE_S
        pause_s = COMMAND_PAUSE_FIRST_S
        while True:
            try:
                return self._control("POST", path, limit_s)
            except CallFailed:
                if time.monotonic() + pause_s > end_s:
                    raise
            self._stop.pause(pause_s)
            pause_s = min(pause_s * 2, COMMAND_PAUSE_CAP_S)

    def _control(self, method: str, path: str, limit_s: float) -> dict[str, Any]:
        address = self._settings().control
        reply = call(self._stop, address, method, path, limit_s=limit_s)
        if reply.status != 200 or not isinstance(reply.body, dict):
            raise CallFailed(f"supervisor answered HTTP {reply.status}")
        return reply.body


def leave_running(settings: LLMPolicies) -> None:
    """Starts the server when the daemon ends during a dispatch, which had stopped it.

    The daemon's own stop does not interrupt this call, so its timeout is short.
    """
    try:
        call(Stop(None), settings.control, "POST", "/start", limit_s=PARTING_LIMIT_S)
    except CallFailed as failure:
        logger.warning("LLM server may be down: {}", failure)


def _outcome(began_s: float, error: str, reply: dict[str, Any] | None = None) -> dict[str, Any]:
    outcome: dict[str, Any] = {"ok": not error, "took_s": round(time.monotonic() - began_s, 3)}
    for key in ("pid", "generation"):
        if reply and key in reply:
            outcome[key] = reply[key]
    if error:
        outcome["error"] = error
        logger.warning("LLM lifecycle, {}", error)
    return outcome


def main(arguments: list[str]) -> int:
    """Starts, stops or shows the server by hand. Prints JSON; exit code 0 if it worked."""
    if len(arguments) != 1 or arguments[0] not in ("start", "stop", "status"):
        print("usage: python -m agents.llm_lifecycle start|stop|status", file=sys.stderr)
        return 2
    policies = PolicyFile(Path.cwd(), {})
    policies.reload()
    lifecycle = Lifecycle(Stop(None), lambda: policies.current.llm)
    outcome = {"start": lifecycle.start, "stop": lifecycle.stop, "status": lifecycle.status}
    result = outcome[arguments[0]]()
    print(json.dumps(result))
    return 0 if result is not None and result.get("ok", True) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
