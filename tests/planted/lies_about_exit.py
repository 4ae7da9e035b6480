"""Defect: a child that is killed in its work counts as done, with what it left."""

import subprocess
import sys

from agents import dispatch, files, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    if "pipeline.selfplay" not in command:
        return real_run(self, command, staging, limit_s)
    files.remove_tree(staging)
    (staging / "policy_history").mkdir(parents=True)
    child = subprocess.Popen(["sleep", "60"])
    child.kill()
    child.wait()
    (staging / "result.json").write_text('{"metrics": {"score": 0.5}}')
    return dispatch.ChildResult(child.pid, 0, 0.5, timed_out=False, output_tail="")


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
