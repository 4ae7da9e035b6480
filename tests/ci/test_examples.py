"""The pipelines in examples/ci: valid YAML, and every command of chaos in them can be started."""

from __future__ import annotations

import re
import shlex
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


def test_version_is_the_same_wherever_it_stands(repo: Path) -> None:
    project = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"\n## {__version__} - " in (repo / "CHANGELOG.md").read_text()
    pipelines = [path for path in (repo / EXAMPLES).iterdir() if path.suffix == ".yml"]
    for path in [*pipelines, repo / "docs" / "ci.md"]:
        found = re.findall(r"(?:OWNER/chaos@|CHAOS_REF: )v(\S+)", path.read_text())
        assert set(found) == {__version__}, path
