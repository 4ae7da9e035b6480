"""The harness inside the sandbox: `python -m chaos.runner.inner RUNDIR`, started by the guardian.

Puts the parts of a run together, lives it, judges it, prints the verdict. Not meant to be called
by hand: `chaos run` prepares what it reads.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Literal

from loguru import logger

from chaos.base.errors import ChaosError
from chaos.base.exitcode import ExitCode
from chaos.base.output import adopt, say, settled
from chaos.base.stopping import StopSignal
from chaos.record.rundir import RunDir

Mode = Literal["live", "lines", "quiet", "json"]


def main(argv: list[str] | None = None) -> int:
    """Live and judge the run prepared in RUNDIR; returns the exit code of `chaos run`."""
    parser = argparse.ArgumentParser(prog="chaos.runner.inner", description=__doc__)
    parser.add_argument("rundir", type=Path)
    parser.add_argument("--display", choices=("live", "lines", "quiet", "json"), default="lines")
    parser.add_argument("--no-color", action="store_true")
    args = parser.parse_args(argv)
    rundir = RunDir(args.rundir.resolve())
    stop = StopSignal()
    _listen_to_signals(stop)
    logger.remove()
    logger.add(rundir.logs / "harness.log", rotation="10 MB", retention=3, enqueue=False)
    try:
        return _live_and_judge(rundir, stop, args.display, no_color=args.no_color)
    except ChaosError as error:
        text, code = str(error), error.exit_code
    except Exception as error:  # a defect of ours must not exit with 1, which blames the Watcher
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


def _live_and_judge(rundir: RunDir, stop: StopSignal, display: Mode, *, no_color: bool) -> int:
    # Imported late: the signal handlers must stand before anything takes time.
    from chaos.report.announce import conclude
    from chaos.runner.assembly import assemble
    from chaos.runner.judge import judge

    assembled = assemble(rundir, stop, display, no_color=no_color)
    assembled.view.start()
    try:
        assembled.run.live()
    finally:
        assembled.view.stop()
        assembled.history.close()
    return conclude(judge(rundir), rundir, display, no_color=no_color)


if __name__ == "__main__":
    adopt()
    code = settled(main())
    # Threads of libraries must not keep the sandbox's first process alive.
    os._exit(code if code in {int(known) for known in ExitCode} else int(ExitCode.INVALID))
