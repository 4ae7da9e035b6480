"""Both backends keep every promise of contract.py, on the real parts and the reference Watcher."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from chaos.assets import Assets
from chaos.base.shipped import ROOT
from chaos.plan import schedule
from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir
from chaos.runner import launch
from chaos.runner.resolve import Request, resolve
from chaos.sandbox.command import guardian_argv
from chaos.sandbox.probe import require
from tests import waiting
from tests.stack import contract

CONTRACT = Path(contract.__file__)
_LIMIT_S = 240.0

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow(seconds=90),
    pytest.mark.timeout(400),
]


def written(folder: Path, backend: str) -> RunDir:
    """A run directory as `chaos run soak_c` writes it; draws come often, so that work is there."""
    plan = resolve(
        Request(
            "soak_c", faults=["none"], seed=1, backend="docker" if backend == "docker" else "local"
        )
    )
    return launch._written(plan, schedule.draw(plan), folder)


def lived_locally(folder: Path) -> RunDir:
    run = written(folder, "local")
    words = [sys.executable, str(CONTRACT), "sandbox", str(run.path), str(ROOT)]
    argv = guardian_argv(
        words,
        run_id=run.run_id,
        mode="namespaces",
        user_namespace=require().user,
        expect=run.path / "kept.json",
        on_crash=[],
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=_LIMIT_S)
    assert (run.path / "kept.json").exists(), done.stdout + done.stderr
    return run


def lived_in_containers(folder: Path, assets: Assets) -> RunDir:
    """As the conductor does it, with the contract in the place of the harness inside."""
    from chaos.runner.containers.prepare import prepare
    from chaos.runner.containers.settings import IN_IMAGE, in_pod, make_project
    from chaos.stack.docker import engine, objects
    from chaos.stack.docker.exec_stream import ExecStream
    from chaos.stack.docker.pod import HOLDER, Pod

    run = written(folder, "docker")
    plan = Plan.from_json(run.read_json(run.config))
    settings = prepare(plan, assets, print)
    settings.write(run)
    (run.path / CONTRACT.name).write_text(CONTRACT.read_text())
    (run.path / "tests").mkdir()
    (run.path / "tests" / "waiting.py").write_text(Path(waiting.__file__).read_text())
    with closing(engine.connect(settings.engine)) as client:
        pod = Pod(client, run.run_id, run.logs)
        try:
            settings.hand_over(run)
            pod.make(lambda only: make_project(settings, plan, run, only))
            python = settings.inside_argv(run)[0]
            seen = in_pod(run)
            argv = [python, str(seen / CONTRACT.name), "pod", str(seen), str(IN_IMAGE)]
            stream = ExecStream(client, pod.id_of(HOLDER), argv)
            with ThreadPoolExecutor(4) as workers:
                stream.serve(pod, workers, hurried=lambda: False)
            assert (run.path / "kept.json").exists(), stream.said()
        finally:
            left = pod.remove()
            settings.take_back(run)
        assert left == []
        assert objects.names(client, run.run_id) == []
    return run


@pytest.fixture(
    scope="module",
    params=["local", pytest.param("docker", marks=pytest.mark.docker)],
)
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, assets: Assets
) -> Iterator[dict[str, str]]:
    """What became of each promise: empty, or why it was not kept."""
    folder = tmp_path_factory.mktemp("contract")
    if request.param == "docker":
        request.getfixturevalue("docker_engine")
        run = lived_in_containers(folder, assets)
    else:
        run = lived_locally(folder)
    yield json.loads((run.path / "kept.json").read_text())


def test_stack_comes_up_and_leaves_nothing_behind(kept: dict[str, str]) -> None:
    assert kept.get("up", "") == ""
    assert kept["down"] == ""


@pytest.mark.parametrize("name", [one.__name__ for one in contract.PROMISES])
def test_backend_fulfils_the_interface(kept: dict[str, str], name: str) -> None:
    assert kept.get(name, "not tried") == ""
