"""Small stand-ins for the real tools and the real model."""

from __future__ import annotations

from pathlib import Path

MODEL_BYTES = b"GGUF" + bytes(range(256)) * 64


def executable(path: Path, script: str) -> Path:
    """Write an executable shell script that stands in for a tool."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def server_that_says(path: Path, version: str) -> Path:
    """A stand-in for toxiproxy-server that only answers `-version`."""
    return executable(path, f"echo toxiproxy-server version {version}")
