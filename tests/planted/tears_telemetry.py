"""Defect: telemetry is written in place, in two halves."""

import sys
import time

from agents import publish, watcher_agent

real_publish = publish.publish_files


def publish_files(staging, root, names):
    real_publish(staging, root, names)
    path = root / "telemetry" / "learning_health_latest.json"
    if path.is_file():
        text = path.read_text()
        with path.open("w") as stream:
            stream.write(text[: len(text) // 2])
            stream.flush()
            time.sleep(1.5)
            stream.write(text[len(text) // 2 :])


publish.publish_files = publish_files

sys.exit(watcher_agent.main())
