"""The process that the user sees of a run in containers.

Started as `python -m chaos.runner.containers.conductor RUNDIR`.

::

    conductor (this)                       the PID that `chaos run` had; talks to the engine
      docker exec, its streams a channel
        chaos.runner.containers.inside RUNDIR   in the pod: executes the run
          Watcher, LLM server, Toxiproxy   containers that share its process table and loopback

It makes the pod, starts the harness in it, performs the operations that need the engine, shows the
history as it grows, removes everything with the run's label, and judges the run. When it is killed,
the harness inside reads the end of the channel, recovers its faults and ends the pod. The objects
that are left in the engine have the label, and `chaos clean` removes them.
"""

import argparse
import contextlib
import json
import math
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from loguru import logger

from chaos.assets import locate
from chaos.base.errors import ChaosError
from chaos.base.exitcode import ExitCode
from chaos.base.output import adopt, say, settled
from chaos.base.shipped import ROOT
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record.history import HistoryWriter, Owner
from chaos.record.rundir import RunDir
from chaos.report.display import Display
from chaos.report.follow import Follower
from chaos.report.live import LiveView
from chaos.runner.containers.settings import FILE, Settings, make_project
from chaos.runner.provenance import gather
from chaos.stack.docker import engine
from chaos.stack.docker.exec_stream import ExecStream
from chaos.stack.docker.pod import HOLDER, Pod

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNALS_BEFORE_KILL = 3
_OF_THE_WATCHER = (int(ExitCode.PASS), int(ExitCode.FAIL))
_WORKERS = 8
_END_LIMIT_S = 60.0  # from a signal to the end of the harness inside


class Conductor:
    """One run in one pod."""

    def __init__(self, run: RunDir, view: LiveView) -> None:
        self._run = run
        self._view = view
        self._plan = Plan.from_json(run.read_json(run.config))
        self._settings = Settings.read(run)
        self._client = engine.connect(self._settings.engine)
        self._pod = Pod(self._client, run.run_id, run.logs)
        self._signals: list[str] = []
        self._hurry_from_s: float | None = None
        self._waits_for_compose = False
        self.left: list[str] = []  # what could not be removed

    def conduct(self) -> None:
        """Execute the run, and remove what it made. Raises `ChaosError`."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, _SIGNALS
        )  # blocked until now: see `Prepared.hold_signals`
        try:
            self._up()
            self._serve()
        finally:
            self._down()

    def _down(self) -> None:
        self._view.step("pod: removing what it has made")
        try:
            self.left = self._pod.remove()
            if not self.left:
                self._settings.after_removal().write(self._run)
        finally:
            self._settings.take_back(self._run)  # files of the pod's user
            self._client.close()

    def interrupted(self) -> bool:
        """True if the user sent a signal."""
        return bool(self._signals)

    def _up(self) -> None:
        self._view.step("pod: making its containers")
        self._settings.hand_over(self._run)
        self._pod.make(
            lambda only: make_project(
                self._settings,
                self._plan,
                self._run,
                only,
                cancelled=self._cancelled,
                hurried=self._hurried,
            )
        )

    def _cancelled(self) -> bool:
        """True if compose must end; shows once what is waited for."""
        if self._signals and not self._waits_for_compose:
            self._waits_for_compose = True
            self._view.step(
                "interrupted: compose finishes its step (two more signals end it at once)"
            )
        return bool(self._signals)

    def _serve(self) -> None:
        """Answer the harness inside until it ends."""
        if self._signals:
            return
        argv = self._settings.inside_argv(self._run)
        stream = ExecStream(self._client, self._pod.id_of(HOLDER), argv)
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="conductor") as workers:
            stream.serve(self._pod, workers, signals=self._signals, hurried=self._hurried)
        code = stream.exit_code()
        if code is None and not self._hurried():
            self._note_engine_lost()
        if code != 0 and not self._signals:
            said = stream.said()
            how = f"with exit code {code}" if code is not None else "unseen: the engine is gone"
            _tell(f"chaos: the harness in the pod ended {how}" + (f":\n{said}" if said else ""))

    def _note_engine_lost(self) -> None:
        """A file of its own: the harness inside is still writing the history."""
        content = {"engine": self._settings.engine, "wall_epoch_s": time.time()}
        self._run.write_json(self._run.engine_lost, content)

    def _hurried(self) -> bool:
        """True if the pod must be killed now."""
        since_s = self._hurry_from_s
        return since_s is not None and time.monotonic() - since_s > _END_LIMIT_S

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # `serve` forwards it: a signal handler may interrupt anything, so it only stores the name.
        self._signals.append(signal.Signals(number).name)
        if self._hurry_from_s is None:
            self._hurry_from_s = time.monotonic()
        if len(self._signals) >= _SIGNALS_BEFORE_KILL:  # kill at once
            self._hurry_from_s = -math.inf


@contextlib.contextmanager
def shown(run: RunDir, display: Display) -> Iterator[LiveView]:
    """Show the run from its history, which the harness inside writes."""
    plan = Plan.from_json(run.read_json(run.config))
    schedule = Schedule.from_json(run.read_json(run.schedule))
    view = LiveView(plan, schedule, display)
    follower = Follower(run.history, view.on_record)
    view.start()
    follower.start()
    try:
        yield view
    finally:
        follower.stop()
        view.stop()


def main(argv: list[str] | None = None) -> int:
    """Execute and judge the run in RUNDIR; returns the exit code of `chaos run`."""
    parser = argparse.ArgumentParser(prog="chaos.runner.containers.conductor", description=__doc__)
    parser.add_argument("rundir", type=Path)
    Display.add_arguments(parser)
    args = parser.parse_args(argv)
    display = Display.parsed(args)
    run = RunDir(args.rundir.resolve())
    logger.remove()
    logger.add(run.logs / "conductor.log", rotation="10 MB", retention=3, enqueue=False)
    left: list[str] = []
    interrupted = False
    problem, defect = "interrupted before the run began", False
    try:
        _record_provenance(run)
        with shown(run, display) as view:
            conductor = Conductor(run, view)
            try:
                conductor.conduct()
            finally:
                left, interrupted = conductor.left, conductor.interrupted()
    except ChaosError as error:
        problem = str(error)
        if not interrupted:  # an error after the user's signal is expected
            _tell(f"chaos: error: {error}")
    except Exception as error:  # a defect of chaos: exit code 1 would blame the Watcher
        _tell_defect(error, run)
        defect, problem = True, repr(error)
    try:
        if not run.history.exists():
            owner: Owner = "harness" if defect else "infrastructure"
            _note_failure(run, problem, owner, interrupted=interrupted)
        code = _judged(run, display, left, interrupted=interrupted)
    except Exception as error:
        _tell_defect(error, run)
        code, defect = int(ExitCode.INVALID), True
    return int(ExitCode.INVALID) if defect and code in _OF_THE_WATCHER else code


def _tell_defect(error: Exception, run: RunDir) -> None:
    logger.exception("the conductor failed")
    text = error if isinstance(error, ChaosError) else f"a defect of chaos itself ({error!r})"
    _tell(f"chaos: error: {text}\n  see {run.logs / 'conductor.log'}")


def _record_provenance(run: RunDir) -> None:
    assets = locate()
    described = {name: value and str(value) for name, value in asdict(assets).items()}
    gathered = gather(ROOT, described, assets.proxy())
    containers = json.loads((run.path / FILE).read_text(encoding="utf-8"))
    run.write_json(run.provenance, {**gathered, "containers": containers})


def _note_failure(run: RunDir, message: str, owner: Owner, *, interrupted: bool) -> None:
    """Record that the run never began, so that it can be judged like any other."""
    history = HistoryWriter(run.history, run.run_id)
    if not interrupted:
        history.event("problem", severity="error", owner=owner, message=message)
    history.event("cleanup", complete=True, left=[])
    history.event("stopped", reason="interrupt" if interrupted else "error", message=message)
    history.close()


def _judged(run: RunDir, display: Display, left: list[str], *, interrupted: bool) -> int:
    from chaos.report.announce import conclude
    from chaos.runner.judge import judge

    code = int(ExitCode.INTERRUPTED if interrupted else ExitCode.INVALID)
    if run.history.exists():
        code = conclude(judge(run), run, display)
    if left:
        _tell("chaos: could not remove:\n  " + "\n  ".join(left))
        _tell(f"  next: chaos clean {shlex.quote(str(run.path))}")
        return int(ExitCode.CLEANUP_INCOMPLETE)
    return code


def _tell(text: str) -> None:
    say(lambda: print(text, file=sys.stderr, flush=True))


if __name__ == "__main__":
    adopt()
    code = settled(main())
    if threading.active_count() > 1:  # do not wait for a thread that still follows a log
        os._exit(code)
    sys.exit(code)
