"""Which process holds GPU memory, through NVML. No driver, no device: a stated absence."""

from __future__ import annotations

from typing import Any

from chaos.observe.processes import command_of


def gpu_holders() -> dict[str, Any]:
    """`{"gpus": [{index, used_bytes, total_bytes, holders: [{pid, command, used_bytes}]}]}`,
    or `{"absent": reason}`. A size that the driver does not tell is None.
    """
    try:
        import pynvml
    except ImportError:
        return {"absent": "nvidia-ml-py is not installed"}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return {"absent": str(error)}
    try:
        count = pynvml.nvmlDeviceGetCount()
        gpus = [_gpu(pynvml, index) for index in range(count)]
    except pynvml.NVMLError as error:
        return {"absent": str(error)}
    finally:
        pynvml.nvmlShutdown()
    return {"gpus": gpus} if gpus else {"absent": "the driver lists no device"}


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(device)
    holders: dict[int, dict[str, Any]] = {}
    for listed in (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        try:
            running = listed(device)
        except nvml.NVMLError:
            continue  # this device does not tell that kind
        for one in running:
            holders[int(one.pid)] = {
                "pid": int(one.pid),
                "command": command_of(int(one.pid)),
                "used_bytes": None if one.usedGpuMemory is None else int(one.usedGpuMemory),
            }
    return {
        "index": index,
        "used_bytes": int(memory.used),
        "total_bytes": int(memory.total),
        "holders": [holders[pid] for pid in sorted(holders)],
    }
