"""The system-call witness as a plain process, for tests that watch programs by it."""

from __future__ import annotations

from pathlib import Path

from chaos.base.shipped import IMAGES
from chaos.stack.process import LocalService, Surroundings
from chaos.stack.witness import SystemCallWitness


def local_witness(folder: Path, root: Path, where: Surroundings) -> SystemCallWitness:
    """Not started. In `folder` are its socket `door`, its record `witness.jsonl`, and its log."""
    return SystemCallWitness(
        IMAGES / "witness",
        folder / "door",
        folder / "witness.jsonl",
        root,
        lambda name, argv, ready_file: LocalService(
            name, argv, where, folder / f"{name}.log", ready_file=ready_file
        ),
    )
