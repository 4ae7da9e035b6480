"""What an image is built from: its files, one deterministic tar, and the digest of both.

The same files give the same bytes on every machine, so that the digest can name the image. Knows
nothing of engines.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

Variant = Literal["cpu", "cuda"]
NAMES = ("injector", "llm", "toxiproxy", "watcher")
HAS_CUDA = ("llm", "watcher")

TOXIPROXY_AT = "build/toxiproxy-server"
_TREES = {
    "injector": ("chaos", "experiments", "images"),
    "llm": ("images/llm", "images/venv.sh"),
    "toxiproxy": ("images/toxiproxy",),
    "watcher": ("images/watcher", "images/venv.sh"),
}


@dataclass(frozen=True)
class Recipe:
    """How one image is built: the files of its context by their name there, and its Dockerfile."""

    name: str
    variant: Variant
    files: Mapping[str, Path]

    @property
    def dockerfile(self) -> str:
        return f"images/{self.name}/Dockerfile{self._suffix}"

    @property
    def lock(self) -> Path | None:
        """The file that pins its packages; None for an image without any."""
        return self.files.get(f"images/{self.name}/requirements{self._suffix}.lock")

    @property
    def wheels_at(self) -> str:
        """The folder of the context that its Dockerfile takes wheels from."""
        return f"build/wheels/{self.name}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return ".cuda" if self.variant == "cuda" else ""


def recipe(root: Path, name: str, variant: Variant, extra: Mapping[str, Path]) -> Recipe:
    """The image `name` of the checkout `root`; `extra` are files that lie elsewhere.

    An image that needs no GPU is the same in both variants.
    """
    files = {
        str(path.relative_to(root)): path for tree in _TREES[name] for path in _below(root / tree)
    }
    fitting: Variant = variant if name in HAS_CUDA else "cpu"
    return Recipe(name, fitting, {**files, **extra})


def _below(tree: Path) -> Iterable[Path]:
    """Every file, without what tools leave behind."""
    if tree.is_file():
        return [tree]
    return [
        path
        for path in tree.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and not any(part.startswith(".") for part in path.relative_to(tree).parts)
    ]


def digest(planned: Recipe, arguments: Mapping[str, str], base_id: str) -> str:
    """SHA-256 (hex) over all that decides what the image holds.

    The wheels are not read: the lock, which is, pins their content.
    """
    seen = hashlib.sha256()
    with io.BytesIO() as stream:
        write_tar(stream, planned.files)
        seen.update(stream.getbuffer())
    head = {"dockerfile": planned.dockerfile, "arguments": dict(arguments), "base": base_id}
    seen.update(json.dumps(head, sort_keys=True).encode())
    return seen.hexdigest()


def write_tar(stream: IO[bytes], files: Mapping[str, Path]) -> None:
    """Write `files` (name -> path) so that only names, contents and the execute bit matter."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            path = files[name]
            entry = tarfile.TarInfo(name)
            with path.open("rb") as content:
                content.seek(0, io.SEEK_END)
                entry.size = content.tell()
                content.seek(0)
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                archive.addfile(entry, content)
