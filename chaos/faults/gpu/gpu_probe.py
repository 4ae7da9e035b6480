"""Run as a script: the GPUs that a new process finds, as one line of JSON.

    gpu_probe.py

`{"nvml": {"gpus": [{"used_bytes", "total_bytes", "holders": [{"pid", "used_bytes"}]}]} or
{"error"}, "cuda": {"devices"} or {"error"}}`. It is a process of its own because both libraries
keep the result of their first call. A size that the driver does not report is null.
"""

import ctypes
import json
import sys
from typing import Any


def nvml() -> dict[str, Any]:
    """The GPUs by the driver's management library."""
    try:
        import pynvml
    except ImportError:
        return {"error": "nvidia-ml-py is not installed"}
    try:
        pynvml.nvmlInit()
        return {"gpus": [_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]}
    except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError) as error:
        return {"error": str(error)}


def _gpu(library: Any, index: int) -> dict[str, Any]:
    device = library.nvmlDeviceGetHandleByIndex(index)
    memory = library.nvmlDeviceGetMemoryInfo(device)
    holders = library.nvmlDeviceGetComputeRunningProcesses(device)
    return {
        "used_bytes": int(memory.used),
        "total_bytes": int(memory.total),
        "holders": [
            {
                "pid": int(holder.pid),
                "used_bytes": None if holder.usedGpuMemory is None else int(holder.usedGpuMemory),
            }
            for holder in holders
        ],
    }


def cuda() -> dict[str, Any]:
    """The number of GPUs by the CUDA driver."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return {"error": "there is no libcuda.so.1"}
    count = ctypes.c_int()
    code = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    return {"error": f"CUDA error {code}"} if code else {"devices": count.value}


if __name__ == "__main__":
    print(json.dumps({"nvml": nvml(), "cuda": cuda()}))
    sys.exit(0)
