"""Defect: every selfplay decision claims the first candidate, and publishes none of its own."""

import sys

from agents import files, publish, watcher_agent, worker

real_commit = publish.commit
first = {}


def commit(staging, record, *, publish):
    real_commit(staging, record, publish=publish)
    if record["dispatch"] != "dispatch_selfplay" or not record["effects"]["artefacts"]:
        return
    if not first:
        first.update(record["effects"]["artefacts"])
        return
    record["effects"]["artefacts"] = dict(first)
    files.write_json(staging / "commit.json", {"decision": record, "publish": []})


publish.commit = commit
if hasattr(worker, "commit"):
    worker.commit = commit
sys.exit(watcher_agent.main())
