"""Inside the namespaces: private loopback, /tmp and process table, and the kept paths."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.base.errors import EnvironmentProblem
from chaos.sandbox import enter
from chaos.sandbox.probe import Namespaces, Refused, probe
from tests.sandbox.guarded import INSIDE, Guarded, Start

pytestmark = pytest.mark.stack

_NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A world-writable folder below /tmp."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="chaos-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def check_inside(guarded: Guarded, folder: Path) -> None:
    facts = guarded.ready()
    assert guarded.exit_code() == 0
    assert facts["port"] == 8080
    assert facts["processes"] == 2  # init and the run itself
    assert facts["errno"] == errno.ENOSPC
    assert 3_000_000 < facts["written"] <= 4 << 20
    assert folder.parts[2] in facts["tmp"]
    assert not Path("/tmp/filler").exists()


def test_the_sandbox_is_private_for_the_current_user(start: Start, shared: Path) -> None:
    """Loopback works, /tmp is limited, the process table is private, the kept path is visible."""
    check_inside(start("enter", "port", "fill", folder=shared), shared)


@pytest.mark.skipif(os.geteuid() != 0, reason="the test above covers the ordinary user")
def test_the_sandbox_is_private_for_an_ordinary_user(start: Start, shared: Path) -> None:
    """The sandbox of a user without privileges is made by a user namespace."""
    drop = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--")
    python = "/usr/bin/python3"  # the tests' own Python may lie in root's home
    trial = subprocess.run(
        [
            *drop,
            python,
            "-c",
            f"import sys; open({str(INSIDE)!r}); sys.exit(sys.version_info < (3, 11))",
        ],
        capture_output=True,
        check=False,
    )
    if trial.returncode != 0:
        pytest.skip("no Python >= 3.11 and repository that an ordinary user can read")
    guarded = start(
        "enter", "port", "fill", folder=shared, prefix=drop, python=python, user_namespace=True
    )
    check_inside(guarded, shared)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become an ordinary user")
def test_an_ordinary_users_sandbox_dies_with_its_guardian(
    start: Start, shared: Path, repo: Path
) -> None:
    """Entering a user namespace must not cancel the parent-death signal."""
    # That user may have no access to the checkout.
    copy = shared / "checkout"
    for name in (
        "chaos/sandbox",
        "chaos/__init__.py",
        "chaos/base/errors.py",
        "chaos/base/exitcode.py",
        "chaos/base/shipped.py",
        "chaos/base/version.py",
        "tests/sandbox/inside.py",
    ):
        to = copy / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if (repo / name).is_dir():
            shutil.copytree(repo / name, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(repo / name, to)
    drop = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--")
    guarded = start(
        "hold",
        "tree",
        folder=shared,
        prefix=drop,
        python="/usr/bin/python3",
        user_namespace=True,
        checkout=copy,
    )
    guarded.ready()
    guarded.process.kill()
    guarded.await_nothing_left()


def test_only_the_kept_part_of_tmp_is_visible(start: Start, shared: Path) -> None:
    """Files of other programs in /tmp are not visible."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="chaos-test-other-") as other:
        guarded = start("enter", folder=shared)
        visible = guarded.ready()["tmp"]
    assert shared.name in visible
    assert Path(other).name not in visible


def test_a_kept_path_may_be_a_symlink(start: Start, shared: Path) -> None:
    """The caller passes the link; the sandbox keeps its target."""
    real, link = shared / "real", shared / "link"
    real.mkdir()
    link.symlink_to(real)
    guarded = start("enter", folder=link)
    guarded.ready()
    assert guarded.exit_code() == 0
    assert (real / "ready").exists()


def test_two_sandboxes_use_the_same_port_at_the_same_time(start: Start, tmp_path: Path) -> None:
    """Each sandbox has its own loopback."""
    both = [start("enter", "port", "hold", folder=tmp_path / name) for name in ("a", "b")]
    for guarded in both:
        assert guarded.ready()["port"] == 8080
    for guarded in both:
        (guarded.folder / "release").touch()
    assert [guarded.exit_code() for guarded in both] == [0, 0]


def test_enter_outside_a_sandbox_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`enter` would hide the machine's /tmp."""
    monkeypatch.delenv(enter.MODE_VARIABLE, raising=False)
    with pytest.raises(EnvironmentProblem, match="not in a sandbox"):
        enter.enter([])


def test_probe_uses_a_user_namespace_only_if_needed(namespaces: Namespaces) -> None:
    """An ordinary user needs a user namespace, root usually does not."""
    assert namespaces.user or os.geteuid() == 0


def test_probe_reports_the_reason_and_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script stands in for a kernel that refuses namespaces."""
    fake = tmp_path / "unshare"
    fake.write_text(
        "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    result = probe()
    assert isinstance(result, Refused)
    assert "Operation not permitted" in result.reason
    assert "--sandbox none" in result.next_step


def test_probe_names_a_missing_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe answers with a reason instead of an exception."""
    monkeypatch.setenv("PATH", str(tmp_path))
    result = probe()
    assert isinstance(result, Refused)
    assert "unshare is not installed" in result.reason
