"""action.yml: inputs become arguments of chaos, whatever they hold; its exit code stays."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from chaos.assets import cache
from tests.ci.action import ACTION, BASH, REAL, STEPS, Job
from tests.integration.command import BRIEF

SHELL = [step["name"] for step in STEPS if "run" in step]


def test_every_input_is_used_described_and_has_a_default() -> None:
    text = json.dumps(ACTION["runs"])
    for name, declared in ACTION["inputs"].items():
        assert f"inputs.{name}" in text, name
        assert declared["description"] and isinstance(declared["default"], str), name
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])


def test_no_input_is_written_into_a_script() -> None:
    """Its text would be read as shell code."""
    for step in STEPS:
        assert "${{" not in step.get("run", ""), step["name"]
        assert step.get("shell", "bash") == "bash"


@pytest.mark.parametrize("name", SHELL)
def test_each_script_is_valid_bash(name: str) -> None:
    (step,) = (step for step in STEPS if step["name"] == name)
    checked = subprocess.run([*BASH, "-n"], input=step["run"], text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, ["gate", "--backend", "local", "--runs", "runs"]),
        (
            {"command": "run", "soak": "soak_b", "fault": "llm_timeout:hold=3s\ndisk_full\n"},
            ["run", "soak_b", "--fault", "llm_timeout:hold=3s", "--fault", "disk_full"],
        ),
        ({"soak": "a,b", "profile": "full"}, ["gate", "--soaks", "a,b", "--profile", "full"]),
        ({"target": "my target.yaml", "seed": "7"}, ["--target", "my target.yaml", "--seed", "7"]),
        ({"args": "--set\nstorm_s=20\n--skip-unavailable"}, ["--set", "storm_s=20"]),
        ({"target": "$(touch broken)"}, ["--target", "$(touch broken)"]),
    ],
)
def test_inputs_become_arguments(inputs: dict[str, str], words: list[str], tmp_path: Path) -> None:
    job = Job(tmp_path, inputs)
    assert job.step("Find the pins of what chaos provisions").returncode == 0
    done = job.step("Run")
    assert done.returncode == 0, done.stderr
    (call,) = job.calls
    assert any(call[at : at + len(words)] == words for at in range(len(call))), call
    assert job.outputs["run.exit-code"] == "0"
    assert list((tmp_path / "workspace").iterdir()) == []


@pytest.mark.parametrize("code", ["1", "3", "130"])
def test_exit_code_of_chaos_is_that_of_the_step_and_an_output(code: str, tmp_path: Path) -> None:
    job = Job(tmp_path, {}, env={"CODE": code})
    job.step("Find the pins of what chaos provisions")
    assert job.step("Run").returncode == int(code)
    assert job.outputs["run.exit-code"] == code


def test_unknown_command_is_refused(tmp_path: Path) -> None:
    job = Job(tmp_path, {"command": "clean"})
    job.step("Find the pins of what chaos provisions")
    done = job.step("Run")
    assert done.returncode == 2 and "::error::" in done.stdout
    assert not (tmp_path / "record").exists()


def test_cache_key_changes_with_each_pin(tmp_path: Path) -> None:
    keys = set()
    names = (None, "requirements.lock", "chaos/assets/wheels.lock", "chaos/assets/pins.py")
    for number, name in enumerate(names):
        (tmp_path / str(number)).mkdir()
        job = Job(tmp_path / str(number), {})
        if name is not None:
            (job.action / name).write_text("# changed\n")
        job.step("Find the pins of what chaos provisions")
        keys.add(job.outputs["pins.key"])
    assert len(keys) == 4


def test_installation_comes_before_the_run_and_into_the_cached_folder(tmp_path: Path) -> None:
    job = Job(tmp_path, {})
    job.step("Find the pins of what chaos provisions")
    assert job.step("Install chaos").returncode == 0
    assert job.calls == [["version"], ["setup"]]
    (kept_by,) = (step for step in STEPS if "actions/cache" in step.get("uses", ""))
    (install,) = (step for step in STEPS if step["name"] == "Install chaos")
    kept = job.value(kept_by["with"]["path"]).split()
    env = {key: job.value(value) for key, value in install["env"].items()}
    assert {env["CHAOS_CACHE"], env["PIP_CACHE_DIR"]} == set(kept)


def test_runs_are_kept_also_after_a_failure() -> None:
    (upload,) = (step for step in STEPS if "upload-artifact" in step.get("uses", ""))
    assert upload["if"].startswith("always()")
    assert STEPS[-1] is upload


@pytest.mark.stack
@pytest.mark.whole_run
@pytest.mark.slow(seconds=60)
def test_the_steps_make_a_real_run(tmp_path: Path, assets: object) -> None:
    """By hand only the steps of other actions (cache, upload) are left out."""
    lengths = [f"{key}={BRIEF[key]}" for key in ("baseline_s", "storm_s", "quiet_s")]
    args = "\n".join(word for text in lengths for word in ("--set", text))
    inputs = {"command": "run", "soak": "soak_b", "fault": "none", "args": args}
    # The assets of this machine stand for the cache of the job.
    env = {"GITHUB_ACTIONS": "true", "CHAOS_CACHE": str(cache.cache_dir())}
    job = Job(tmp_path, inputs, program=REAL, env=env)
    job.step("Find the pins of what chaos provisions")
    done = job.step("Run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert job.outputs["run.exit-code"] == "0"
    assert "PASS" in job.summary.read_text().upper()
    assert list((tmp_path / "workspace" / "runs" / "soak_b").glob("2*/report.html"))
