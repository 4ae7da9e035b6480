"""Stands in for `pipeline.selfplay`."""

from pipeline import start, write

options = start()
candidate = "cand_" + options.request.removesuffix(".json")
content = {"candidate_id": candidate, "episodes": options.episodes, "effort": options.effort}
write(options.out, f"policy_history/{candidate}.json", content)
write(options.out, "result.json", {"candidate_id": candidate, "metrics": {"score": 0.4}})
