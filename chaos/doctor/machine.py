"""Looks at the machine: what `chaos run` needs, and what is there beside it. Starts nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import psutil

from chaos import assets
from chaos.doctor.item import Item, short, size_text
from chaos.sandbox.probe import Refused, probe
from chaos.witness.base import Values
from chaos.witness.gpu import GPUs

_DOCKER_LIMIT_S = 3
_MEMORY_MIN_MB = 512.0


def look_at_machine() -> Iterator[Item]:
    """Namespaces, model, Toxiproxy, memory; Docker and GPUs as information."""
    yield _namespaces()
    for asset in assets.status():
        title = {"model": "model", "toxiproxy": "Toxiproxy"}[asset.name]
        if asset.state == "ready":
            yield Item(asset.name, title, "ok", asset.detail)
        elif asset.state == "absent":
            yield Item(asset.name, title, "warn", asset.detail, "chaos setup (or the first run)")
        else:
            yield Item(asset.name, title, "problem", short(asset.detail), "chaos setup --verify")
    yield _memory()
    yield _docker()
    yield _gpus()


def _namespaces() -> Item:
    found = probe()
    if isinstance(found, Refused):
        return Item("namespaces", "sandbox", "warn", found.reason, found.next_step)
    how = "in a user namespace" if found.user else "as root"
    return Item("namespaces", "sandbox", "ok", f"private namespaces can be had {how}")


def _memory() -> Item:
    memory = psutil.virtual_memory()
    seen = f"{size_text(memory.available)} of {size_text(memory.total)} available"
    seen += f", {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    if memory.available < _MEMORY_MIN_MB * 1e6:
        return Item("memory", "memory", "warn", seen, "end other programs before a run")
    return Item("memory", "memory", "ok", seen)


def _docker() -> Item:
    """An engine that answers; whether there is one decides nothing here."""
    import docker
    from docker.errors import DockerException

    program = shutil.which("docker")
    try:
        client = docker.from_env(timeout=_DOCKER_LIMIT_S)
        try:
            version = client.version().get("Version", "unknown")
        finally:
            client.close()
    except DockerException:
        seen = "no engine answers" if program else "not installed, and no engine answers"
        return Item("docker", "Docker", "info", seen)
    return Item("docker", "Docker", "info", f"engine {version}")


def _gpus() -> Item:
    source, values = GPUs(), Values()
    try:
        source.read(values)
        absences = source.absences()
        absent = "; ".join(absences.values())
    finally:
        source.close()
    if not values:
        what = "none" if "gpu" in absences else "there, its memory not to see"
        return Item("gpu", "GPU", "info", f"{what} ({absent})")
    used = [f"{key.partition('.')[0]}: {size_text(int(v or 0))} used" for key, v in values.items()]
    rest = f"; not to see: {absent}" if absent else ""
    return Item("gpu", "GPU", "info", ", ".join(used) + rest)
