"""What NVML tells of memory: the units that have some (GPUs, MIG instances), and who holds it.

Knows no sample and no service. A driver that is not there is `NoDriver`; a single number that the
driver will not tell (no permission, not supported) is an error of that number alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NODES = "/dev/nvidia"  # and the GPU's minor number
_MIG_ENABLED = 1
# With these words the driver says that a GPU which it knew cannot be used any more. "Unknown
# error" is what a container gets after a reload of the host's daemon has taken its device away.
_LOST = frozenset(
    {
        "NVML_ERROR_DRIVER_NOT_LOADED",
        "NVML_ERROR_GPU_IS_LOST",
        "NVML_ERROR_GPU_NOT_FOUND",
        "NVML_ERROR_RESET_REQUIRED",
        "NVML_ERROR_UNKNOWN",
    }
)


class NoDriver(Exception):
    """Why nothing can be seen of any GPU."""


class Untold(Exception):
    """Why the processes of one unit cannot be listed."""


@dataclass(frozen=True)
class Unit:
    """Something with memory of its own: `gpu0`, or the MIG instance `gpu0mig1`.

    `split`: a GPU whose MIG mode is on; who holds its memory is asked of its instances. `uuid` is
    what the unit is called everywhere: a container that is given some of the GPUs counts them anew.
    """

    name: str
    index: int
    handle: Any
    node: str | None = None  # of a whole GPU, where the driver tells it
    split: bool = False
    uuid: str | None = None  # where the driver tells it

    @property
    def whole(self) -> bool:
        """Whether it is a GPU, not an instance on one."""
        return self.name == f"gpu{self.index}"


@dataclass(frozen=True)
class Holder:
    """A process with memory of a unit; None where the driver does not tell how much."""

    pid: int
    used_bytes: int | None


def start() -> Any:
    """The driver's library, opened; whoever opens it shuts it down. Raises `NoDriver`."""
    try:
        import pynvml
    except ImportError as error:
        raise NoDriver("nvidia-ml-py is not installed") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoDriver(str(error)) from error
    return pynvml


def units(nvml: Any) -> tuple[list[Unit], dict[str, str]]:
    """All units, and why others that the driver counts cannot be opened. Raises `NoDriver`."""
    found: list[Unit] = []
    absent: dict[str, str] = {}
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        raise NoDriver(str(error)) from error
    for index in range(count):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError as error:
            absent[f"gpu{index}"] = str(error)
            continue
        split = _split(nvml, handle)
        node, uuid = _node(nvml, handle), _uuid(nvml, handle)
        found.append(Unit(f"gpu{index}", index, handle, node, split, uuid))
        if not split:
            continue
        instances = list(_instances(nvml, handle, index))
        found += instances
        if not instances:
            absent[f"gpu{index}.instances"] = "MIG is on, and no instance can be seen here"
    if not found and not absent:
        raise NoDriver("the driver lists no device")
    return found, absent


def _split(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0] == _MIG_ENABLED)
    except nvml.NVMLError:
        return False  # most GPUs do not know of MIG


def _node(nvml: Any, handle: Any) -> str | None:
    """In a container the first GPU need not have the first node."""
    try:
        return f"{NODES}{nvml.nvmlDeviceGetMinorNumber(handle)}"
    except nvml.NVMLError:
        return None


def _uuid(nvml: Any, handle: Any) -> str | None:
    """An instance has one of its own."""
    try:
        return str(nvml.nvmlDeviceGetUUID(handle))
    except nvml.NVMLError:
        return None


def _instances(nvml: Any, handle: Any, index: int) -> Iterator[Unit]:
    try:
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return
    for number in range(most):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except nvml.NVMLError:
            continue  # the numbers have gaps, and some may not be ours
        name = f"gpu{index}mig{number}"
        yield Unit(name, index, instance, uuid=_uuid(nvml, instance))


def memory_of(nvml: Any, unit: Unit) -> tuple[int, int]:
    """(used, total) bytes. Raises `NVMLError`; of a split GPU only few may ask."""
    memory = nvml.nvmlDeviceGetMemoryInfo(unit.handle)
    return int(memory.used), int(memory.total)


def holders_of(nvml: Any, unit: Unit) -> list[Holder]:
    """Who holds memory of `unit`, by process number. Raises `Untold`."""
    held: dict[int, int | None] = {}
    try:
        told = [
            *nvml.nvmlDeviceGetComputeRunningProcesses(unit.handle),
            *_graphics(nvml, unit.handle),
        ]
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError) as error:
        raise Untold(_why(nvml, error)) from error
    for one in told:
        pid = int(one.pid)
        size = None if one.usedGpuMemory is None else int(one.usedGpuMemory)
        before = held.get(pid, 0)
        # One that does both stands in both lists with all that it holds.
        held[pid] = None if size is None or before is None else max(before, size)
    return [Holder(pid, held[pid]) for pid in sorted(held)]


def _graphics(nvml: Any, handle: Any) -> list[Any]:
    """A GPU for computing alone knows none; who may not ask has not seen all."""
    try:
        return list(nvml.nvmlDeviceGetGraphicsRunningProcesses(handle))
    except nvml.NVMLLibraryMismatchError:
        return []
    except nvml.NVMLError as error:
        if error.value == nvml.NVML_ERROR_NO_PERMISSION:
            raise
        return []


def _why(nvml: Any, error: Exception) -> str:
    if isinstance(error, nvml.NVMLLibraryMismatchError):
        return "the driver is too old to list processes"
    return str(error)


def says_lost(nvml: Any, error: Any) -> bool:
    """Whether this error means that the GPU itself is gone, not that a number is not told."""
    return error.value in {getattr(nvml, name) for name in _LOST}
