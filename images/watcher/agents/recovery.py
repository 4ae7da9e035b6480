"""What a start does about the work that an earlier one was killed in.

claimed, with commit marker     -> finished (every step of it can be repeated)
claimed, without                -> staging discarded, back into the queue
in quarantine, without a line   -> its line is written
"""

from __future__ import annotations

from pathlib import Path

from loguru import logger

from agents import files
from agents.publish import WORK_FOLDER, read_commit, staging_of
from agents.request_queue import RequestQueue
from agents.worker import Worker


def recover(root: Path, queue: RequestQueue, worker: Worker) -> None:
    """Brings the workspace into a state without half-done work. Idempotent; raises OSError."""
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
    _drop_orphans(root)


def _drop_orphans(root: Path) -> None:
    """Staging folders without a claimed request: archived already, or never committed."""
    for folder in (root / WORK_FOLDER).glob("*"):
        files.remove_tree(folder)
