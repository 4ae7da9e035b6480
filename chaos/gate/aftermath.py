"""State reset between runs: proof that nothing is left of one before the next begins.

Every run has a workspace, a network and a process table of its own; what could be left are
processes with its mark, open entries in its ledger, and memory on a GPU.
"""

from __future__ import annotations

import time

from chaos.base.exitcode import ExitCode
from chaos.faults.ledger import Ledger
from chaos.record.owner import is_alive, processes_of
from chaos.record.rundir import RunDir
from chaos.runner.clean import clean
from chaos.witness.gpu import GPUs

_OWNER_LIMIT_S = 60.0
_GPU_NOISE_BYTES = 100_000_000


def leftovers(run: RunDir) -> list[str]:
    """What there still is of `run`, in words."""
    found = [f"process {process.pid}" for process in processes_of(run.run_id)]
    entries, damage = Ledger(run.ledger).read()
    found += [f"fault {entry.fault_id} ({entry.name}) not undone" for entry in entries]
    return found + [f"{text}: a fault may still be in force" for text in damage]


def reset(run: RunDir) -> tuple[list[str], list[str]]:
    """Undo what `run` left behind: (what was found, what remains)."""
    found = leftovers(run)
    if not found:
        return [], []
    messages: list[str] = []
    code = clean(str(run.path), run.path.parent, messages.append)
    remaining = leftovers(run)
    if code == ExitCode.CLEANUP_INCOMPLETE and not remaining:
        remaining = messages[-1:]
    return found, remaining


def await_owner_gone(run: RunDir, limit_s: float = _OWNER_LIMIT_S) -> bool:
    """Wait until nobody runs `run` any more; False if somebody still does."""
    deadline_s = time.monotonic() + limit_s
    while is_alive(run):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


def gpu_used() -> dict[str, int]:
    """Used bytes of each GPU; empty where there is none."""
    values: dict[str, float | int | str | bool | None] = {}
    source = GPUs()
    source.read(values)
    source.close()
    return {key: int(value) for key, value in values.items() if isinstance(value, int)}


def gpu_growth(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """One note for each GPU that holds clearly more than before the gate."""
    return [
        f"{key.partition('.')[0]} holds {(used - before[key]) / 1e6:.0f} MB more than before the "
        "gate"
        for key, used in sorted(now.items())
        if key in before and used - before[key] > _GPU_NOISE_BYTES
    ]
