"""Provenance: which versions ran on which machine, to explain why two runs differ.

Gathered once, before the stack starts. A value that is not available is null with a reason, never a
guess.
"""

import json
import os
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from chaos.base.shipped import git, revision
from chaos.base.version import __version__
from chaos.witness import nvml

_PACKAGES = [
    "Jinja2",
    "h11",
    "docker",
    "loguru",
    "msgspec",
    "numpy",
    "nvidia-ml-py",
    "psutil",
    "PyYAML",
    "requests",
    "rich",
    "toxiproxy-python",
    "xllamacpp",
]
REPLAY_VARIABLE = "CHAOS_REPLAY_OF"


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), None)


def gpu() -> dict[str, Any]:
    """Models, driver, UUIDs, and the memory in use of each GPU or MIG instance before the run.

    Without a GPU, `absent_because` says why. `untold` lists values that the driver refuses.
    """
    try:
        library = nvml.start()
    except nvml.NoDriver as error:
        return {"devices": [], "absent_because": str(error)}
    try:
        units, untold = nvml.units(library)
        return _gpu_facts(library, units, untold)
    except nvml.NoDriver as error:
        return {"devices": [], "absent_because": str(error)}
    finally:
        library.nvmlShutdown()


def _gpu_facts(library: Any, units: list[nvml.Unit], untold: dict[str, str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"devices": [], "driver": None, "mig": [], "used_bytes": {}}
    facts["uuids"] = {unit.name: unit.uuid for unit in units if unit.uuid}

    def reported(what: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except library.NVMLError as error:
            untold[what] = str(error)
            return None

    facts["driver"] = reported("driver", lambda: str(library.nvmlSystemGetDriverVersion()))
    for unit in units:
        if unit.whole:
            name = reported(f"{unit.name}.name", partial(library.nvmlDeviceGetName, unit.handle))
            facts["devices"].append("unknown" if name is None else str(name))
            facts["mig"] += [unit.name] if unit.split else []
        memory = reported(f"{unit.name}.used_bytes", partial(nvml.memory_of, library, unit))
        if memory is not None:
            facts["used_bytes"][unit.name] = memory[0]
    return facts | ({"untold": untold} if untold else {})


def _replay_of() -> dict[str, Any] | None:
    """The run that this one repeats, if `chaos replay` started it."""
    text = os.environ.get(REPLAY_VARIABLE)
    return dict(json.loads(text)) if text else None


def gather(
    repo: Path, assets: dict[str, Any], proxy: dict[str, str], watcher: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The provenance of a run.

    `assets`: the model and the LLM server. `proxy`: `kind` (toxiproxy or builtin), `version` and
    `reason`. `watcher`: its programs (chaos/stack/programs.py); None if images identify them.
    """
    status = git(repo, "status", "--porcelain")
    return {
        "chaos": __version__,
        "command_line": os.environ.get("CHAOS_COMMAND_LINE"),
        "replay_of": _replay_of(),
        "git": {"revision": revision(repo), "dirty": None if status is None else bool(status)},
        "python": platform.python_version(),
        "packages": {name: _package(name) for name in _PACKAGES},
        "assets": assets,
        "proxy": proxy,
        "watcher": watcher,
        "host": {
            "system": platform.platform(),
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "memory_mb": round(psutil.virtual_memory().total / 1e6),
        },
        "gpu": gpu(),
    }
