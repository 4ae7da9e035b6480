"""Defect: telemetry is published once and never again."""

import sys

from agents import publish, watcher_agent

real_publish = publish.publish_files
published = False


def publish_files(staging, root, names):
    global published
    kept = [name for name in names if not (published and name.startswith("telemetry/"))]
    published = published or any(name.startswith("telemetry/") for name in names)
    real_publish(staging, root, kept)


publish.publish_files = publish_files

sys.exit(watcher_agent.main())
