"""Processes one request, from claim to archive.

    claim -> plan (LLM) -> LLM server stopped -> dispatch child -> LLM server started
    -> evaluation (LLM) -> commit -> publish, record, archive

Before the commit nothing outside the staging folder changes, so the request can be given up at any
time. Must not know where requests come from.
"""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import Any

from loguru import logger

from agents import files
from agents.decision_log import DecisionLog
from agents.dispatch import DISPATCH_NAMES, ChildResult, Dispatcher, request_command
from agents.llm_client import Answer
from agents.llm_lifecycle import Lifecycle, leave_running
from agents.policies import PolicyFile
from agents.publish import RESULT_NAME, Finisher, commit, promote, read_commit, staging_of
from agents.questions import EVALUATION, PLAN, evaluation_prompt, plan_prompt
from agents.request import Request, Unusable, read_request
from agents.request_queue import Poison, RequestQueue
from agents.stop import Halted, Stop, patiently


class Worker:
    """Processes requests one after the other."""

    def __init__(
        self,
        root: Path,
        stop: Stop,
        policies: PolicyFile,
        queue: RequestQueue,
        log: DecisionLog,
        lifecycle: Lifecycle,
        dispatcher: Dispatcher,
    ) -> None:
        self._root = root
        self._stop = stop
        self._policies = policies
        self._queue = queue
        self._log = log
        self._lifecycle = lifecycle
        self._dispatcher = dispatcher
        self._llm_stopped = False
        self.finisher = Finisher(root, queue, log)

    def handle(self, item: Request | Poison) -> str | None:
        """Processes a request, or quarantines a poison file.

        Returns the id of its decision; None if the file is gone. Raises Halted when asked to stop:
        then the request is back in the queue, or committed, and the next start finishes it.
        """
        if isinstance(item, Poison):
            return self._quarantine(self._queue.pending, item)
        request = patiently(self._stop, "claim", lambda: self._claim(item))
        if isinstance(request, Poison):
            return self._quarantine(self._queue.claimed, request)
        if request is None:
            return None
        staging = staging_of(self._root, request.name)
        try:
            self._work(request, staging)
        except Halted:
            self._abandon(request, staging)
            raise
        decision = patiently(
            self._stop, f"finish {request.name}", lambda: self.finisher.finish(request.name)
        )
        logger.info("{decision_id} {request_file} {dispatch} {status}", **decision)
        return str(decision["decision_id"])

    def _claim(self, item: Request) -> Request | Poison | None:
        """Claims the request and reads it again: the file may have been replaced meanwhile."""
        if not self._queue.claim(item.name):
            return None
        try:
            request = read_request(self._queue.claimed / item.name)
        except FileNotFoundError:
            return None
        except Unusable as error:
            return Poison(item.name, str(error))
        twin = self._log.processed_as(request.source, request.sequence)
        if twin:
            number = f"{request.source}, {request.sequence}"
            return Poison(item.name, f"duplicate: ({number}) was processed as {twin}")
        return request

    def _quarantine(self, folder: Path, item: Poison) -> str | None:
        logger.warning("quarantine {!a}: {}", item.name, item.reason)

        def move() -> None:
            self._queue.put_in_quarantine(folder, item.name, item.reason)

        patiently(self._stop, "quarantine", move)
        return self.record_quarantines()

    def record_quarantines(self) -> str | None:
        """Appends the decision lines that quarantined files lack. Returns the last one's id."""
        decision_id = None
        for note in self._queue.unrecorded_quarantine():
            record = functools.partial(self.finisher.record_quarantine, note)
            patiently(self._stop, "quarantine", record)
            decision_id = str(note["decision"]["decision_id"])
        return decision_id

    def _work(self, request: Request, staging: Path) -> None:
        """Runs all steps up to and including the commit."""
        began_s, started_at = time.monotonic(), files.utc_now()
        prompt = plan_prompt(request.kind, len(self._queue.pending_names()))
        plan = self._lifecycle.client.ask(PLAN, prompt)
        self._llm_stopped = True
        stopped = self._lifecycle.stop()
        child = self._dispatch(request, staging, plan.value)
        started = self._lifecycle.start()
        self._llm_stopped = False
        result = files.read_object(staging / RESULT_NAME) if child.ok else None
        answers = [plan]
        if result is not None:
            metrics = result.get("metrics")
            prompt = evaluation_prompt(metrics if isinstance(metrics, dict) else {})
            answers.append(self._lifecycle.client.ask(EVALUATION, prompt))
        record = self._record(request, answers, child, result is not None)
        if result is not None and "array_module" in result:
            record["effects"]["array_module"] = result["array_module"]
        record["started_at"], record["timestamp"] = started_at, files.utc_now()
        record["duration_s"] = round(time.monotonic() - began_s, 3)
        record["lifecycle"] = {"stop": stopped, "start": started}

        def seal() -> None:
            if result is not None and answers[-1].value == "promote":
                record["effects"]["promoted"] = promote(staging, request.kind, result)
            commit(staging, record, publish=result is not None)

        patiently(self._stop, f"commit {request.name}", seal)

    def _dispatch(self, request: Request, staging: Path, effort: str) -> ChildResult:
        command = request_command(request, staging, effort)
        limit_s = self._policies.current.dispatch_timeout_s
        return patiently(
            self._stop,
            f"dispatch {request.name}",
            lambda: self._dispatcher.run(command, staging, limit_s),
        )

    def _record(
        self, request: Request, answers: list[Answer], child: ChildResult, done: bool
    ) -> dict[str, Any]:
        number = self._log.next_number()
        fallback = any(answer.fallback for answer in answers)
        record: dict[str, Any] = {
            "decision_id": f"d{number:06d}",
            "sequence_number": number if request.sequence is None else request.sequence,
            "source": request.source,
            "request_file": request.name,
            "request_type": request.kind,
            "dispatch": DISPATCH_NAMES[request.kind],
            "status": "COMPLETED" if done else "FAILED",
            "started_at": "",
            "timestamp": "",
            "decided_by": "heuristic" if fallback else "llm",
            "llm_calls": [answer.record for answer in answers],
            "effects": {"child_pid": child.pid, "child_exit": child.exit_code},
        }
        if fallback:
            record["heuristic_fallback"] = True
        if not done:
            record["error"] = "no result was written" if child.ok else child.complaint()
        return record

    def _abandon(self, request: Request, staging: Path) -> None:
        """Puts an uncommitted request back into the queue. On a full disk the next start does."""
        if self._llm_stopped:
            leave_running(self._policies.current.llm)
            self._llm_stopped = False
        if read_commit(staging) is not None:
            return
        with contextlib.suppress(OSError):
            files.remove_tree(staging)
            self._queue.release(request.name)
            logger.info("{} goes back to the queue", request.name)
