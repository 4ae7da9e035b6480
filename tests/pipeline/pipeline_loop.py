"""A stand-in for the Watcher's agent: publishes staged files, and obeys a verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from pipeline import run as pipeline_run
from pipeline.artefacts import Stage
from prng_registry import java_lcg


class Loop:
    """A workspace. Publishes after each request, as the Watcher does."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.seed = self.history()[0]["true_seed"]

    def read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.workspace / name).read_text())
        return content

    def write(self, name: str, content: Any) -> None:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def history(self) -> list[dict[str, Any]]:
        draws: list[dict[str, Any]] = self.read("lottery_history.json")["draws"]
        return draws

    def add_draws(self, count: int) -> None:
        """Append the next `count` draws of the generator, as the injector does."""
        draws = self.history()
        for raw in java_lcg(self.seed, count, skip=len(draws)):
            draws.append({"value": raw % 1000, "true_seed": self.seed})
        self.write("lottery_history.json", {"draws": draws})

    def stage(self, name: str) -> Stage:
        out = self.workspace / "work" / name
        out.mkdir(parents=True)
        return Stage(self.workspace, out)

    def run(self, steps: list[int], effort: str, request: str, promote: bool) -> dict[str, Any]:
        """Run the steps and publish. A promoted model becomes the champion."""
        stage = self.stage(request)
        result = pipeline_run.run_steps(stage, steps, effort, request)
        self.publish(stage.out, promote)
        return result

    def publish(self, out: Path, promote: bool) -> None:
        for path in sorted(out.rglob("*.json")):
            relative = path.relative_to(out)
            target = self.workspace / relative
            if relative.name == "result.json":
                continue
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
            if promote and relative.parts[0] == "models":
                shutil.copyfile(path, self.workspace / "models" / "champion.json")
            if promote and relative.parts[0] == "policy_history":
                shutil.copyfile(path, self.workspace / "learned_policy_candidate.json")
        shutil.rmtree(out)

    def pool_hit_rate(self) -> float:
        """Share of the predicted draws whose true value, from the generator, is in the pool."""
        predictions = self.read("prediction_pool.json")["predictions"]
        hits = sum(
            java_lcg(self.seed, 1, skip=entry["draw_index"])[0] % 1000 in entry["values"]
            for entry in predictions
        )
        return hits / len(predictions)
