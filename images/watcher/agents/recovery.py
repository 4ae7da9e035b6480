"""Recovers the work that a killed Watcher left half-done. Runs at each start.

claimed, with a commit marker            -> finished (its steps are idempotent)
claimed, without a commit marker         -> staging removed, request back in the queue
in quarantine, without a decision line   -> the line is appended
"""

from __future__ import annotations

from pathlib import Path

from loguru import logger

from agents import files
from agents.publish import WORK_FOLDER, read_commit, staging_of
from agents.request_queue import RequestQueue
from agents.worker import Worker


def recover(root: Path, queue: RequestQueue, worker: Worker) -> None:
    """Finishes or undoes all half-done work in the workspace. Idempotent. Raises OSError."""
    queue.create_folders()
    for folder in (root, queue.pending, queue.quarantine, root / "diagnostics_history"):
        files.sweep_temporaries(folder)
    for path in sorted(queue.claimed.iterdir()):
        staging = staging_of(root, path.name)
        if read_commit(staging) is not None:
            worker.finisher.finish(path.name)
            logger.info("{!a} was committed before the restart; finished", path.name)
        else:
            files.remove_tree(staging)
            queue.release(path.name)
            logger.info("{!a} was claimed before the restart; back in the queue", path.name)
    worker.record_quarantines()
    # No request is claimed any more, so the remaining staging folders belong to none.
    for folder in (root / WORK_FOLDER).glob("*"):
        files.remove_tree(folder)
