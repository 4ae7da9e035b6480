"""Runs one tool (pip, go) until it ends, with its output in a log, and stops it on a timeout."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.assets import pins
from chaos.assets.progress import Step
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import dying_with_us, end

_POLL_S = 0.2
_STOP_S = 5.0
DOWNLOAD_LIMIT_S = 1200.0
_VENV_LIMIT_S = 120.0


class WrongChecksum(EnvironmentProblem):
    """The downloaded content is not the pinned content. There is no fallback for it."""


@dataclass(frozen=True)
class Outcome:
    """The end of a tool. `exit_code` is None if the tool was stopped after its timeout."""

    exit_code: int | None
    log: str

    def complaint(self) -> str:
        """The last line with the word "error", else the last line; at most 300 characters."""
        if self.exit_code is None:
            return "it did not end in time"
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        line = (errors or lines or ["no output"])[-1]
        return line if len(line) <= 300 else f"{line[:300]}..."


def run_tool(
    argv: Sequence[str],
    *,
    work: Path,
    step: Step,
    limit_s: float,
    env: Mapping[str, str] | None = None,
    done_bytes: Callable[[], int] | None = None,
) -> Outcome:
    """Run `argv` in the folder `work` for at most `limit_s` seconds.

    `step` is updated while the tool runs, with the value of `done_bytes`. The temporary files of
    the tool are below `work`. The tool never outlives this process: an exception stops it, and
    if `setpriv` is installed, the kernel kills it when this process is killed.
    """
    log = work / "tool.log"
    temporary = work / "tmp"
    temporary.mkdir(exist_ok=True)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*dying_with_us(), *argv],
            cwd=work,
            env={**os.environ, **(env or {}), "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            exit_code = _wait(process, limit_s, step, done_bytes)
        finally:
            end(process, _STOP_S)
    return Outcome(exit_code, log.read_text(encoding="utf-8", errors="replace"))


def _wait(
    process: subprocess.Popen[bytes],
    limit_s: float,
    step: Step,
    done_bytes: Callable[[], int] | None,
) -> int | None:
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        try:
            return process.wait(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            step.update(done_bytes() if done_bytes is not None else None)
    return None


def largest_file_bytes(folder: Path) -> int:
    """Return the size of the largest file below `folder`, which is the running download."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, (Path(parent) / name).stat().st_size)
            except FileNotFoundError:
                continue  # renamed since the folder was listed
    return largest


def fetch_wheel(distribution: str, *, work: Path, step: Step, alternatives: str) -> Path:
    """Download the locked wheel of `distribution` into `work` with pip, and return its path.

    Raises `WrongChecksum` if the wheel has another hash than the lock, and `EnvironmentProblem`
    for any other failure. Both have `alternatives` as the next step.
    """
    lock = work / f"{distribution}.lock"
    lock.write_text(_lock_entry(distribution), encoding="utf-8")
    target = work / distribution
    outcome = pip_download(lock, target, work=work, step=step)
    wheels = list(target.glob("*.whl"))
    if outcome.exit_code != 0 or len(wheels) != 1:
        raise download_problem(outcome)(
            f"pip could not fetch {distribution}: {outcome.complaint()}",
            next_step=alternatives,
        )
    return wheels[0]


def pip_download(
    lock: Path, target: Path, *, work: Path, step: Step, options: Sequence[str] = ()
) -> Outcome:
    """Download the wheels of `lock`, checked by their hashes, into the new folder `target`.

    `work`: see `run_tool`. `options`: more options of `pip download`.
    """
    target.mkdir()
    return run_tool(
        [
            *(*_pip(work, step), "download", "--disable-pip-version-check"),
            *("--no-input", "--no-cache-dir", "--no-deps", "--only-binary", ":all:"),
            *("--progress-bar", "off", "--retries", "2", "--require-hashes"),
            *options,
            *("--requirement", str(lock.absolute()), "--dest", str(target)),
        ],
        work=work,
        step=step,
        limit_s=DOWNLOAD_LIMIT_S,
        done_bytes=lambda: largest_file_bytes(work),
    )


def _pip(work: Path, step: Step) -> list[str]:
    """The pip of this environment; where it has none (`uv tool install`), one made in `work`."""
    python = Path(sys.executable)
    if importlib.util.find_spec("pip") is None:
        folder = work / "pip"
        argv = [sys.executable, "-m", "venv", str(folder)]
        outcome = run_tool(argv, work=work, step=step, limit_s=_VENV_LIMIT_S)
        if outcome.exit_code != 0:
            raise EnvironmentProblem(
                f"there is no pip to download packages with: {outcome.complaint()}",
                place=sys.prefix,
                next_step="install pip there, or the system's package python3-venv",
            )
        python = folder / "bin" / "python"
    return [str(python), "-m", "pip"]


def download_problem(outcome: Outcome) -> type[EnvironmentProblem]:
    """The class of error for a failed `pip_download`."""
    wrong_hash = "DO NOT MATCH THE HASHES" in outcome.log  # pip's message
    return WrongChecksum if wrong_hash else EnvironmentProblem


def _lock_entry(distribution: str) -> str:
    """Return the requirement of `distribution` in `wheels.lock`, with its hashes."""
    entry: list[str] = []
    inside = False
    for line in pins.WHEELS_LOCK.read_text(encoding="utf-8").splitlines():
        if not line.startswith((" ", "#")):
            inside = line.partition("==")[0] == distribution
        if inside:
            entry.append(line)
    return "\n".join(entry) + "\n"
