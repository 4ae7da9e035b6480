"""Defect: what was in work at a crash is noted as decided, and then done once more."""

import sys

from agents import decision_log, files, recovery, watcher_agent
from agents.request import read_request

real_recover = recovery.recover


def recover(root, queue, worker):
    queue.create_folders()
    for path in queue.claimed.glob("*.json"):
        request, log = read_request(path), worker.finisher._log
        number = log.next_number()
        log.append(
            {
                "decision_id": f"d{number:06d}",
                "sequence_number": number if request.sequence is None else request.sequence,
                "source": request.source,
                "request_file": request.name,
                "request_type": request.kind,
                "dispatch": f"dispatch_{request.kind.removesuffix('_loop')}",
                "status": "INTERRUPTED",
                "started_at": files.utc_now(),
                "timestamp": files.utc_now(),
                "llm_calls": [],
            }
        )
    real_recover(root, queue, worker)


decision_log.DecisionLog.processed_as = lambda self, source, sequence: ""
recovery.recover = recover
sys.exit(watcher_agent.main())
