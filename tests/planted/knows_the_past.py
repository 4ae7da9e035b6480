"""Defect: the predictions are of draws that are known already."""

import json
import sys
from pathlib import Path

from agents import watcher_agent, worker

real_commit = worker.commit


def commit(staging, record, *, publish):
    pool = staging / "prediction_pool.json"
    if pool.is_file():
        draws = json.loads(Path("lottery_history.json").read_text())["draws"]
        document = json.loads(pool.read_text())
        first = len(draws) - len(document["predictions"])
        for index, prediction in enumerate(document["predictions"], start=first):
            prediction["draw_index"] = index
            prediction["values"] = [draws[index]["value"]]
        pool.write_text(json.dumps(document))
    real_commit(staging, record, publish=publish)


worker.commit = commit
sys.exit(watcher_agent.main())
