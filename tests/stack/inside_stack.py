"""What the sandbox tests of the stack run inside: brings a stack up, reports, takes it down.

`inside_stack.py CONFIG` (JSON: run, model, toxiproxy, images, target, wait_file, settings).
"""

from __future__ import annotations

import errno
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from chaos.base.yamlfile import load
from chaos.record.rundir import RunDir
from chaos.record.target import Target
from chaos.sandbox.enter import enter, inside
from chaos.stack.local.backend import LocalBackend


@dataclass
class Parts:
    """Stands in for `chaos.assets.Assets`."""

    model: Path
    toxiproxy: Path


def fill_disk(folder: Path) -> tuple[int, int]:
    """Write until it fails: (errno, MB written)."""
    written = 0
    with (folder / "filler").open("wb", buffering=0) as stream:
        while written < 1000:
            try:
                stream.write(bytes(1_000_000))
            except OSError as error:
                return error.errno or 0, written
            written += 1
    return 0, written


def main() -> int:
    config = json.loads(Path(sys.argv[1]).read_text())
    run = RunDir(Path(config["run"]))
    parts = Parts(Path(config["model"]), Path(config["toxiproxy"]))
    enter([run.path, parts.model, parts.toxiproxy])
    target = load(Path(config["target"]), Target)
    images = Path(config["images"])
    backend = LocalBackend(target, config["settings"], run, parts, images, sandboxed=inside())
    facts: dict[str, Any] = {}
    start_s = time.monotonic()
    stack = backend.up(lambda step: None)
    facts["ready_s"] = time.monotonic() - start_s
    stack.service("injector").start()
    end_s = time.monotonic() + 60
    while not list(stack.workspace.glob(config["wait_for"])) and time.monotonic() < end_s:
        time.sleep(0.02)
    facts["seen"] = [path.name for path in stack.workspace.glob(config["wait_for"])]
    stack.collect(run.artefacts)
    facts["errno"], facts["written_mb"] = fill_disk(stack.workspace)
    facts["size_mb"] = target.workspace.size_mb
    facts["left"] = backend.down()
    facts["swept"] = backend.swept
    (run.path / "facts.json").write_text(json.dumps(facts))
    return 0 if facts["errno"] == errno.ENOSPC else 1


if __name__ == "__main__":
    sys.exit(main())
