"""The pipelines in examples/ci: valid YAML, and every command of chaos in them can be started."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos import __version__
from chaos.cli.main import build_parser
from tests.ci.action import ACTION

EXAMPLES = Path("examples", "ci")


def loaded(repo: Path, name: str) -> Any:
    return yaml.safe_load((repo / EXAMPLES / name).read_text(encoding="utf-8"))


def test_commands_of_the_gitlab_pipeline_are_accepted(repo: Path) -> None:
    pipeline = loaded(repo, ".gitlab-ci.yml")
    lines = [
        line
        for job in pipeline.values()
        for line in [*job.get("before_script", []), *job.get("script", [])]
    ]
    commands = [shlex.split(line)[1:] for line in lines if "scripts/chaos" in line]
    assert len(commands) == 3
    for words in commands:
        parsed, extra = build_parser().parse_known_args(words)
        assert parsed.command == words[0] and extra == []


def test_gitlab_keeps_runs_also_after_a_failure(repo: Path) -> None:
    job = loaded(repo, ".gitlab-ci.yml")[".chaos"]
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"].startswith("runs/")
    assert {".chaos/cache", ".chaos/pip"} == set(job["cache"]["paths"])


@pytest.mark.parametrize("job", ["soak", "gate"])
def test_github_workflow_uses_inputs_that_the_action_has(job: str, repo: Path) -> None:
    steps = loaded(repo, "github.yml")["jobs"][job]["steps"]
    (ours,) = (step for step in steps if step["uses"].startswith("OWNER/chaos@"))
    assert set(ours["with"]) <= set(ACTION["inputs"])


def _accepted(line: str) -> str:
    """The command of chaos in a line of a script, after the parser has taken all of it."""
    words = shlex.split(line)
    start = next(n for n, word in enumerate(words) if word.rpartition("/")[2] == "chaos") + 1
    parsed, extra = build_parser().parse_known_args(words[start:])
    assert parsed.command == words[start] and extra == []
    return words[start]


def test_commands_of_the_nightly_workflow_are_accepted(repo: Path) -> None:
    jobs = loaded(repo, "nightly.yml")["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    lines = [line.replace("${{ matrix.part }}", "2") for line in lines]
    assert [_accepted(line) for line in lines] == ["campaign", "campaign", "compare"]
    parts = jobs["part"]["strategy"]["matrix"]["part"]
    assert parts == list(range(1, len(parts) + 1)) and f"/{len(parts)} " in lines[0]


def test_indexed_job_makes_each_part_once(repo: Path) -> None:
    job = loaded(repo, "indexed-job.yaml")["spec"]
    (line,) = job["template"]["spec"]["containers"][0]["args"]
    for index in range(job["completions"]):
        env = {"JOB_COMPLETION_INDEX": str(index), "PATH": ""}
        shown = subprocess.run(
            ["/bin/sh", "-c", line.replace("exec chaos", "echo chaos")],
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
        assert _accepted(shown) == "campaign"
        assert f"--shard {index + 1}/{job['completions']} --runs part{index} " in shown


def test_version_is_the_same_wherever_it_stands(repo: Path) -> None:
    project = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"\n## {__version__} - " in (repo / "CHANGELOG.md").read_text()
    pipelines = [path for path in (repo / EXAMPLES).iterdir() if path.suffix == ".yml"]
    pattern = r"(?:OWNER/chaos@|OWNER/chaos, ref: |CHAOS_REF: )v([\d.]+\d)"
    for path in [*pipelines, repo / "docs" / "ci.md"]:
        found = re.findall(pattern, path.read_text())
        assert set(found) == {__version__}, path
