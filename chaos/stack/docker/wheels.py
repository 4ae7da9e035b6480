"""Download the wheels for an image once into the user's cache, and check them by hash.

The pip of the harness downloads them, so its configuration (a mirror, a proxy, a private
certificate authority) also holds for the images, and a build needs no network. Knows no engine.
"""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from chaos.assets import cache, command
from chaos.assets.progress import Quiet
from chaos.base.errors import EnvironmentProblem

PYTHON = "3.11"  # of the base image
_GLIBC_MINOR_MAX = 36  # of Debian bookworm
_LEGACY_TAGS = ("manylinux1", "manylinux2010", "manylinux2014")


def collected(name: str, lock: Path, architecture: str, say: Callable[[str], None]) -> list[Path]:
    """The wheels of `lock` for the image `name`; downloads them if they are not complete.

    `architecture`: the kernel's name for it (x86_64, aarch64). Raises `EnvironmentProblem`.
    """
    text = lock.read_text(encoding="utf-8")
    stamp = hashlib.sha256(text.encode()).hexdigest()[:12]
    final = cache.cache_dir() / "wheels" / f"{name}-cp311-{architecture}-{stamp}"
    wanted = _hashes(text)
    if _complete(final, wanted):
        return _wheels(final)
    with cache.exclusive(lambda: say("waiting for another set-up")) as work:
        if not _complete(final, wanted):
            say(f"image {name}: collecting {len(wanted)} packages")
            fetched = _fetch(name, lock, architecture, work)
            _keep(fetched, final)
    if not _complete(final, wanted):
        raise EnvironmentProblem(
            f"the wheels of image {name} are not what its lock pins",
            place=str(final),
            next_step="remove that folder and start again; it is fetched anew",
        )
    return _wheels(final)


def _hashes(lock: str) -> list[set[str]]:
    """The allowed SHA-256 of each package."""
    entries = re.split(r"(?m)^(?=[A-Za-z])", lock)[1:]
    return [set(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)) for entry in entries]


def _wheels(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.whl"))


def _complete(folder: Path, wanted: list[set[str]]) -> bool:
    """True if the folder has exactly one unchanged wheel for each package."""
    with cache.translated("read the collected wheels"):
        digests = {
            cache.known_sha256(path) or cache.compute_sha256(path) for path in _wheels(folder)
        }
    return len(digests) == len(wanted) and all(digests & allowed for allowed in wanted)


def _fetch(name: str, lock: Path, architecture: str, work: Path) -> Path:
    target = work / "wheels"
    tags = [f"manylinux_2_{minor}" for minor in range(_GLIBC_MINOR_MAX, 4, -1)]
    options = [
        *("--python-version", PYTHON, "--implementation", "cp", "--abi", "cp311"),
        *(f"--platform={tag}_{architecture}" for tag in (*tags, *_LEGACY_TAGS)),
    ]
    outcome = command.pip_download(lock, target, work=work, step=Quiet(), options=options)
    if outcome.exit_code != 0:
        raise command.download_problem(outcome)(
            f"the packages of image {name} cannot be collected: {outcome.complaint()}",
            place=str(lock),
            next_step="check the network or pip's configuration (a mirror, PIP_FIND_LINKS=DIR); "
            f"or put the wheels that the lock names into {cache.cache_dir() / 'wheels'}",
        )
    return target


def _keep(fetched: Path, final: Path) -> None:
    """Move the folder into place as a whole, instead of an incomplete one."""
    with cache.translated("keep the collected wheels"):
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            shutil.rmtree(final)
        fetched.rename(final)
