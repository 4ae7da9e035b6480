"""A failing run whose logs, names and notes contain markup and control characters."""

from __future__ import annotations

from pathlib import Path

from chaos.report.stored import Stored, load
from chaos.runner.judge import judge
from tests.checks.history_builder import PlantedRun

ELSEWHERE = "elsewhere.example"
LINE = (
    "Traceback (most recent call last): <script>document.title='taken'</script>"
    f"<img src=http://{ELSEWHERE}/x.png onerror=\"document.title='taken'\"> \x1b[31m \x00 \u202e"
    " {{7*7}} {% raw %} ]]> --> \"double\" 'single' &amp; | ::error::no % \ufffe\n"
)


def hostile_run(path: Path) -> PlantedRun:
    """A run that fails by tracebacks, and an outage of the infrastructure: it has every outcome."""
    run = PlantedRun(path)
    run.files["logs/watcher.log"] = LINE * 2
    run.files["artefacts/logs/watcher_agent.log"] = (LINE * 2).encode() + b"\xff\xfe Traceback\n"
    run.config["title"] = "Loop </title><script>document.title='taken'</script>"
    run.files["provenance.json"] = '{"chaos": "<b>0.1.0</b>", "git": {"revision": "abc\\u0007"}}'
    run.add_event(
        60.0, "service_exit", severity="error", owner="infrastructure", service="<i>llm\x01</i>"
    )
    return run


def judged(run: PlantedRun) -> Stored:
    """Write and judge the run, and load its stored judgement."""
    judge(run.write())
    return load(run.run)
