"""Defect: every policy candidate has the same id."""

import json
import sys

from agents import watcher_agent, worker

real_commit = worker.commit


def commit(staging, record, *, publish):
    for path in (staging / "policy_history").glob("*.json"):
        document = json.loads(path.read_text())
        document["candidate_id"] = "cand_000001"
        path.write_text(json.dumps(document))
    real_commit(staging, record, publish=publish)


worker.commit = commit
sys.exit(watcher_agent.main())
