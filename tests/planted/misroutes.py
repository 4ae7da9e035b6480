"""Defect: a selfplay request is logged and archived as done, but no child ever worked on it."""

import json
import os
import sys

from agents import dispatch, files, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    if "pipeline.selfplay" not in command:
        return real_run(self, command, staging, limit_s)
    files.remove_tree(staging)
    staging.mkdir(parents=True)
    (staging / "result.json").write_text(json.dumps({"metrics": {}}))
    return dispatch.ChildResult(os.getpid(), 0, 0.01, timed_out=False, output_tail="")


dispatch.Dispatcher.run = run
sys.exit(watcher_agent.main())
