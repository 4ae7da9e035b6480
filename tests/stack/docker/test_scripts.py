"""scripts/images and scripts/base-image: what they do before anything takes long."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from chaos.stack.docker import by_hand, engine, wheels
from chaos.stack.docker.images import Image


def test_collected_files_are_where_the_dockerfiles_expect_them(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what lay there before does not stay: an old wheel would be offered to pip."""
    shutil.copytree(repo / "images", tmp_path / "images")
    for folder in ("chaos", "experiments"):
        (tmp_path / folder).mkdir()
    server, wheel = tmp_path / "server", tmp_path / "x-1-py3-none-any.whl"
    server.write_bytes(b"binary")
    wheel.write_bytes(b"wheel")
    old = tmp_path / "build" / "wheels" / "watcher" / "old.whl"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    monkeypatch.setattr(wheels, "collected", lambda *_: [wheel])
    by_hand.collect("cpu", server, tmp_path)
    by_hand.collect("cuda", server, tmp_path)
    build = tmp_path / "build"
    found = {str(path.relative_to(build)) for path in build.rglob("*") if path.is_file()}
    assert found == {
        "toxiproxy-server",
        *(f"wheels/{name}/{wheel.name}" for name in ("injector", "llm", "watcher", "watcher.cuda")),
    }


@pytest.fixture
def docker_command() -> str:
    found = shutil.which("docker")
    if found is None:
        pytest.skip("needs the command docker")
    return found


def base_image(repo: Path, *words: str, host: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(repo / "scripts" / "base-image"), *words],
        env={**os.environ, "DOCKER_HOST": host},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_base_image_without_an_engine_has_a_next_step(
    docker_command: str, repo: Path, tmp_path: Path
) -> None:
    done = base_image(repo, host=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 4 and done.stdout == ""
    assert "no Docker engine answers" in done.stderr and "DOCKER_HOST" in done.stderr


@pytest.mark.docker
def test_base_image_is_not_made_again(
    docker_command: str, built: dict[str, Image], repo: Path
) -> None:
    """It prints the reference, alone, so that it can be handed on."""
    reference = built["toxiproxy"].reference
    done = base_image(repo, reference, host=engine.address())
    assert (done.returncode, done.stdout) == (0, f"{reference}\n")
