"""The admission policies in examples/ci refuse what they must, on attestations as we make them.

Kyverno itself is not run. Its conditions are evaluated here as far as they go: paths into the
predicate, and the two functions that they use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.attest import keys
from chaos.attest.command import attest
from chaos.attest.policy import read_policy
from chaos.attest.statement import TEST_RESULT
from chaos.gate.state import GateDir
from tests.attest.conftest import Signed
from tests.attest.gates import (
    DOCKER,
    NOW_S,
    PUBLISHED,
    attest_options,
    finished_gate,
    payload,
    sha256,
)

EXAMPLES = Path("examples", "ci")
DAY = "2027-01-16T00:00:00Z"  # a day after the attestation was made


def kyverno(repo: Path) -> dict[str, Any]:
    policy = yaml.safe_load((repo / EXAMPLES / "kyverno.yaml").read_text(encoding="utf-8"))
    (rule,) = policy["spec"]["rules"]
    (images,) = rule["verifyImages"]
    assert images["failureAction"] == "Enforce"
    assert policy["spec"]["webhookConfiguration"]["failurePolicy"] == "Fail"
    (attestation,) = images["attestations"]
    content: dict[str, Any] = attestation
    return content


def allowed(conditions: list[dict[str, Any]], predicate: dict[str, Any], now: str) -> bool:
    """What Kyverno says: all conditions hold; a path that leads nowhere denies."""

    def value(path: str) -> Any:
        place: Any = predicate
        for name in path.split("."):
            place = place[name]
        return place

    def evaluated(key: str) -> Any:
        (expression,) = re.findall(r"^\{\{ (.+) \}\}$", key)
        if match := re.fullmatch(r"time_before\(time_now_utc\(\), ([\w.]+)\)", expression):
            return now < value(match[1])
        if match := re.fullmatch(r"length\(([\w.]+)\)", expression):
            return len(value(match[1]))
        assert re.fullmatch(r"[\w.]+", expression), expression
        return value(expression)

    try:
        return all(evaluated(one["key"]) == one["value"] for one in conditions)
    except KeyError:
        return False


@pytest.mark.parametrize(
    ("change", "now", "expected"),
    [
        (lambda p: None, DAY, True),
        (lambda p: None, "2027-02-14T08:00:00Z", False),  # expired
        (lambda p: p.update(result="FAILED"), DAY, False),
        (lambda p: p.update(failedTests=["gate"]), DAY, False),
        (lambda p: p["chaosGate"].update(verdict="NOT PROVEN"), DAY, False),
        (lambda p: p.pop("chaosGate"), DAY, False),
        (lambda p: p["chaosGate"].pop("expires"), DAY, False),
    ],
)
def test_kyverno_conditions_allow_only_what_passed_and_is_valid(
    change: Callable[[dict[str, Any]], object],
    now: str,
    expected: bool,
    signed: Signed,
    repo: Path,
) -> None:
    attestation = kyverno(repo)
    assert attestation["type"] == TEST_RESULT
    predicate = payload(signed.file.read_bytes())["predicate"]
    change(predicate)
    (conditions,) = attestation["conditions"]
    assert all(one["operator"] == "Equals" for one in conditions["all"])
    assert allowed(conditions["all"], predicate, now) == expected


def test_key_in_the_kyverno_policy_has_the_form_of_a_public_key(repo: Path, tmp_path: Path) -> None:
    (attestor,) = kyverno(repo)["attestors"]
    (entry,) = attestor["entries"]
    (tmp_path / "key.pub").write_text(entry["keys"]["publicKeys"])
    assert keys.read_public(tmp_path / "key.pub").keyid


def test_policy_example_is_one(repo: Path) -> None:
    policy = read_policy(repo / EXAMPLES / "policy.yaml")
    assert policy.passed and policy.max_age_days and policy.min_detection


# -- the workflow -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image_gate(tmp_path_factory: pytest.TempPathFactory) -> GateDir:
    return finished_gate(tmp_path_factory.mktemp("image"), provenance=DOCKER, backend="docker")


def verifying_step(repo: Path) -> str:
    workflow = yaml.safe_load((repo / EXAMPLES / "deploy.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["deploy"]["steps"]
    numbers = [n for n, step in enumerate(steps) if "chaos verify" in step.get("run", "")]
    assert numbers == [len(steps) - 2] and steps[-1]["name"] == "Deploy"
    command: str = steps[numbers[0]]["run"]
    assert "${{" not in command
    return command


def refuses(command: str, folder: Path, image: str, repo: Path) -> bool:
    """Run the step as the workflow does, for `image`."""
    env = {**os.environ, "IMAGE": image, "PYTHONPATH": os.pathsep.join([str(repo), *sys.path])}
    done = subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1, 2), done.stderr
    return done.returncode != 0


@pytest.mark.slow(seconds=5)
def test_workflow_deploys_only_the_attested_image(
    image_gate: GateDir, pair: Path, tmp_path: Path, repo: Path
) -> None:
    digest = PUBLISHED.partition("sha256:")[2]
    (tmp_path / "attestations").mkdir()
    (tmp_path / ".chaos" / "venv" / "bin").mkdir(parents=True)
    (tmp_path / ".chaos" / "venv" / "bin" / "python").symlink_to(sys.executable)
    shutil.copy(pair.with_name("signer.pem.pub"), tmp_path)
    shutil.copy(repo / EXAMPLES / "policy.yaml", tmp_path)
    file = tmp_path / "attestations" / f"{digest}.json"
    attest(attest_options(image_gate, pair, out=file))
    command = verifying_step(repo)
    assert not refuses(command, tmp_path, PUBLISHED, repo)
    other = sha256(b"another image")
    assert refuses(command, tmp_path, f"ghcr.io/me/watcher@sha256:{other}", repo)  # no file
    shutil.copy(file, file.with_name(f"{other}.json"))
    assert refuses(command, tmp_path, f"ghcr.io/me/watcher@sha256:{other}", repo)  # another's
    attest(attest_options(image_gate, pair, out=file), lambda: NOW_S - 1000 * 86_400)
    assert refuses(command, tmp_path, PUBLISHED, repo)  # expired
