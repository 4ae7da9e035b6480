"""Examine the machine: what `chaos run` needs, and optional parts. Starts nothing."""

import os
import shutil
from collections.abc import Iterator

import psutil

from chaos import assets
from chaos.base.command import SECOND, name_taken
from chaos.doctor.item import Item, short, size_text
from chaos.sandbox.probe import Refused, probe
from chaos.witness.base import Values
from chaos.witness.gpu import GPUs

_DOCKER_LIMIT_S = 3
_MEMORY_MIN_MB = 512.0


def examine_machine() -> Iterator[Item]:
    """Yield the items of namespaces, model, Toxiproxy and memory; Docker and GPUs only inform.

    Also an item of the command's name if another package has it, too.
    """
    if taken := name_taken():
        yield Item("command", "command", "warn", taken, f"use {SECOND}, which is always this one")
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
    result = probe()
    if isinstance(result, Refused):
        return Item("namespaces", "sandbox", "warn", result.reason, result.next_step)
    how = "in a user namespace" if result.user else "as root"
    return Item("namespaces", "sandbox", "ok", f"private namespaces can be had {how}")


def _memory() -> Item:
    memory = psutil.virtual_memory()
    seen = f"{size_text(memory.available)} of {size_text(memory.total)} available"
    seen += f", {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    if memory.available < _MEMORY_MIN_MB * 1e6:
        return Item("memory", "memory", "warn", seen, "end other programs before a run")
    return Item("memory", "memory", "ok", seen)


def _docker() -> Item:
    """The version of the container engine, if one answers. Only information."""
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
        presence = "none" if "gpu" in absences else "present, its memory cannot be read"
        return Item("gpu", "GPU", "info", f"{presence} ({absent})")
    used = [f"{key.partition('.')[0]}: {size_text(int(v or 0))} used" for key, v in values.items()]
    suffix = f"; cannot be read: {absent}" if absent else ""
    return Item("gpu", "GPU", "info", ", ".join(used) + suffix)
