"""Assembles the Watcher and runs its loop: diagnose draws, process one request, wait.

Must not know how a request is processed, or what a draw means.
"""

from __future__ import annotations

import time
from pathlib import Path

from loguru import logger

from agents import files
from agents.decision_log import DecisionLog
from agents.diagnostics import DEFAULT_TRIGGERS
from agents.dispatch import Dispatcher, pipeline_command
from agents.draws import DrawWatcher
from agents.llm_lifecycle import Lifecycle
from agents.logs import RotatingFile, set_up_logging
from agents.memory_report import REPORT_NAME, MemoryReport
from agents.policies import PolicyFile
from agents.publish import WORK_FOLDER, artefacts, publish_files
from agents.recovery import recover
from agents.request_queue import RequestQueue
from agents.status import HALT_NAME, StatusFile
from agents.stop import Halted, Stop, patiently
from agents.worker import Worker

LLM_LOOK_PERIOD_S = 5.0
TROUBLE_PAUSE_FIRST_S = 0.5
TROUBLE_PAUSE_CAP_S = 5.0


class Watcher:
    """The parts of one Watcher, over one workspace. The caller must hold the instance lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stop = Stop(root / HALT_NAME)
        self.policies = PolicyFile(root, DEFAULT_TRIGGERS)
        self.policies.reload()
        settings = self.policies.current
        logs = root / "logs"
        set_up_logging(logs / "watcher_agent.log", settings.rotation_bytes, settings.log_retention)
        self.dispatcher = Dispatcher(
            root, self.stop, RotatingFile(logs / "dispatch.log", settings.rotation_bytes, 1)
        )
        self.status = StatusFile(root)
        self.queue = RequestQueue(root)
        self.log = DecisionLog(root)
        self.draws = DrawWatcher(root, self.stop, self.queue)
        self.lifecycle = Lifecycle(self.stop, lambda: self.policies.current.llm)
        self.worker = Worker(
            root, self.stop, self.policies, self.queue, self.log, self.lifecycle, self.dispatcher
        )
        self._llm_looked_s = float("-inf")

    def run_daemon(self) -> int:
        """Works until asked to stop. Returns the exit code."""
        self.stop.install()
        MemoryReport(self.root / REPORT_NAME).install(self.stop)
        try:
            patiently(self.stop, "start", self._prepare)
            self.status.show("idle")
            logger.info("ready")
            self._bring_up_llm()
            self._loop()
        except Halted as halted:
            logger.info("stopping: {}", halted)
        self.status.show("stopped")
        logger.info("stopped")
        return 0

    def _prepare(self) -> None:
        self.policies.create_if_missing()
        self.log.load()
        recover(self.root, self.queue, self.worker)
        self.draws.load()

    def _bring_up_llm(self) -> None:
        """Starts the LLM server and waits for it, within its limits, if it is not healthy.

        A Watcher that was killed during a dispatch leaves the server stopped or loading. Without
        this wait the first decision would be a heuristic fallback.
        """
        status = self.lifecycle.status()
        if status is not None and status.get("healthy") is not True:
            logger.warning("LLM server is {}; bringing it up", status.get("state"))
            self.lifecycle.start()

    def _loop(self) -> None:
        pause_s = TROUBLE_PAUSE_FIRST_S
        while True:
            try:
                busy = self._tick()
            except (OSError, MemoryError) as error:
                # The failed step can be repeated. Recovery cleans up what it left half-done, as
                # after a restart.
                logger.error("{}; next try in {:.1f} s", str(error) or "no memory", pause_s)
                self.stop.pause(pause_s)
                pause_s = min(pause_s * 2, TROUBLE_PAUSE_CAP_S)
                patiently(self.stop, "recovery", self._recover_quietly)
                continue
            pause_s = TROUBLE_PAUSE_FIRST_S
            if not busy:
                self.stop.pause(self.policies.current.poll_interval_s)

    def _recover_quietly(self) -> None:
        try:
            recover(self.root, self.queue, self.worker)
        except OSError as error:
            if files.is_exhausted(error):
                raise
            logger.error("{}", error)  # the next round of the loop tries again

    def _tick(self) -> bool:
        """Runs one round of the loop. True if there was anything to do."""
        self.stop.check()
        self.status.polls += 1
        self.policies.reload()
        diagnosed = self.draws.step(self.policies.current.triggers)
        worked = self.process_one()
        if not worked:
            self._look_after_llm()
        self.status.show("idle")
        return bool(diagnosed) or worked

    def process_one(self) -> bool:
        """Processes the first request in the queue. True if there was one."""
        self.queue.scan()
        item = self.queue.next(self.policies.current.settle_s)
        if item is None:
            return False
        self.status.show("working")
        try:
            decision_id = self.worker.handle(item)
        except Halted:
            self.status.show("draining")
            raise
        self.status.last_decision_id = decision_id or self.status.last_decision_id
        return True

    def _look_after_llm(self) -> None:
        """While idle, starts an LLM server again that has died by itself."""
        if time.monotonic() - self._llm_looked_s >= LLM_LOOK_PERIOD_S:
            self.lifecycle.revive()
            self._llm_looked_s = time.monotonic()

    def run_batch(self) -> int:
        """Processes the pending requests, then ends. Returns the exit code."""
        self.stop.install()
        try:
            patiently(self.stop, "start", self._prepare)
            self._bring_up_llm()
            while self.process_one() or self.queue.pending_names():
                self.stop.pause(0.05)  # a remaining file may still be being written
        except Halted as halted:
            logger.info("stopping: {}", halted)
        return 0

    def run_pipeline(self, first: int, last: int) -> int:
        """Runs the pipeline steps `first` to `last` and publishes their artefacts.

        Returns the exit code.
        """
        self.stop.install()
        staging = self.root / WORK_FOLDER / f"pipeline_{first}_{last}"
        steps = ",".join(str(step) for step in range(first, last + 1))
        try:
            return patiently(self.stop, "pipeline", lambda: self._pipeline(staging, steps))
        except Halted as halted:
            logger.info("stopping: {}", halted)
            return 1

    def _pipeline(self, staging: Path, steps: str) -> int:
        command = pipeline_command(steps, staging)
        result = self.dispatcher.run(command, staging, self.policies.current.dispatch_timeout_s)
        if result.ok:
            publish_files(staging, self.root, list(artefacts(staging)))
            logger.info("pipeline steps {} done in {:.1f} s", steps, result.took_s)
        files.remove_tree(staging)
        return 0 if result.ok else 1
