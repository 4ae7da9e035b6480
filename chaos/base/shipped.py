"""Where the files that come with the package lie, and which commit they are of.

In a checkout they lie beside the package. A wheel has them in the package, below `_shipped`, where
scripts/build_shipped.py puts them. It reads this module, so only the standard library is imported.
"""

import os
import site
import subprocess
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
IMPORT_ROOT = PACKAGE.parent  # the folder that `chaos` is imported from
FOLDER = "_shipped"
# What a wheel takes along, by its path in the checkout.
NAMES = (
    "images",
    "experiments",
    "docker-compose.yml",
    "docker-compose.gpu.yml",
    "scripts/base-image",
    "docs/help",
)
INSTALLED = (PACKAGE / FOLDER).is_dir()
ROOT = PACKAGE / FOLDER if INSTALLED else IMPORT_ROOT  # of the shipped files
IMAGES = ROOT / "images"
EXPERIMENTS = ROOT / "experiments"
HELP = ROOT / "docs" / "help"
BASE_IMAGE_SCRIPT = ROOT / "scripts" / "base-image"
GIT_LIMIT_S = 10.0


def files_of(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """(path in a checkout, file) for each file below `name`, or for the file `name` itself.

    `root` is `ROOT` or a checkout; `name` is one of `NAMES`, a path below one, or `chaos`. Leaves
    out caches of tools.
    """
    place = PACKAGE if (root, name) == (ROOT, PACKAGE.name) else root / name
    for path in [place] if place.is_file() else place.rglob("*"):
        below = path.relative_to(place)
        hidden = any(part.startswith(".") for part in below.parts)
        if path.is_file() and path.suffix != ".pyc" and not hidden and below.parts[:1] != (FOLDER,):
            yield str(Path(name) / below), path


def python_path(rest: str = "") -> str:
    """The PYTHONPATH with which another interpreter can import `chaos`, followed by `rest`.

    A site-packages folder is not in it. The interpreter has that by itself, and on PYTHONPATH its
    modules would replace those of the standard library.
    """
    folders = [*site.getsitepackages(), site.getusersitepackages()]
    found = IMPORT_ROOT in {Path(folder).resolve() for folder in folders}
    return os.pathsep.join(filter(None, ["" if found else str(IMPORT_ROOT), rest]))


def git(repo: Path, *args: str) -> str | None:
    """Output of `git ARGS` in `repo`; None where there is no git or no checkout.

    Also None for an installed package: the checkout around it, if there is one, is not ours.
    """
    if INSTALLED:
        return None
    try:
        done = subprocess.run(
            ["git", "-c", f"safe.directory={repo}", "-C", str(repo), *args],
            capture_output=True,
            text=True,
            timeout=GIT_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def revision(repo: Path) -> str | None:
    """The commit that is checked out; None outside a checkout."""
    return git(repo, "rev-parse", "HEAD")
