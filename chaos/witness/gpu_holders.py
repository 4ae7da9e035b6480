"""Which process holds GPU memory, through NVML. No driver, no device: a stated absence."""

from __future__ import annotations

from typing import Any

from chaos.witness.nvml import NoDriver, Unit, Untold, holders_of, memory_of, start, units
from chaos.witness.processes import command_of


def gpu_holders() -> dict[str, Any]:
    """`{"gpus": [{name, index, used_bytes, total_bytes, holders: [{pid, command, used_bytes}],
    unseen: [reason]}]}`, or `{"absent": reason}`. A MIG instance is one of them, with the index
    of its GPU. A size that the driver does not tell is None.
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
    seen: dict[str, Any] = {
        "name": unit.name,
        "index": unit.index,
        "used_bytes": None,
        "total_bytes": None,
        "holders": [],
    }
    unseen = []
    try:
        seen["used_bytes"], seen["total_bytes"] = memory_of(nvml, unit)
    except nvml.NVMLError as error:
        unseen.append(f"memory: {error}")
    try:
        # Those of a GPU with instances are told once, by its instances.
        holders = [] if unit.split else holders_of(nvml, unit)
    except Untold as error:
        holders = []
        unseen.append(f"processes: {error}")
    seen["holders"] = [
        {"pid": one.pid, "command": command_of(one.pid), "used_bytes": one.used_bytes}
        for one in holders
    ]
    return seen | ({"unseen": unseen} if unseen else {})
