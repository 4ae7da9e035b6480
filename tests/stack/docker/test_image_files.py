"""Dockerfiles, locks and build contexts as texts: pinned, without root, the same every time."""

from __future__ import annotations

import io
import os
import re
import runpy
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from chaos.runner.resolve import read_target
from chaos.stack.docker import context
from chaos.stack.workspace import install

DOCKERFILES = [
    "injector/Dockerfile",
    "llm/Dockerfile",
    "llm/Dockerfile.cuda",
    "toxiproxy/Dockerfile",
    "watcher/Dockerfile",
    "watcher/Dockerfile.cuda",
]


@pytest.fixture(scope="module")
def locks(repo: Path) -> dict[str, Any]:
    return runpy.run_path(str(repo / "scripts" / "image_locks.py"))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfile_ends_with_a_user_labels_and_a_health_check(name: str, repo: Path) -> None:
    text = (repo / "images" / name).read_text(encoding="utf-8")
    last = text[text.rindex("\nFROM ") :]
    assert re.findall(r"(?m)^USER (\S+)$", last)[-1] == "10001:10001"
    for label in ("title", "version", "revision", "licenses"):
        assert f"org.opencontainers.image.{label}=" in last
    assert "io.chaos-gate=image" in last
    assert "\nHEALTHCHECK " in last
    assert re.search(r"(?m)^ARG BASE_IMAGE=\S+$", text)
    assert not re.search(r"https?://|--privileged|chmod 777|\bADD\b", text)


def test_every_dockerfile_is_tested(repo: Path) -> None:
    found = (repo / "images").glob("*/Dockerfile*")
    assert sorted(str(path.relative_to(repo / "images")) for path in found) == DOCKERFILES


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfiles_install_packages_by_hash_only(name: str, repo: Path) -> None:
    """Only one script installs packages, and it installs only locked ones."""
    text = (repo / "images" / name).read_text(encoding="utf-8")
    assert "pip install" not in text
    script = (repo / "images" / "venv.sh").read_text(encoding="utf-8")
    (command,) = re.findall(r"(?s)pip --python .*? install \\\n.*?\"\$@\"", script)
    assert {"--require-hashes", "--no-deps", "--no-compile"} <= set(command.split())


def test_locks_of_the_images_agree_with_the_projects_lock(
    repo: Path, locks: dict[str, Any]
) -> None:
    """Otherwise a run in containers would judge other versions than one without."""
    locked = (repo / "requirements.lock").read_text(encoding="utf-8")
    for image in locks["IMAGES"]:
        lock = (repo / "images" / image / "requirements.lock").read_text(encoding="utf-8")
        assert lock == locks["lock_of"](image, locked), "run scripts/lock"


def test_cuda_lock_agrees_with_the_projects_lock_in_common_packages(repo: Path) -> None:
    def pinned(path: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", (repo / path).read_text()):
            found.setdefault(name, set()).add(version)
        return found

    ours, cuda = pinned("requirements.lock"), pinned("images/watcher/requirements.cuda.lock")
    assert {"cupy-cuda12x", "numpy", "loguru"} <= set(cuda)
    assert {n: v for n, v in cuda.items() if n in ours and not v <= ours[n]} == {}


@pytest.fixture
def checkout(repo: Path, tmp_path: Path) -> Path:
    """What images are made of, copied so that a test may change it."""
    for name in ("chaos", "experiments", "images"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repo / name, tmp_path / name, ignore=ignored)
    return tmp_path


def tar_of(root: Path, name: str, variant: context.Variant = "cpu") -> bytes:
    stream = io.BytesIO()
    context.write_tar(stream, context.recipe(root, name, variant, {}).files)
    return stream.getvalue()


def digest_of(root: Path, name: str, *, version: str = "1", base: str = "sha256:b") -> str:
    return context.digest(context.recipe(root, name, "cpu", {}), {"VERSION": version}, base)


@pytest.mark.parametrize("name", context.NAMES)
def test_context_does_not_depend_on_clock_or_umask(name: str, repo: Path, checkout: Path) -> None:
    for path in checkout.rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(0o700 if path.stat().st_mode & 0o100 else 0o600)
    (checkout / "images" / name / "__pycache__").mkdir()
    (checkout / "images" / name / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (checkout / "images" / name / ".swp").write_bytes(b"x")
    assert tar_of(checkout, name) == tar_of(repo, name)


@pytest.mark.parametrize(
    "changed",
    ["images/watcher/agents/daemon.py", "images/watcher/requirements.lock", "images/venv.sh"],
)
def test_changed_file_changes_the_digest_of_only_its_images(changed: str, checkout: Path) -> None:
    before = {name: digest_of(checkout, name) for name in context.NAMES}
    with (checkout / changed).open("a") as stream:
        stream.write("# x\n")
    after = {name: digest_of(checkout, name) for name in context.NAMES}
    assert before["watcher"] != after["watcher"]
    assert before["injector"] != after["injector"]  # it carries all programs
    assert before["toxiproxy"] == after["toxiproxy"]


def test_digest_covers_base_arguments_and_execute_bit_only(checkout: Path) -> None:
    first = digest_of(checkout, "toxiproxy")
    assert first == digest_of(checkout, "toxiproxy")
    assert first != digest_of(checkout, "toxiproxy", base="sha256:c")
    assert first != digest_of(checkout, "toxiproxy", version="2")
    (checkout / "images" / "toxiproxy" / "health.py").chmod(0o600)
    assert first != digest_of(checkout, "toxiproxy")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_context_has_every_file_that_a_dockerfile_copies(name: str, repo: Path) -> None:
    """Both in the one that `chaos` sends and in the one that compose sends (.dockerignore)."""
    image, _, file = name.partition("/")
    planned = context.recipe(repo, image, "cuda" if file.endswith(".cuda") else "cpu", {})
    assert planned.dockerfile == f"images/{name}"
    allowed = [
        line[1:] for line in (repo / ".dockerignore").read_text().split() if line.startswith("!")
    ]
    text = (repo / "images" / name).read_text(encoding="utf-8")
    for sources in re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", text):
        for source in sources.split():
            plain = source.replace("[f]", "f").replace("[m]", "m").replace("*.wh[l]", "x.whl")
            assert any(plain == a or plain.startswith(f"{a}/") for a in allowed), source
            if not source.startswith("build/"):
                pattern = re.compile(re.escape(source).replace(r"\*", "[^/]*") + "(/|$)")
                assert any(pattern.match(known) for known in planned.files), source


def test_watchers_image_has_every_program_that_a_run_installs(repo: Path, tmp_path: Path) -> None:
    """A new module beside the others must not be forgotten in its Dockerfile."""
    _, target = read_target("reference", repo / "experiments")
    installed = install(target, repo / "images", tmp_path)
    text = (repo / "images" / "watcher" / "Dockerfile").read_text(encoding="utf-8")
    folders = re.findall(r"(?m)^COPY images/watcher/(\w+) /opt/watcher/\1$", text)
    forgotten = {name for name in installed if "/" in name} - {
        name for name in installed if name.partition("/")[0] in folders
    }
    assert folders and forgotten == set()
    assert "COPY images/watcher/*.py /opt/watcher/" in text


def test_tar_has_no_user_names(repo: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(repo, "watcher"))) as archive:
        owners = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in archive.getmembers()}
    assert owners == {(0, 0, "", "", 0)}
