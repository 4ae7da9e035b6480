"""Read GPU memory through NVML: the units (GPUs and MIG instances) and the processes that hold it.

Knows no sample and no service. A missing driver raises `NoDriver`. A single value that the driver
refuses (no permission, not supported) raises an error for that value only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

NODES = "/dev/nvidia"  # followed by the GPU's minor number
_MIG_ENABLED = 1
# Errors that mean: a GPU that the driver knew can no longer be used. A container gets "Unknown
# error" after a reload of the host's container daemon has taken its device away.
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
    """No GPU can be read; the message says why."""


class UnknownHolders(Exception):
    """The processes of one unit cannot be listed; the message says why."""


@dataclass(frozen=True)
class Unit:
    """A GPU (`gpu0`) or a MIG instance (`gpu0mig1`), each with memory of its own.

    `split`: the GPU's MIG mode is on, so its instances list the processes. `uuid` is the only name
    that is the same in every container: one that is given some of the GPUs counts them from 0.
    """

    name: str
    index: int
    handle: Any
    node: str | None = None  # path of a GPU's device node, if the driver reports it
    split: bool = False
    uuid: str | None = None  # if the driver reports it

    @property
    def whole(self) -> bool:
        """True for a GPU, False for a MIG instance."""
        return self.name == f"gpu{self.index}"


@dataclass(frozen=True)
class Holder:
    """A process that holds memory of a unit."""

    pid: int
    used_bytes: int | None  # None if the driver does not report it


def start() -> Any:
    """Open the driver library, and return pynvml. The caller shuts it down. Raises `NoDriver`."""
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
    """(all units, reason by name for those that cannot be opened). Raises `NoDriver`."""
    opened: list[Unit] = []
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
        mig_mode = _reported(nvml, nvml.nvmlDeviceGetMigMode, handle)
        split = mig_mode is not None and mig_mode[0] == _MIG_ENABLED
        # In a container the first GPU may have another minor number than 0.
        minor = _reported(nvml, nvml.nvmlDeviceGetMinorNumber, handle)
        node = None if minor is None else f"{NODES}{minor}"
        opened.append(Unit(f"gpu{index}", index, handle, node, split, _uuid(nvml, handle)))
        if not split:
            continue
        instances = list(_instances(nvml, handle, index))
        opened += instances
        if not instances:
            absent[f"gpu{index}.instances"] = "MIG is on, and no instance can be seen here"
    if not opened and not absent:
        raise NoDriver("the driver lists no device")
    return opened, absent


def _reported(nvml: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What the driver reports; None if it refuses, or if the GPU has no such property."""
    try:
        return ask(*arguments)
    except nvml.NVMLError:
        return None


def _uuid(nvml: Any, handle: Any) -> str | None:
    """The UUID of a GPU or of a MIG instance; None if the driver does not report it."""
    uuid = _reported(nvml, nvml.nvmlDeviceGetUUID, handle)
    return None if uuid is None else str(uuid)


def _instances(nvml: Any, handle: Any, index: int) -> Iterator[Unit]:
    count_max = _reported(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    for number in range(count_max):
        instance = _reported(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if instance is not None:  # the numbers have gaps, and a container may see only some
            uuid = _uuid(nvml, instance)
            yield Unit(f"gpu{index}mig{number}", index, instance, uuid=uuid)


def memory_of(nvml: Any, unit: Unit) -> tuple[int, int]:
    """(used, total) in bytes. Raises `NVMLError`, for most users also if the GPU is split."""
    memory = nvml.nvmlDeviceGetMemoryInfo(unit.handle)
    return int(memory.used), int(memory.total)


def holders_of(nvml: Any, unit: Unit) -> list[Holder]:
    """The processes that hold memory of `unit`, sorted by PID. Raises `UnknownHolders`."""
    held: dict[int, int | None] = {}
    try:
        processes = [
            *nvml.nvmlDeviceGetComputeRunningProcesses(unit.handle),
            *_graphics(nvml, unit.handle),
        ]
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError) as error:
        raise UnknownHolders(_why(nvml, error)) from error
    for process in processes:
        pid = int(process.pid)
        size = None if process.usedGpuMemory is None else int(process.usedGpuMemory)
        before = held.get(pid, 0)
        # A process that computes and draws is in both lists, each time with its total.
        held[pid] = None if size is None or before is None else max(before, size)
    return [Holder(pid, held[pid]) for pid in sorted(held)]


def _graphics(nvml: Any, handle: Any) -> list[Any]:
    """The graphics processes; none if the GPU does not support them.

    Raises `NVMLError` if the user has no permission, for the list would be incomplete.
    """
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


def means_lost(nvml: Any, error: Any) -> bool:
    """True if the error means that the GPU is gone, not only that a value is not available."""
    return error.value in {getattr(nvml, name) for name in _LOST}
