"""The Watcher's command line. Run it in the workspace, the folder with the data files.

    python agents/watcher_agent.py --daemon
    python agents/watcher_agent.py --process-requests
    python agents/watcher_agent.py --run-pipeline --start-step 1 --end-step 3
    python agents/watcher_agent.py --status
    python -m agents.watcher_agent --halt "reason"

Exit codes: 0 done, 1 failed, 2 usage, 3 halt flag present, 4 another Watcher works here.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # started as a script: the package's parent is not on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from agents import files
from agents.lock import AlreadyRunning, InstanceLock, live_holder
from agents.status import HALT_NAME, overview

if TYPE_CHECKING:
    from agents.daemon import Watcher

EXIT_HALTED = 3
EXIT_LOCKED = 4
STEP_FIRST, STEP_LAST = 1, 6


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="watcher_agent.py",
        description="Watches draws and requests, and works through them with an LLM's advice.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 halt flag present, 4 already running.",
    )
    command = parser.add_mutually_exclusive_group(required=True)
    command.add_argument("--daemon", action="store_true", help="work until halted")
    command.add_argument(
        "--process-requests", action="store_true", help="process the pending requests, then end"
    )
    command.add_argument(
        "--run-pipeline", action="store_true", help="run pipeline steps once, then end"
    )
    command.add_argument("--status", action="store_true", help="print the state as JSON")
    command.add_argument(
        "--halt", metavar="REASON", help=f"ask the daemon to stop: writes {HALT_NAME}"
    )
    parser.add_argument(
        "--start-step", type=int, default=1, metavar="N", help="first step (default: 1)"
    )
    parser.add_argument(
        "--end-step", type=int, default=STEP_LAST, metavar="M", help="last step (default: 6)"
    )
    return parser


def halt(root: Path, reason: str) -> int:
    """Writes the halt flag, or sends SIGTERM if the flag cannot be written.

    Returns the exit code: 1 if neither is possible.
    """
    flag = root / HALT_NAME
    pid = live_holder(root)
    try:
        _write_flag(flag, reason)
    except OSError as error:
        if pid is None:
            print(f"{flag.name} cannot be written: {error.strerror}", file=sys.stderr)
            return 1
        os.kill(pid, signal.SIGTERM)
        print(f"no room for {flag.name} ({error.strerror}); sent SIGTERM to {pid} instead")
        return 0
    print(f"halt requested; {'daemon ' + str(pid) if pid else 'no daemon runs here'}")
    print(f"remove {flag.name} before the next start")
    return 0


def _write_flag(flag: Path, reason: str) -> None:
    content = {"reason": reason, "requested_at": files.utc_now()}
    try:
        files.write_json(flag, content)
    except OSError as error:
        if not files.is_exhausted(error):
            raise
        # A full disk often still has room for an empty file, and its presence is enough.
        flag.touch()


def work(root: Path, purpose: str, task: Callable[[], int]) -> int:
    """Runs `task` under the instance lock, unless there is a halt flag. Returns the exit code."""
    if os.path.lexists(root / HALT_NAME):
        print(f"{HALT_NAME} is present: remove it to start again", file=sys.stderr)
        return EXIT_HALTED
    lock = InstanceLock(root)
    try:
        lock.acquire(purpose)
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return EXIT_LOCKED
    except OSError as error:
        print(f"{lock.path}: {error.strerror}; is this folder writable?", file=sys.stderr)
        return 1
    try:
        return task()
    finally:
        lock.release()


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    root = Path.cwd()
    if options.halt is not None:
        return halt(root, options.halt)
    if options.status:
        print(json.dumps(overview(root), indent=2))
        return 0
    if not STEP_FIRST <= options.start_step <= options.end_step <= STEP_LAST:
        parser.error(f"steps go from {STEP_FIRST} to {STEP_LAST}, --start-step before --end-step")
    if options.run_pipeline:
        first, last = options.start_step, options.end_step
        return work(root, "pipeline", lambda: _watcher(root).run_pipeline(first, last))
    if options.process_requests:
        return work(root, "batch", lambda: _watcher(root).run_batch())
    return work(root, "daemon", lambda: _watcher(root).run_daemon())


def _watcher(root: Path) -> Watcher:
    from agents.daemon import Watcher  # not at the top: --halt and --status do not need it

    return Watcher(root)


if __name__ == "__main__":
    sys.exit(main())
