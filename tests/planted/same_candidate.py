"""Defect: every policy candidate has the same id."""

import json
import sys

from agents import publish, watcher_agent

real_publish = publish.publish_files


def publish_files(staging, root, names):
    for path in (staging / "policy_history").glob("*.json"):
        document = json.loads(path.read_text())
        document["candidate_id"] = "cand_000001"
        path.write_text(json.dumps(document))
    real_publish(staging, root, names)


publish.publish_files = publish_files

sys.exit(watcher_agent.main())
