"""An installed package does everything that a checkout does, from any folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.base import shipped
from chaos.record.rundir import find
from tests.installed.conftest import Built, Installed, members

pytestmark = pytest.mark.slow(seconds=15)

AT = f"chaos/{shipped.FOLDER}"
TREES = (
    "images",
    "experiments",
    "docker-compose.yml",
    "docker-compose.gpu.yml",
    "scripts/base-image",
    "docs/help",
)
# Prints the digest of each image's build context.
DIGESTS = """
from chaos.base.shipped import ROOT
from chaos.stack.docker import context
for name in context.NAMES:
    for variant in ("cpu", "cuda"):
        print(name, variant, context.digest(context.recipe(ROOT, name, variant, {}), {}, "base"))
"""
SHORT = ("--set", "baseline_s=2", "--set", "storm_s=20", "--set", "quiet_s=3")


def test_wheel_holds_the_files_that_git_lists(built: Built) -> None:
    expected = {name for name in built.names if name.startswith("chaos/")}
    for tree in TREES:
        found = {f"{AT}/{name}" for name in built.names if f"{name}/".startswith(f"{tree}/")}
        assert found, tree
        expected |= found
    held = members(built.wheel)
    ours = {name for name in held if not name.startswith("chaos_gate-")}  # metadata, man page
    assert ours == expected
    for name, one in held.items():
        if name in ours:
            mode = (built.source / name.removeprefix(f"{AT}/")).stat().st_mode
            assert bool(one.external_attr >> 16 & 0o100) == bool(mode & 0o100), name


def test_sdist_builds_the_same_wheel(built: Built) -> None:
    ours, theirs = (
        {name: one.CRC for name, one in members(wheel).items() if not name.endswith("/RECORD")}
        for wheel in (built.wheel, built.wheel_of_sdist)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    "words",
    [
        "soaks --json",
        "faults --markdown",
        "doctor --help",
        "gate --dry-run --seed 7",
        "run soak_c --fault llm_timeout --seed 7 --dry-run --json",
    ],
)
def test_command_prints_what_it_prints_in_the_checkout(
    words: str, installed: Installed, repo: Path, tmp_path: Path
) -> None:
    here = subprocess.run(
        [sys.executable, "-m", "chaos", *words.split()], cwd=repo, capture_output=True, text=True
    )
    done = installed.run("chaos", *words.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (here.returncode, here.stdout), done.stderr
    assert here.returncode == 0 and here.stdout
    assert list(tmp_path.iterdir()) == []


def test_images_are_built_from_the_same_files_as_in_the_checkout(
    installed: Installed, repo: Path, tmp_path: Path
) -> None:
    """So an engine needs no other images for it."""
    argv = [sys.executable, "-c", DIGESTS]
    here = subprocess.run(argv, cwd=repo, capture_output=True, text=True, check=True)
    assert len(here.stdout.splitlines()) == 8
    assert installed.run("python", "-c", DIGESTS, cwd=tmp_path).stdout == here.stdout


def test_commit_of_a_checkout_around_the_environment_is_not_reported(
    installed: Installed, tmp_path: Path
) -> None:
    """A project often has its environment in a checkout of its own."""
    author = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in (("init",), (*author, "commit", "--allow-empty", "--message", "x")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    assert shipped.revision(tmp_path)
    script = (
        "import pathlib; from chaos.base import shipped; print(shipped.revision(pathlib.Path()))"
    )
    assert installed.run("python", "-c", script, cwd=tmp_path).stdout == "None\n"


def test_site_packages_is_not_on_pythonpath(
    installed: Installed, repo: Path, tmp_path: Path
) -> None:
    """Its modules would go before those of the standard library."""
    script = "from chaos.base.shipped import python_path; print(python_path('/x'))"
    assert installed.run("python", "-c", script, cwd=tmp_path).stdout == "/x\n"
    assert shipped.python_path("/x") == f"{repo}:/x"


def test_files_for_a_build_by_hand_are_collected_in_a_checkout_only(
    installed: Installed, tmp_path: Path
) -> None:
    words = ("-m", "chaos.stack.docker.by_hand", "--collect")
    done = installed.run("python", *words, cwd=tmp_path)
    assert done.returncode == 2 and "checkout" in done.stderr


def test_second_name_is_the_same_command(installed: Installed, tmp_path: Path) -> None:
    first = installed.run("chaos", "--help", cwd=tmp_path).stdout
    second = installed.run("chaos-gate", "--help", cwd=tmp_path).stdout
    assert first.startswith("usage: chaos [")
    assert second == first.replace("usage: chaos [", "usage: chaos-gate [", 1)


@pytest.mark.stack
@pytest.mark.whole_run
@pytest.mark.slow(seconds=60)
def test_run_of_an_installed_package_writes_only_its_run_directory(
    installed: Installed, assets: object, tmp_path: Path
) -> None:
    """A module of the working directory that has the name of the package is not imported."""
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "chaos.py").write_text("raise SystemExit('the wrong one')\n")
    before = installed.files()
    done = installed.run("chaos", "run", "soak_b", "--fault", "none", *SHORT, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    run = find("latest", folder / "runs")
    assert run.read_json(run.verdict)["verdict"] == "pass"
    assert run.read_json(run.provenance)["git"] == {"revision": None, "dirty": None}
    assert (run.path / "report.html").is_file()
    assert {path.name for path in folder.iterdir()} == {"chaos.py", "runs"}
    assert installed.files() == before
    there = {"CHAOS_RUNS": str(folder / "runs")}
    checked = installed.run("chaos", "check", "latest", "--json", cwd=tmp_path, env=there)
    assert json.loads(checked.stdout)["verdict"] == "pass", checked.stderr
