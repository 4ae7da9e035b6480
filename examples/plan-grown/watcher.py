"""A Watcher that works off request files: asks the LLM, runs a child process, logs, archives.

Every path and interval is fixed here. Its log goes to stderr.
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm import ask_llm

POLL_S, RETRY_S = 2.0, 1.0
QUEUE = Path("watcher_requests")
ARCHIVE = QUEUE / "archive"
DECISIONS = Path("watcher_decisions.jsonl")
HALT_FLAG = Path("/tmp/agent_halt")  # one flag for every agent of the machine
PID_FILE = Path("watcher.pid")
KINDS = {"selfplay_retrain": "selfplay", "learning_loop": "learning", "pipeline_rerun": "pipeline"}
STOP = threading.Event()


def log_decision(**entry: Any) -> None:
    """Append one line, whole or not at all; waits while the disk is full."""
    line = (json.dumps(entry) + "\n").encode()
    while True:
        with DECISIONS.open("ab", buffering=0) as log:
            size = os.fstat(log.fileno()).st_size
            try:
                if log.write(line) == len(line):
                    os.fsync(log.fileno())
                    return
            except OSError as error:
                logging.warning("the decision cannot be written: %s", error)
            os.truncate(DECISIONS, size)
        if STOP.wait(RETRY_S):
            raise OSError("stopped before the decision could be written")


def log_dispatch(dispatch_type: str, status: str, **details: Any) -> None:
    log_decision(timestamp=datetime.now().isoformat(), run_id=uuid.uuid4().hex[:12],
                 dispatch_type=dispatch_type, status=status, details=details)  # fmt: skip


def archive(path: Path, status: str) -> None:
    """Move a request to the archive. Its name there begins with status and time."""
    path.rename(ARCHIVE / f"{status}_{datetime.now():%Y%m%d_%H%M%S}_{path.name}")


def dispatched(path: Path) -> str:
    """The logged status of a request that an earlier life had no time to archive; "" if none."""
    put = datetime.fromtimestamp(path.stat().st_mtime)
    for line in DECISIONS.read_text().splitlines() if DECISIONS.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # half a line
        same = entry.get("details", {}).get("request_path") == str(path)
        if same and datetime.fromisoformat(entry["timestamp"]) > put:
            return str(entry["status"])
    return ""


def work(kind: str, request: dict[str, Any]) -> bool:
    """Run the GPU work of a request in a child process; whether it ended well."""
    size = str(request.get("episodes") or request.get("scope") or 1)
    return subprocess.run([sys.executable, "worker.py", kind, size], check=False).returncode == 0


def process(path: Path) -> None:
    """Work off one request: evaluation, work, two lines in the log, archive."""
    try:
        request = json.loads(path.read_bytes())
        kind = KINDS.get(request["request_type"], "")
    except (ValueError, KeyError, TypeError, RecursionError):
        logging.warning("%s is no request", path.name)
        return archive(path, "INVALID")
    if not kind:
        return archive(path, "UNKNOWN_TYPE")
    if status := dispatched(path):
        return archive(path, status)
    action, confidence = ask_llm(f"Request {path.name} asks for {kind}. Shall it proceed? Answer: ")
    log_decision(step=kind, action=action, confidence=confidence, success=True, parse_method="json",
                 timestamp=datetime.now(UTC).replace(tzinfo=None).isoformat())  # fmt: skip
    if action == "reject":
        status = "REJECTED_BY_LLM"
    else:
        status = "COMPLETED" if work(kind, request) else "FAILED"
        log_dispatch(kind, status)
    log_dispatch(f"ch13_request_{request['request_type']}", status, request_path=str(path))
    return archive(path, status)


def run_daemon() -> None:
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    ARCHIVE.mkdir(parents=True, exist_ok=True)
    PID_FILE.write_text(f"{os.getpid()}\n")
    logging.info("watching %s every %g s", QUEUE, POLL_S)
    while not STOP.is_set():
        for path in sorted(QUEUE.glob("*.json")):
            if STOP.is_set() or HALT_FLAG.exists():
                break
            try:
                process(path)
            except OSError as error:
                logging.warning("%s: %s", path.name, error)
        STOP.wait(POLL_S)
    PID_FILE.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--daemon", action="store_true")
    parser.add_argument("--halt", metavar="REASON", help="pause every agent of the machine")
    parser.add_argument("--stop", action="store_true", help="end the daemon")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if options.daemon:
        run_daemon()
    elif options.halt:
        HALT_FLAG.write_text(options.halt)
    elif options.stop:
        os.kill(int(PID_FILE.read_text()), signal.SIGTERM)


if __name__ == "__main__":
    main()
