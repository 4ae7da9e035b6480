"""The harness inside the sandbox: `python -m chaos.runner.inner RUNDIR`, started by the guardian.

Assembles a run, executes it, judges it, and prints the verdict. Users do not call it: `chaos run`
prepares the directory that it reads.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from loguru import logger

from chaos.base.errors import ChaosError
from chaos.base.exitcode import ExitCode
from chaos.base.output import adopt, say, settled
from chaos.base.stopping import StopSignal
from chaos.record.rundir import RunDir
from chaos.report.display import Display


def main(argv: list[str] | None = None) -> int:
    """Execute and judge the run in RUNDIR; returns the exit code of `chaos run`."""
    parser = argparse.ArgumentParser(prog="chaos.runner.inner", description=__doc__)
    parser.add_argument("rundir", type=Path)
    Display.add_arguments(parser)
    args = parser.parse_args(argv)
    rundir = RunDir(args.rundir.resolve())
    stop = StopSignal()
    _listen_to_signals(stop)
    logger.remove()
    logger.add(rundir.logs / "harness.log", rotation="10 MB", retention=3, enqueue=False)
    try:
        return _execute_and_judge(rundir, stop, Display.parsed(args))
    except ChaosError as error:
        text, code = str(error), error.exit_code
    except Exception as error:  # a defect of chaos: exit code 1 would blame the Watcher
        logger.exception("the harness failed")
        text = f"this is a defect of chaos itself; please report it ({error!r}, {rundir.logs})"
        code = ExitCode.INVALID
    say(lambda: print(f"chaos: error: {text}", file=sys.stderr, flush=True))
    return int(code)


def _listen_to_signals(stop: StopSignal) -> None:
    def handler(number: int, _frame: FrameType | None) -> None:
        stop.set("interrupt", f"{signal.Signals(number).name} received")

    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)


def _execute_and_judge(rundir: RunDir, stop: StopSignal, display: Display) -> int:
    # Imported late, so that the signal handlers are set before the slow imports.
    from chaos.report.announce import conclude
    from chaos.runner.assembly import assemble
    from chaos.runner.judge import judge

    assembled = assemble(rundir, stop, display)
    assembled.view.start()
    try:
        assembled.run.execute()
    finally:
        assembled.view.stop()
        assembled.history.close()
    return conclude(judge(rundir), rundir, display)


if __name__ == "__main__":
    adopt()
    code = settled(main())
    # Do not wait for threads of libraries: this is the sandbox's first process.
    os._exit(code if code in {int(known) for known in ExitCode} else int(ExitCode.INVALID))
