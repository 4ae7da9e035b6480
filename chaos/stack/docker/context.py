"""The build context of an image: its files, a deterministic tar of them, and their digest.

The same files give the same bytes on every machine, so the digest can name the image. Knows nothing
of engines.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from chaos.base.shipped import files_of

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
    """One image to build: the files of its context by their name there, and its Dockerfile."""

    name: str
    variant: Variant
    files: Mapping[str, Path]

    @property
    def dockerfile(self) -> str:
        return f"images/{self.name}/Dockerfile{self._suffix}"

    @property
    def lock(self) -> Path | None:
        """The file that pins the image's packages; None for an image without packages."""
        return self.files.get(f"images/{self.name}/requirements{self._suffix}.lock")

    @property
    def wheels_at(self) -> str:
        """The folder of wheels in the context."""
        return f"build/wheels/{self.name}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return ".cuda" if self.variant == "cuda" else ""


def recipe(root: Path, name: str, variant: Variant, extra: Mapping[str, Path]) -> Recipe:
    """The recipe of image `name`, of the files below `root` (see `shipped.files_of`) and `extra`.

    An image that needs no GPU is the same in both variants.
    """
    files = dict(pair for tree in _TREES[name] for pair in files_of(root, tree))
    fitting: Variant = variant if name in HAS_CUDA else "cpu"
    return Recipe(name, fitting, {**files, **extra})


def digest(planned: Recipe, arguments: Mapping[str, str], base_id: str) -> str:
    """SHA-256 (hex) over everything that determines the content of the image.

    Instead of the wheels it covers the lock, which pins their content.
    """
    sha256 = hashlib.sha256()
    with io.BytesIO() as stream:
        write_tar(stream, planned.files)
        sha256.update(stream.getbuffer())
    head = {"dockerfile": planned.dockerfile, "arguments": dict(arguments), "base": base_id}
    sha256.update(json.dumps(head, sort_keys=True).encode())
    return sha256.hexdigest()


def write_tar(stream: IO[bytes], files: Mapping[str, Path]) -> None:
    """Write `files` (name -> path) as a tar of only names, contents and the execute bit."""
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
