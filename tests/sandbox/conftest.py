"""Starts guardians as `chaos run` does, and ends them after the test."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.sandbox.command import guardian_argv
from chaos.sandbox.guardian import kill_marked
from chaos.sandbox.probe import Namespaces, probe
from tests.sandbox.guarded import INSIDE, LIMIT_S, Guarded, Start

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def namespaces() -> Namespaces:
    result = probe()
    if not isinstance(result, Namespaces):
        pytest.skip(f"no namespaces on this machine: {result.reason}")
    return result


@pytest.fixture
def start(tmp_path: Path, namespaces: Namespaces) -> Iterator[Start]:
    """`start(*options, code=0, mode="namespaces", **guardian options)` -> Guarded."""
    started: list[Guarded] = []

    def start_one(
        *options: str,
        code: int = 0,
        mode: Any = "namespaces",
        folder: Path = tmp_path,
        prefix: tuple[str, ...] = (),
        python: str = sys.executable,
        user_namespace: bool = namespaces.user,
        checkout: Path = REPO,
        **more: Any,
    ) -> Guarded:
        folder.mkdir(exist_ok=True)
        run_id = f"test-{uuid.uuid4().hex}"
        argv = guardian_argv(
            [python, str(INSIDE), str(folder), str(code), *options],
            run_id=run_id,
            mode=mode,
            user_namespace=user_namespace,
            **more,
        )
        arguments = [word.replace(str(REPO), str(checkout)) for word in argv[1:]]
        process = subprocess.Popen(
            [*prefix, python, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        started.append(Guarded(process, run_id, folder, mode))
        return started[-1]

    yield start_one
    for guarded in started:
        guarded.process.kill()
        guarded.process.communicate(timeout=LIMIT_S)
        kill_marked(guarded.run_id)
