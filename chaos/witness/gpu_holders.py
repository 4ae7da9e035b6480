"""List the processes that hold GPU memory, through NVML, for an inspection.

Without a driver or a device the answer is an absence with its reason. Knows no service.
"""

from typing import Any

from chaos.witness.nvml import (
    NoDriver,
    Unit,
    UnknownHolders,
    holders_of,
    memory_of,
    start,
    units,
)
from chaos.witness.processes import command_of


def gpu_holders() -> dict[str, Any]:
    """`{"gpus": [{name, index, used_bytes, total_bytes, holders: [{pid, command, used_bytes}],
    unseen: [reason]}]}`, or `{"absent": reason}`. A MIG instance is an entry of its own, with the
    index of its GPU. A size that the driver does not report is None.
    """
    try:
        nvml = start()
    except NoDriver as error:
        return {"absent": str(error)}
    try:
        found, absent = units(nvml)
        gpus = [_gpu(nvml, unit) for unit in found]
    except NoDriver as error:
        return {"absent": str(error)}
    finally:
        nvml.nvmlShutdown()
    unseen = [f"{name}: {why}" for name, why in absent.items()]
    if not gpus:
        return {"absent": "; ".join(unseen)}
    return {"gpus": gpus} | ({"unseen": unseen} if unseen else {})


def _gpu(nvml: Any, unit: Unit) -> dict[str, Any]:
    snapshot: dict[str, Any] = {
        "name": unit.name,
        "index": unit.index,
        "used_bytes": None,
        "total_bytes": None,
        "holders": [],
    }
    unseen = []
    try:
        snapshot["used_bytes"], snapshot["total_bytes"] = memory_of(nvml, unit)
    except nvml.NVMLError as error:
        unseen.append(f"memory: {error}")
    try:
        # A GPU with MIG instances has no holders of its own: its instances list them.
        holders = [] if unit.split else holders_of(nvml, unit)
    except UnknownHolders as error:
        holders = []
        unseen.append(f"processes: {error}")
    snapshot["holders"] = [
        {"pid": holder.pid, "command": command_of(holder.pid), "used_bytes": holder.used_bytes}
        for holder in holders
    ]
    return snapshot | ({"unseen": unseen} if unseen else {})
