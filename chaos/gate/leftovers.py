"""Finds and removes the leftovers of a run before the next run of a gate starts.

Every run has a private workspace, network and process table. Leftovers are processes with the
run's id in their environment, open entries in its ledger, and used GPU memory.
"""

import time

from chaos.base.exitcode import ExitCode
from chaos.faults.ledger import Ledger
from chaos.record.owner import is_alive, processes_of
from chaos.record.rundir import RunDir
from chaos.runner.clean import clean
from chaos.witness.gpu import GPUs

_OWNER_LIMIT_S = 60.0
_GPU_NOISE_BYTES = 100_000_000


def find(run: RunDir) -> list[str]:
    """Return one text per leftover of `run`: a process, a fault, a damaged ledger record."""
    texts = [f"process {process.pid}" for process in processes_of(run.run_id)]
    entries, damage = Ledger(run.ledger).read()
    texts += [f"fault {entry.fault_id} ({entry.name}) not undone" for entry in entries]
    return texts + [f"{text}: a fault may still be in force" for text in damage]


def remove(run: RunDir) -> tuple[list[str], list[str]]:
    """Remove the leftovers of `run`. Returns the texts of all leftovers, and of those that remain.

    `chaos clean` does the work.
    """
    before = find(run)
    if not before:
        return [], []
    messages: list[str] = []
    code = clean(str(run.path), run.path.parent, messages.append)
    remaining = find(run)
    if code == ExitCode.CLEANUP_INCOMPLETE and not remaining:
        remaining = messages[-1:]
    return before, remaining


def await_owner_gone(run: RunDir, limit_s: float = _OWNER_LIMIT_S) -> bool:
    """Wait until the owner process of `run` has ended; False if it still runs after `limit_s`."""
    deadline_s = time.monotonic() + limit_s
    while is_alive(run):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


def gpu_used() -> dict[str, int]:
    """Return the used bytes of each GPU; empty without a GPU."""
    values: dict[str, float | int | str | bool | None] = {}
    source = GPUs()
    source.read(values)
    source.close()
    return {key: int(value) for key, value in values.items() if isinstance(value, int)}


def gpu_growth(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """Return a note for each GPU with over 100 MB more in use than before the gate."""
    return [
        f"{key.partition('.')[0]} holds {(used - before[key]) / 1e6:.0f} MB more than before the "
        "gate"
        for key, used in sorted(now.items())
        if key in before and used - before[key] > _GPU_NOISE_BYTES
    ]
