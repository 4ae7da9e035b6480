"""Submit requests of the harness to the daemon: as a file, by a command, or by HTTP.

Must not know which workload or fault needs them.
"""

import contextlib
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chaos.plan.request_template import Wanted, body_of, template_of
from chaos.record.history import HistoryWriter, OpOutcome
from chaos.record.work import Work
from chaos.soaks.waiting import unanswered
from chaos.stack.base import Stack
from chaos.stack.http_client import NoAnswer, call, endpoint_and_path

PROBE_SOURCE = "soak_probe"
_OUTPUT_MAX = 300


def withdrawable(workspace: Path, work: Work) -> Path:
    """Put a request that nobody must take, where requests are files; its file."""
    stamp = datetime.now(UTC).isoformat()
    wanted = Wanted(work.named("paused_0001"), "selfplay", PROBE_SOURCE, "while paused", stamp)
    file = workspace / work.submit.folder / wanted.name
    part = file.with_name(f".{wanted.name}.part")
    part.write_text(json.dumps(body_of(template_of(work, wanted.kind), wanted)), encoding="utf-8")
    return part.rename(file)


class RequestSubmitter:
    """Makes requests from the target's templates and records each as an operation. Thread-safe.

    `stack` may be None where requests are files.
    """

    def __init__(
        self, workspace: Path, work: Work, history: HistoryWriter, stack: Stack | None = None
    ) -> None:
        self._workspace = workspace
        self._folder = workspace / work.submit.folder
        self._work = work
        self._history = history
        self._stack = stack
        self._lock = threading.Lock()
        self._probes = 0
        self._submitted: list[str] = []

    def probe(self, purpose: str) -> str:
        """Submit the smallest possible request. Returns its name."""
        with self._lock:
            self._probes += 1
            number = self._probes
        name = self._work.named(f"probe_{number:04d}")
        self.submit(
            Wanted(
                name=name,
                kind="selfplay",
                source=PROBE_SOURCE,
                reason=f"probe {name}",
                timestamp=datetime.now(UTC).isoformat(),
                sequence=number,
            ),
            purpose,
        )
        return name

    def submit_all(self, requests: Sequence[Wanted], purpose: str) -> None:
        """Submit `requests` in order. `purpose` is recorded with each."""
        for wanted in requests:
            self.submit(wanted, purpose)

    def submit(self, wanted: Wanted, purpose: str) -> None:
        """Submit one request.

        Never raises OSError. The outcome is `ok`, `fail`, or `info` (unknown: the daemon may have
        got it).
        """
        body = body_of(template_of(self._work, wanted.kind), wanted)
        detail = {
            "purpose": purpose,
            "sequence": wanted.sequence,
            "type": wanted.kind,
            "source": wanted.source,
            "body": body,  # so that what becomes of it can be compared
        }
        submit = self._work.submit
        put = self._post if submit.post else self._run if submit.command else self._put
        with self._lock:  # so that the records have the order of the requests
            outcome, error = put(wanted.name, body)
            if outcome == "ok":  # what nobody may have got is not waited for
                self._submitted.append(wanted.name)
            detail |= {"error": error} if error else {}
            self._history.op("submit", wanted.name, outcome, **detail)

    def waiting(self) -> list[str]:
        """The names of the requests that are not answered yet, including the one in progress."""
        with self._lock:
            return unanswered(self._workspace, self._work, self._submitted)

    def _put(self, name: str, body: dict[str, Any]) -> tuple[OpOutcome, str]:
        part = self._folder / f".{name}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(body, indent=2), encoding="utf-8")
        except OSError as error:  # disk full or read-only: the daemon has not seen the file
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return "fail", str(error)
        try:
            part.rename(self._folder / name)
        except OSError as error:
            return "info", str(error)
        return "ok", ""

    def _run(self, name: str, body: dict[str, Any]) -> tuple[OpOutcome, str]:
        assert self._stack is not None  # a workload gives it where requests are no files
        submit = self._work.submit
        file = self._workspace / f".{name}.work"
        try:
            file.write_text(json.dumps(body), encoding="utf-8")
            words = [w.replace("{id}", name).replace("{file}", file.name) for w in submit.command]
            done = self._stack.run(words, submit.limit_s)
        except OSError as error:
            return "fail", str(error)
        finally:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        if done.exit_code is None:
            return "info", f"the command took more than {submit.limit_s:g} s"
        if done.exit_code:
            return "fail", f"exit code {done.exit_code}: {done.output[-_OUTPUT_MAX:]}"
        return "ok", ""

    def _post(self, name: str, body: dict[str, Any]) -> tuple[OpOutcome, str]:
        submit = self._work.submit
        endpoint, place = endpoint_and_path(submit.post.replace("{id}", quote(name)))
        try:
            answer = call(endpoint, "POST", place, body, timeout_s=submit.limit_s)
        except NoAnswer as error:  # a connection that was refused has reached nobody
            refused = isinstance(error.__cause__, ConnectionRefusedError)
            return "fail" if refused else "info", str(error)
        if answer.status >= 300:
            text = answer.body[:_OUTPUT_MAX].decode(errors="replace")
            return "fail", f"status {answer.status}: {text}"
        return "ok", ""
