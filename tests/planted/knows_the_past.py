"""Defect: the predictions are the draws that are known already."""

import json
import sys

from agents import publish, watcher_agent

real_publish = publish.publish_files


def publish_files(staging, root, names):
    pool = staging / "prediction_pool.json"
    if pool.is_file():
        draws = json.loads((root / "lottery_history.json").read_text())["draws"]
        document = json.loads(pool.read_text())
        first = len(draws) - len(document["predictions"])
        for place, one in enumerate(document["predictions"]):
            one["draw_index"] = first + place
            one["values"] = [draws[first + place]["value"]]
        pool.write_text(json.dumps(document))
    real_publish(staging, root, names)


publish.publish_files = publish_files

sys.exit(watcher_agent.main())
