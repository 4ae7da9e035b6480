"""Apply the compose files to one run: the project, its variables, and the additions of the run.

The files are those for a start by hand (docker-compose.yml, docker-compose.gpu.yml), with an
override in the run directory. Compose only makes the objects; the docker SDK starts, stops and
removes them. Supports Compose v2 (`docker compose`) and v1 (`docker-compose` 1.29). Source: the
Compose specification.
"""

import json
import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import dying_with_us, end
from chaos.record.owner import RUN_ID_VARIABLE
from chaos.record.rundir import RunDir, write_atomic
from chaos.stack.docker.objects import Unanswered

_VERSION_LIMIT_S = 20.0
_MAKE_LIMIT_S = 120.0
_END_LIMIT_S = 5.0
_GRACE_S = 20.0  # for compose to finish its step after the user's signal
_LOOK_S = 0.1
_INTERRUPTED = "interrupted while compose made the containers"
_V1_OLDEST = (1, 29)
_PROJECT_VARIABLES = (
    *("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"),
    *("COMPOSE_ENV_FILES", "COMPOSE_PATH_SEPARATOR"),
)


@dataclass(frozen=True)
class Compose:
    """The compose command of this machine."""

    argv: tuple[str, ...]
    version: str


def find() -> Compose:
    """Compose v2, else v1. Raises `EnvironmentProblem` if there is neither."""
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
    match = re.search(r"\d+\.\d+\S*", done.stdout)
    return match[0] if done.returncode == 0 and match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def settings_of(files: Iterable[Path]) -> set[str]:
    """The names of the environment variables that compose files use."""
    texts = (path.read_text(encoding="utf-8") for path in files)
    return {name for text in texts for name in re.findall(r"\$\{(CHAOS_[A-Z_]+)", text)}


def project_of(run_id: str) -> str:
    """The compose project of a run; each run has its own."""
    return "chaos-" + re.sub(r"[^a-z0-9_-]", "-", run_id.lower())


def own_files(root: Path, *, gpu: bool) -> list[Path]:
    """The shipped compose files (`root`: shipped.ROOT), in the order in which they are merged."""
    names = ["docker-compose.yml", *(["docker-compose.gpu.yml"] if gpu else [])]
    return [root / name for name in names]


@dataclass(frozen=True)
class Project:
    """The input of compose for one run.

    `services`: the additions of the run by service: command, environment, volumes.
    """

    name: str
    run_id: str
    root: Path
    gpu: bool
    variables: Mapping[str, str]
    services: Mapping[str, Mapping[str, Any]]

    def override(self) -> dict[str, Any]:
        """The third compose file: the additions of the run to the services.

        It does not mention the network and the volume, because compose 1.29 would replace their
        descriptions. The files themselves give every object the label of its project.
        """
        return {"services": {name: dict(added) for name, added in self.services.items()}}

    def files(self, override: Path) -> list[Path]:
        """All compose files, in the order in which they are merged."""
        return [*own_files(self.root, gpu=self.gpu), override]


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

    Containers that share a pod must be made while its holder runs: compose 1.29 does not find it
    otherwise. Raises `EnvironmentProblem` with the output of compose if it fails, and when
    `cancelled` returns True; it is called repeatedly. Objects that were made have the label.

    After a cancel, compose may finish its step, because killing it leaves requests in the engine
    whose outcome is unknown (`Unanswered`). It is killed if that takes long, and when `hurried`
    returns True.
    """
    if cancelled():
        raise EnvironmentProblem(_INTERRUPTED)
    override = run.path / "compose.override.json"
    write_atomic(override, json.dumps(project.override(), indent=2) + "\n")
    # A compose that outlives its harness would make objects that nothing removes. So it dies with
    # us, and has the run's mark, by which `chaos clean` ends its children.
    argv = [*dying_with_us(), *compose.argv, "--project-name", project.name]
    for path in project.files(override):
        argv += ["--file", str(path)]
    # A `.env` in the checkout must not change the run, so compose gets an empty file. (Compose 1.29
    # does not accept /dev/null.)
    empty = run.path / "compose.env"
    write_atomic(empty, "")
    argv += ["--env-file", str(empty), "up", "--no-start", "--no-build", *only]
    with (run.logs / "compose.log").open("a+", encoding="utf-8", errors="replace") as log:
        begin = log.seek(0, os.SEEK_END)
        code = _run(argv, project, engine, log, cancelled, hurried)
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


def _run(
    argv: Sequence[str],
    project: Project,
    engine: str,
    log: TextIO,
    cancelled: Callable[[], bool],
    hurried: Callable[[], bool],
) -> int:
    """Run compose; returns its exit code. Ends it after a time limit, or as `make` describes."""
    program = " ".join(argv[:8])
    # In a session of its own, so that Ctrl-C in the terminal does not reach it.
    process = subprocess.Popen(
        argv,
        cwd=project.root,
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
        end(process, _END_LIMIT_S, group=True)


def _environment(project: Project, engine: str) -> dict[str, str]:
    """Our environment without variables that change the project, and with those of the run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHAOS_") and name not in _PROJECT_VARIABLES
    }
    own = {"DOCKER_HOST": engine, RUN_ID_VARIABLE: project.run_id}
    return {**kept, **project.variables, **own}
