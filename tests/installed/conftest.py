"""A wheel and an sdist of this checkout, and the wheel installed in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.assets import cache
from tests.checkout import checkout_files

LIMIT_S = 300.0
# The build as pip and `build` start it, with the setuptools of this environment.
BUILD = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"
SDIST, WHEEL = "build_sdist", "build_wheel"


@dataclass(frozen=True)
class Built:
    """`source`: a copy of the checkout, with the files that git would take. `names`: of those."""

    source: Path
    names: list[str]
    wheel: Path
    sdist: Path
    wheel_of_sdist: Path


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and the other packages of the environment of the tests."""

    folder: Path

    @property
    def python(self) -> Path:
        """The Python of the environment that the wheel is installed in."""
        return self.folder / "bin" / "python"

    def files(self) -> set[Path]:
        """Every file in it."""
        return {path for path in self.folder.rglob("*") if path.is_file()}

    def run(
        self, program: str, *words: str, cwd: Path, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the folder `cwd`, which is also its home."""
        python = {name for name in os.environ if name.startswith(("PYTHON", "CHAOS_RUNS"))}
        kept = {name: value for name, value in os.environ.items() if name not in python}
        return subprocess.run(
            [self.folder / "bin" / program, *words],
            cwd=cwd,
            env={**kept, "HOME": str(cwd), "CHAOS_CACHE": str(cache.cache_dir()), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )


def _checked(argv: list[str], cwd: Path) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr


def _made(kind: str, source: Path, folder: Path) -> Path:
    _checked([sys.executable, "-c", BUILD, kind, str(folder)], source)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="session")
def built(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    names = checkout_files(repo)
    source = folder / "source"
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo / name, source / name)
    # What tools leave in a checkout, and must not get into a wheel.
    (source / "images" / "llm" / "__pycache__").mkdir()
    (source / "images" / "llm" / "__pycache__" / "faults.cpython-311.pyc").write_bytes(b"x")
    (source / "images" / ".faults.py.swp").write_bytes(b"x")
    for name in ("wheel", "sdist", "wheel_of_sdist"):
        (folder / name).mkdir()
    sdist = _made(SDIST, source, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return Built(
        source,
        names,
        _made(WHEEL, source, folder / "wheel"),
        sdist,
        _made(WHEEL, unpacked, folder / "wheel_of_sdist"),
    )


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder)
    # A path in a .pth file: the .pth files in there, one of which may name a checkout, are not
    # read.
    packages = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    made = Installed(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(made.python), "install", "--quiet"]
    _checked([*pip, "--no-deps", "--no-index", str(built.wheel)], folder)
    where = made.run("python", "-c", "import chaos; print(chaos.__file__)", cwd=folder).stdout
    assert where.startswith(f"{packages}{os.sep}"), where
    return made


def members(wheel: Path) -> dict[str, zipfile.ZipInfo]:
    """The files in a wheel by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: one for one in archive.infolist()}
