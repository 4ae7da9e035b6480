"""The settings of one run in containers: engine, compose, images, user. See `containers.json`.

Decided before the run directory is written (prepare.py); read by the conductor, by `chaos clean`
and by `chaos replay`. The GPU overlay is used if the run has --gpu.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.shipped import IMAGES, ROOT
from chaos.base.version import __version__
from chaos.plan.plan import Plan
from chaos.record.owner import RUN_ID_VARIABLE
from chaos.record.rundir import CONTAINERS, RunDir
from chaos.soaks import workload_kind
from chaos.stack.docker import compose
from chaos.stack.docker.backend import PYTHON, WITNESS_PROGRAMS, WORKSPACE
from chaos.stack.docker.service import SERVICE_VARIABLE
from chaos.stack.workspace import fill_words, placeholder_values, product_environment

IN_IMAGE = Path("/opt/chaos")  # the harness in the injector's image
FILE = CONTAINERS
_RUNS_IN_POD = Path("/runs")
USER_ID = 10001  # in the containers if root starts the run, so that nothing in them is root
_HOLD_SLACK_S = 3600.0
_MODEL_MOUNT = "model"  # a folder of the run directory into which the model's file is mounted
_WITNESS_MOUNT = "watching"  # one that is mounted: the witness's programs, and its socket
_GPU_DEFAULT = "0"  # as in docker-compose.gpu.yml
_DECIDED = {  # by the run, or used only to build images
    *("CHAOS_PROJECT", "CHAOS_UID", "CHAOS_GID", "CHAOS_WORKSPACE_SIZE"),
    *("CHAOS_MODELS", "CHAOS_MODEL_FILE", "CHAOS_SAMPLED_GPU_IDS"),
    *("CHAOS_LLM_PORT", "CHAOS_PROXY_API_PORT"),
    *("CHAOS_BUILD_NETWORK", "CHAOS_PIP_OPTIONS", "CHAOS_VERSION", "CHAOS_REVISION"),
}
_LLM = {"upstream": "127.0.0.1:8081", "control": "127.0.0.1:8079"}  # of the image
_EVENTS = "logs/llm_events.jsonl"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`images`: reference by service. `engine_facts`, `digests`, `published`: provenance.

    `published`: NAME@sha256:HEX under which registries have the user's own Watcher image.
    `knobs`: settings of the compose files from the environment (CHAOS_LLM_CONTEXT...).
    `started_by_root`: the pod's user is not the user who started the run. `removed`: nothing of the
    run is left in the engine.
    """

    engine: str
    compose_argv: tuple[str, ...]
    compose_version: str
    images: dict[str, str]
    digests: dict[str, str]
    engine_facts: dict[str, Any]
    model: str
    gpu: bool
    user_id: int
    group_id: int
    knobs: dict[str, str] = {}
    published: list[str] = []
    started_by_root: bool = False
    removed: bool = False
    version: str = __version__

    def write(self, run: RunDir) -> None:
        """Into the run directory."""
        run.write_json(run.path / FILE, msgspec.to_builtins(self))

    @classmethod
    def read(cls, run: RunDir) -> Self:
        """Read what `write` wrote. Raises `ChaosError` if it is missing or malformed."""
        content = run.read_json(run.path / FILE)
        try:
            return msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            raise EnvironmentProblem(str(error), place=str(run.path / FILE)) from error

    def after_removal(self) -> Self:
        """The settings after all objects of the run were removed from the engine."""
        return msgspec.structs.replace(self, removed=True)

    def hand_over(self, run: RunDir) -> None:
        """Let the pod's user write into the run directory."""
        if self.started_by_root:
            _chown(run.path, self.user_id, self.group_id)

    def take_back(self, run: RunDir) -> None:
        """Undo `hand_over` and `_make_mount_points`. Never gives another user's run to root."""
        for name in (_MODEL_MOUNT, _WITNESS_MOUNT):
            shutil.rmtree(run.path / name, ignore_errors=True)
        if self.started_by_root and os.geteuid() == 0:
            _chown(run.path, 0, 0)

    def inside_argv(self, run: RunDir) -> list[str]:
        """The command that executes the run in the pod."""
        return [PYTHON, "-m", "chaos.runner.containers.inside", str(in_pod(run)), str(IN_IMAGE)]

    def variables(self, plan: Plan, run: RunDir) -> dict[str, str]:
        """The variables of the compose files: those that the run decides, and the knobs."""
        ports = {
            name: os.environ.get(name, "0")  # 0: any free port, so that runs do not collide
            for name in ("CHAOS_LLM_PORT", "CHAOS_PROXY_API_PORT")
        }
        images = {f"CHAOS_{name.upper()}": image for name, image in self.images.items()}
        llm = plan.target.llm
        said = {
            "CHAOS_LLM_CONTEXT": llm.context_tokens,
            "CHAOS_LLM_THREADS": llm.threads,
            "CHAOS_LLM_SLOTS": llm.slots,
        }
        return {
            **{name: str(value) for name, value in said.items() if value},
            **self.knobs,
            **{f"{name}_IMAGE": image for name, image in images.items()},
            **{f"{name}_CUDA_IMAGE": image for name, image in images.items()},  # of the overlay
            **ports,
            "CHAOS_PROJECT": run.run_id,
            "CHAOS_UID": str(self.user_id),
            "CHAOS_GID": str(self.group_id),
            "CHAOS_WORKSPACE_SIZE": f"{plan.target.workspace.size_mb}m",
            "CHAOS_MODELS": str(run.path / _MODEL_MOUNT),
            "CHAOS_MODEL_FILE": Path(self.model).name,
            "CHAOS_SAMPLED_GPU_IDS": _union(
                self.knobs.get(name, _GPU_DEFAULT)
                for name in ("CHAOS_GPU_IDS", "CHAOS_WATCHER_GPU_IDS")
            ),
        }


def knobs(*, gpu: bool) -> dict[str, str]:
    """The settings of the compose files that the environment sets and the run does not.

    A `.env` in the checkout is for a start by hand, and must not change a run, so it is ignored.
    """
    known = compose.settings_of(compose.own_files(ROOT, gpu=gpu))
    return {
        name: os.environ[name]
        for name in sorted(known - _DECIDED)
        if name in os.environ and not name.endswith("_IMAGE")
    }


def _union(lists: Iterable[str]) -> str:
    """The GPUs of all lists: the sampler of their memory must see each of them."""
    ids = [word.strip() for text in lists for word in text.split(",") if word.strip()]
    return "all" if "all" in ids else ",".join(dict.fromkeys(ids))


def in_pod(run: RunDir) -> Path:
    """The run directory as the pod sees it.

    Its path is not the one on the host: the image may have a folder there that the pod's user
    cannot read (for example /root).
    """
    return _RUNS_IN_POD / run.path.parent.name / run.path.name


def user() -> tuple[int, int]:
    """(user, group) of the containers: ours, so that we own files and processes; never root."""
    if os.geteuid() == 0:
        return USER_ID, USER_ID
    return os.getuid(), os.getgid()


def check_target(plan: Plan) -> None:
    """Raises `UsageError` if the target has other addresses than the images."""
    llm = plan.target.llm
    for name, served in _LLM.items():
        if getattr(llm, name) != served:
            raise UsageError(
                f"the LLM image serves {served}, the target has {getattr(llm, name)}",
                place=f"target {plan.target.target}, llm.{name}",
                next_step=f"set it to {served}, or use --backend local",
            )
    if llm.events != _EVENTS:
        raise UsageError(
            f"the LLM image records its events in {_EVENTS}, the target has {llm.events}",
            place=f"target {plan.target.target}, llm.events",
            next_step=f"set it to {_EVENTS}, or use --backend local",
        )


def make_project(
    settings: Settings,
    plan: Plan,
    run: RunDir,
    only: Sequence[str] = (),
    *,
    cancelled: Callable[[], bool] = lambda: False,
    hurried: Callable[[], bool] = lambda: False,
) -> None:
    """Make (not start) the containers of a run. Raises `EnvironmentProblem`."""
    _make_mount_points(settings, plan, run)
    project = compose.Project(
        name=compose.project_of(run.run_id),
        run_id=run.run_id,
        root=ROOT,
        gpu=settings.gpu,
        variables=settings.variables(plan, run),
        services=_services(settings, plan, run),
    )
    command = compose.Compose(settings.compose_argv, settings.compose_version)
    compose.make(command, project, run, settings.engine, only, cancelled=cancelled, hurried=hurried)


def _make_mount_points(settings: Settings, plan: Plan, run: RunDir) -> None:
    """Make what is mounted: a place for the model, and a copy of the system-call witness.

    The pod must not see the model's folder. The pod's user may not be allowed to read the checkout.
    """
    model = run.path / _MODEL_MOUNT
    model.mkdir(exist_ok=True)
    (model / Path(settings.model).name).touch()
    witness = run.path / _WITNESS_MOUNT
    if plan.witness == "all" and not witness.exists():
        shutil.copytree(IMAGES / "witness", witness, ignore=shutil.ignore_patterns("__pycache__"))
        if settings.started_by_root:
            _chown(witness, settings.user_id, settings.group_id)


def _services(settings: Settings, plan: Plan, run: RunDir) -> Mapping[str, Mapping[str, Any]]:
    """The additions of the run to each service of the compose files."""
    values = placeholder_values(
        plan.profile.settings, python=PYTHON, workspace=WORKSPACE, programs=IN_IMAGE / "images"
    )
    daemon = workload_kind(plan.workload).daemon
    batch = plan.target.batch
    words = plan.target.watcher.start if daemon or batch is None else batch.command
    place = f"target {plan.target.target}, watcher"
    hold_s = plan.guardrails.run_budget_s + _HOLD_SLACK_S
    hold = [PYTHON, "-S", "-E", f"{IN_IMAGE}/chaos/stack/docker/hold.py", f"{hold_s:.0f}"]

    def marked(name: str, own: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**(own or {}), SERVICE_VARIABLE: name, RUN_ID_VARIABLE: run.run_id}

    # The health checks are for a start by hand. In a run they would probe the LLM server while a
    # fault is measured there, and the harness has better probes.
    unprobed = {"healthcheck": {"disable": True}}
    # Compose 1.29 refuses to disable a check that the files themselves define.
    hardly_probed = {"healthcheck": {"interval": "24h"}}
    watching = []
    if plan.witness == "all":
        source, at = str(run.path / _WITNESS_MOUNT), str(WITNESS_PROGRAMS)
        watching = [{"type": "bind", "source": source, "target": at}]
    return {
        "injector": {
            **unprobed,
            "command": hold,
            "environment": marked("injector"),
            "volumes": [
                {"type": "bind", "source": str(run.path), "target": str(in_pod(run))},
                *watching,
            ],
        },
        "llm": {
            **unprobed,
            "environment": marked("llm"),
            "volumes": [
                {
                    "type": "bind",
                    "source": settings.model,
                    "target": f"/models/{Path(settings.model).name}",
                    "read_only": True,
                }
            ],
        },
        "toxiproxy": {
            **hardly_probed,
            "command": ["-host=127.0.0.1"],
            "environment": marked("toxiproxy"),
        },
        "watcher": {
            **unprobed,
            "command": fill_words(words, values, place=place),
            "environment": marked("watcher", product_environment(plan.target, values)),
            "volumes": [{**mount, "read_only": True} for mount in watching],
        },
    }


def _chown(folder: Path, user_id: int, group_id: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user_id, group_id, follow_symlinks=False)
