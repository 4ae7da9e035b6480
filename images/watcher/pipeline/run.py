"""`python -m pipeline.run --steps 3,5,6 --out DIR`: run pipeline steps into a staging folder.

For: the Watcher's dispatch, and people. Run it in the workspace with PYTHONPATH=. .
Must not know: the queue, the LLM, publishing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline import command, pool, scoring, sieve, training, window
from pipeline.artefacts import RESULT, Stage


@dataclass(frozen=True)
class Step:
    """One numbered step: its name, and its function (stage, effort, request) -> facts."""

    name: str
    run: Callable[[Stage, str, str], dict[str, Any]]


STEPS = {
    1: Step("window_optimisation", window.run),
    2: Step("bidirectional_sieve", sieve.run),
    3: Step("scoring", scoring.run),
    4: Step("ml_plan", training.run_plan),
    5: Step("training", training.run),
    6: Step("prediction_pool", pool.run),
}

METRICS = (
    "hit_rate",
    "previous_hit_rate",
    "holdout_loss",
    "previous_holdout_loss",
    "accepted",
    "model",
    "effective_survivors",
    "examined_draws",
    "survivors",
)


def run_steps(stage: Stage, numbers: list[int], effort: str, request: str) -> dict[str, Any]:
    """Run the steps in order, and write result.json. Returns its content."""
    steps: list[dict[str, Any]] = []
    metrics: dict[str, Any] = {}
    for number in numbers:
        started_s = time.perf_counter()
        facts = STEPS[number].run(stage, effort, request)
        took_s = round(time.perf_counter() - started_s, 4)
        steps.append({"step": number, "name": STEPS[number].name, "took_s": took_s, **facts})
        metrics.update({key: facts[key] for key in METRICS if key in facts})
    result = {"request": request, "effort": effort, "steps": steps, "metrics": metrics}
    modules = {facts["array_module"] for facts in steps if "array_module" in facts}
    if modules:
        result["array_module"] = ", ".join(sorted(modules))
    stage.write(RESULT, result)
    return result


def _steps(text: str) -> list[int]:
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if any(number not in STEPS for number in numbers) or numbers != sorted(set(numbers)):
        known = ", ".join(f"{number} {step.name}" for number, step in STEPS.items())
        raise argparse.ArgumentTypeError(f"{text!r}: ascending numbers out of {known}")
    return numbers


def main(argv: list[str] | None = None) -> int:
    """Command line; exit 0 done, 1 bad input (one line on stderr), 2 usage."""
    parser = argparse.ArgumentParser(
        prog="pipeline.run", description="Run pipeline steps from the workspace into DIR."
    )
    parser.add_argument(
        "--steps",
        type=_steps,
        required=True,
        metavar="N,N",
        help="steps to run, ascending, for example 1,2,3 or 3,5,6",
    )
    command.add_common(parser)
    arguments = parser.parse_args(argv)

    def work() -> None:
        stage = command.open_stage(arguments.out, arguments.request)
        result = run_steps(stage, arguments.steps, arguments.effort, arguments.request)
        for step in result["steps"]:
            module = f", {step['array_module']}" if "array_module" in step else ""
            print(f"step {step['step']} {step['name']}: {step['took_s']:.3f} s{module}")

    return command.guarded("pipeline.run", work, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
