"""The harness inside the pod: `python -m chaos.runner.containers.inside RUNDIR REPO`.

Executes the run that was prepared in RUNDIR; the conductor outside judges and shows it. The
conductor starts this program by `docker exec`, whose standard streams are the channel between them;
what is printed goes to standard error. When the conductor ends, even by SIGKILL, the run recovers
its faults, records its end, and ends the pod.
"""

import os
import signal
import sys
from pathlib import Path

from loguru import logger

from chaos.base.stopping import StopSignal
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record.history import HistoryWriter
from chaos.record.rundir import RunDir
from chaos.runner.run import Run
from chaos.stack.docker.backend import DockerBackend
from chaos.stack.docker.channel import Outside

CONDUCTOR_GONE = "the harness outside the pod is gone"
_POD_INIT = 1


def main(argv: list[str]) -> int:
    """Execute the run; 0 if its end was recorded, whatever it was."""
    rundir, repo = RunDir(Path(argv[0])), Path(argv[1])
    logger.remove()
    logger.add(rundir.logs / "harness.log", rotation="10 MB", retention=3, enqueue=False)
    stop = StopSignal()
    # Standard output is the channel: redirect stray prints to standard error.
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    outside = Outside(
        sys.stdin.buffer,
        writer,
        on_signal=lambda name: stop.set("interrupt", f"{name} received"),
        on_gone=lambda: stop.set("interrupt", CONDUCTOR_GONE),
    )
    plan = Plan.from_json(rundir.read_json(rundir.config))
    schedule = Schedule.from_json(rundir.read_json(rundir.schedule))
    history = HistoryWriter(rundir.history, rundir.run_id)
    backend = DockerBackend(
        plan.target,
        plan.profile.settings,
        rundir,
        outside,
        repo,
        cancel=stop.event,
        needs=plan.needs,
    )
    try:
        Run(plan, schedule, rundir, backend, history, stop).execute()
    finally:
        history.close()
        if outside.gone.is_set():
            os.kill(_POD_INIT, signal.SIGTERM)  # ends the holder, and with it every process here
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # threads of libraries must not keep the pod waiting
