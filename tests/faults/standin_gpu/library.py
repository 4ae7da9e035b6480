"""The stand-in driver (driver.c), built once a test, and told to this process or to new ones."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

from chaos.stack.clock import compiler

_SOURCE = Path(__file__).with_name("driver.c")


def build(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The libraries, with one GPU; processes started from here find them. Returns the folder."""
    cc = compiler()
    if cc is None:
        pytest.skip("no C compiler to build the stand-in driver with")
    (root / "dev").mkdir()
    (root / "dev" / "nvidia0").touch()
    library = root / "lib" / "libcuda.so.1"
    library.parent.mkdir()
    argv = [cc, "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
    subprocess.run(argv, check=True, timeout=60)
    shutil.copy(library, library.with_name("libnvidia-ml.so.1"))
    monkeypatch.setenv("STANDIN_GPU", str(root))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library.parent))
    return root


class StandIn:
    """The driver as this process sees it: more GPUs, MIG, errors, holders."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = build(root, monkeypatch)
        self._holders: list[subprocess.Popen[bytes]] = []
        library = ctypes.CDLL(str(self.root / "lib" / "libnvidia-ml.so.1"))
        monkeypatch.setattr(pynvml, "nvmlLib", library)
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})

    @property
    def nodes(self) -> str:
        """How the names of the nodes begin."""
        return str(self.root / "dev" / "nvidia")

    def gpus(self, count: int) -> None:
        """So many GPUs, each with a node."""
        self.tell("gpus", count)
        for number in range(count):
            (self.root / "dev" / f"nvidia{number}").touch()

    def tell(self, name: str, value: int) -> None:
        """Set a value of the stand-in driver (the names are in driver.c)."""
        (self.root / name).write_text(str(value))

    def untell(self, name: str) -> None:
        """Take it back."""
        (self.root / name).unlink()

    def allocate(self, pid: int, size_bytes: int, gpu: int = 0, instance: int = 0) -> None:
        """Process `pid` holds so much from now on, as long as it lives."""
        (self.root / str(pid)).write_text(f"{size_bytes} {gpu} {instance}")

    def process(self, size_bytes: int, gpu: int = 0, instance: int = 0) -> int:
        """A process of its own that holds memory, and the node as who computes does."""
        code = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
        node = f"{self.nodes}{gpu}"
        holder = subprocess.Popen(
            [sys.executable, "-c", code, node], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        self._holders.append(holder)
        self.allocate(holder.pid, size_bytes, gpu, instance)
        return holder.pid

    def end(self, pid: int) -> None:
        """The process ends; what it held is free."""
        (holder,) = [one for one in self._holders if one.pid == pid]
        holder.communicate(timeout=60)

    def close(self) -> None:
        """End all of them."""
        for holder in self._holders:
            if holder.poll() is None:
                holder.communicate(timeout=60)
