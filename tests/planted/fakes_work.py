"""Defect: a selfplay child does nothing, and the Watcher makes up its candidate."""

import json
import subprocess
import sys

from agents import dispatch, files, watcher_agent

real_run = dispatch.Dispatcher.run
made = 0


def run(self, command, staging, limit_s):
    global made
    if "pipeline.selfplay" not in command:
        return real_run(self, command, staging, limit_s)
    made += 1
    child = subprocess.Popen([sys.executable, "-c", "sum(range(10**6))"])
    child.wait()
    files.remove_tree(staging)
    (staging / "policy_history").mkdir(parents=True)
    name = f"cand_{staging.name}_{made:04d}.json"
    candidate = {"candidate_id": f"{staging.name}_{made}", "score": made}
    (staging / "policy_history" / name).write_text(json.dumps(candidate))
    (staging / "result.json").write_text(json.dumps({"metrics": {"score": made}}))
    return dispatch.ChildResult(child.pid, 0, 0.01, timed_out=False, output_tail="")


dispatch.Dispatcher.run = run
sys.exit(watcher_agent.main())
