"""A target of another git revision: `REV:path/to/target.yaml`, in the checkout we stand in.

The files of that revision are unpacked below the folder of the comparison; the checkout stays as it
is. Programs of `{programs}` are those of this chaos, whatever the revision.
"""

import io
import subprocess
import tarfile
from pathlib import Path

from chaos.base.errors import UsageError

_LIMIT_S = 120.0


def names_revision(text: str) -> bool:
    """True for `REV:path.yaml`, unless there is a file of that name."""
    revision, colon, path = text.partition(":")
    return bool(revision and colon and path.endswith((".yaml", ".yml"))) and not Path(text).exists()


def pinned(text: str, place: str) -> str:
    """`REV:path` with the whole hash in the place of the revision, which may move."""
    revision, _, path = text.partition(":")
    found = _git(["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], place)
    return f"{found.decode().strip()}:{path}"


def unpacked(text: str, folder: Path, place: str) -> Path:
    """The target's file of a pinned `HASH:path`, unpacked below `folder` (once)."""
    revision, _, path = text.partition(":")
    tree = folder / revision[:12]
    if not tree.is_dir():
        top = _git(["rev-parse", "--show-toplevel"], place).decode().strip()
        packed = _git(["archive", "--format=tar", revision], place, Path(top))
        part = folder / f".{revision[:12]}.part"
        try:
            part.mkdir(parents=True, exist_ok=True)
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(part, filter="data")
            part.rename(tree)
        except (OSError, tarfile.TarError) as error:  # a full disk, a link that leads elsewhere
            raise UsageError(
                f"revision {revision[:12]} cannot be unpacked: {error}",
                place=place,
                next_step="check it out into a folder of its own, and name the target's file there",
            ) from error
    if not (tree / path).is_file():
        raise UsageError(
            f"revision {revision[:12]} has no file {path}",
            place=place,
            next_step="the path begins at the top of the repository: git ls-tree -r --name-only "
            f"{revision[:12]}",
        )
    return tree / path


def _git(words: list[str], place: str, folder: Path | None = None) -> bytes:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"git cannot be asked: {error}", place=place, next_step="name the file of a target"
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or "no such revision"
        raise UsageError(
            f"git {words[0]}: {said}",
            place=place,
            next_step="REV:path/to/target.yaml, called inside of the checkout",
        )
    return done.stdout
