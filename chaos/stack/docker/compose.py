"""The compose files, applied to one run: the project, its variables, and what only a run adds.

The same files that a user starts by hand (docker-compose.yml, docker-compose.gpu.yml), with an
override written into the run directory. Compose only makes the objects; they are started, stopped
and removed by the docker SDK. Compose v2 (`docker compose`) and v1 (`docker-compose` 1.29) both
serve. Source: the Compose specification.
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import dying_with_us
from chaos.record.owner import RUN_ID_VARIABLE
from chaos.record.rundir import RunDir, write_atomic
from chaos.stack.docker.objects import Unanswered

_VERSION_LIMIT_S = 20.0
_MAKE_LIMIT_S = 120.0
_END_LIMIT_S = 5.0
_GRACE_S = 20.0  # for what compose has begun, when the user wants the end
_LOOK_S = 0.1
_INTERRUPTED = "interrupted while compose made the containers"
_V1_OLDEST = (1, 29)
_PROJECT_VARIABLES = (
    *("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"),
    *("COMPOSE_ENV_FILES", "COMPOSE_PATH_SEPARATOR"),
)


@dataclass(frozen=True)
class Compose:
    """The compose command that this machine has."""

    argv: tuple[str, ...]
    version: str


def find() -> Compose:
    """Compose v2, else v1. Raises `EnvironmentProblem` when there is neither."""
    tried = []
    for argv in (("docker", "compose"), ("docker-compose",)):
        program = shutil.which(argv[0])
        if program is None:
            tried.append(f"{argv[0]}: not installed")
            continue
        command = (program, *argv[1:])
        version = _version(command)
        if version is None:
            tried.append(f"{' '.join(argv)}: not available")
        elif _numbers(version) < _V1_OLDEST:
            tried.append(f"{' '.join(argv)}: {version} is too old")
        else:
            return Compose(command, version)
    raise EnvironmentProblem(
        f"there is no Compose ({'; '.join(tried)})",
        next_step="install the plugin docker-compose-v2 (or docker-compose 1.29 or newer)",
    )


def _version(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            [*command, "version", "--short"],
            capture_output=True,
            text=True,
            timeout=_VERSION_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\d+\.\d+\S*", done.stdout)
    return found[0] if done.returncode == 0 and found else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def settings_of(files: Iterable[Path]) -> set[str]:
    """The names of the settings that compose files ask the environment for."""
    texts = (path.read_text(encoding="utf-8") for path in files)
    return {name for text in texts for name in re.findall(r"\$\{(CHAOS_[A-Z_]+)", text)}


def project_of(run_id: str) -> str:
    """The compose project of a run: one each, so that runs never meet."""
    return "chaos-" + re.sub(r"[^a-z0-9_-]", "-", run_id.lower())


def own_files(repo: Path, *, gpu: bool) -> list[Path]:
    """The compose files of the checkout, in the order in which they are merged."""
    names = ["docker-compose.yml", *(["docker-compose.gpu.yml"] if gpu else [])]
    return [repo / name for name in names]


@dataclass(frozen=True)
class Project:
    """Everything that compose is told for one run.

    `services` has, by service, what the run adds to the files: command, environment, volumes.
    """

    name: str
    run_id: str
    repo: Path
    gpu: bool
    variables: Mapping[str, str]
    services: Mapping[str, Mapping[str, Any]]

    def override(self) -> dict[str, Any]:
        """The third compose file: what the run adds to the services.

        Nothing about the network and the volume, whose description compose 1.29 would replace:
        the files themselves give every object the label of its project.
        """
        return {"services": {name: dict(added) for name, added in self.services.items()}}

    def files(self, override: Path) -> list[Path]:
        """In the order in which they are merged."""
        return [*own_files(self.repo, gpu=self.gpu), override]


def make(
    compose: Compose,
    project: Project,
    run: RunDir,
    engine: str,
    only: Sequence[str] = (),
    *,
    cancelled: Callable[[], bool] = lambda: False,
    hurried: Callable[[], bool] = lambda: False,
) -> None:
    """Make (not start) the containers, the network and the volume; `only` those services.

    What shares a pod must be made while its holder runs: compose 1.29 does not see it otherwise.
    Raises `EnvironmentProblem` with what compose said, or for `cancelled`, which is asked again
    and again; what it made by then carries the label. Cancelled, compose may end what it has begun:
    cut off, it leaves requests to the engine of which nobody hears any more (`Unanswered`). It is
    cut off when it takes long, and for `hurried`.
    """
    if cancelled():
        raise EnvironmentProblem(_INTERRUPTED)
    override = run.path / "compose.override.json"
    write_atomic(override, json.dumps(project.override(), indent=2) + "\n")
    # A compose that outlives its harness would make objects that nothing removes: it dies
    # with us, and carries the run's mark, by which `chaos clean` ends what it started.
    argv = [*dying_with_us(), *compose.argv, "--project-name", project.name]
    for path in project.files(override):
        argv += ["--file", str(path)]
    # What decides a run is told here and recorded, not read from a `.env` that lies about. An empty
    # file of ours, for compose 1.29 takes no device.
    none = run.path / "compose.env"
    write_atomic(none, "")
    argv += ["--env-file", str(none), "up", "--no-start", "--no-build", *only]
    with (run.logs / "compose.log").open("a+", encoding="utf-8", errors="replace") as log:
        begin = log.seek(0, os.SEEK_END)
        code = _lived(argv, project, engine, log, cancelled, hurried)
        log.seek(begin)
        said = [line.strip() for line in log.read().splitlines() if line.strip()]
    if cancelled():
        raise (Unanswered if code != 0 else EnvironmentProblem)(_INTERRUPTED)
    if code != 0:
        raise Unanswered(
            f"compose could not make the containers: {' '.join(said[-3:])[-400:]}",
            place=str(run.logs / "compose.log"),
            next_step="see the log; `docker-compose config` checks the files",
        )


def _lived(
    argv: Sequence[str],
    project: Project,
    engine: str,
    log: TextIO,
    cancelled: Callable[[], bool],
    hurried: Callable[[], bool],
) -> int:
    """The exit code of compose; it is ended when it takes too long, or the user has enough."""
    program = " ".join(argv[:8])
    # In a session of its own: Ctrl-C in the terminal is for us, and we end it in our own way.
    process = subprocess.Popen(
        argv,
        cwd=project.repo,
        env=_environment(project, engine),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    start_s = time.monotonic()
    grace_end_s = math.inf
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_S)
            now_s = time.monotonic()
            if cancelled():
                grace_end_s = min(grace_end_s, now_s + _GRACE_S)
            if hurried() or now_s > grace_end_s:
                raise Unanswered(_INTERRUPTED)
            if now_s > start_s + _MAKE_LIMIT_S:
                raise Unanswered(
                    f"compose has not made the containers in {_MAKE_LIMIT_S:g} s",
                    place=program,
                    next_step="look whether the engine answers (docker info), then start again",
                )
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it started, unless it has ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_LIMIT_S)


def _environment(project: Project, engine: str) -> dict[str, str]:
    """Ours without what would change the project: that has all settings that count."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHAOS_") and name not in _PROJECT_VARIABLES
    }
    own = {"DOCKER_HOST": engine, RUN_ID_VARIABLE: project.run_id}
    return {**kept, **project.variables, **own}
