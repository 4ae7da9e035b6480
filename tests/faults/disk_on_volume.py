"""Run inside `unshare --user --mount`: the disk kinds on a real tmpfs of 16 MB.

    python -m tests.faults.disk_on_volume FOLDER SCENARIO

Exits 0 if the scenario passed. The stack is a stand-in: a volume, and a service that holds a file
open on it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import Evidence, Fault, noop_twin, parse_params
from chaos.faults.disk import disk_log_flood
from chaos.faults.disk.disk_log_flood import DiskLogFlood
from chaos.faults.disk.disk_readonly import DiskReadonly
from chaos.faults.disk.filling import DiskFull, DiskPressure
from chaos.faults.disk.volume import MB, free_bytes, write_and_sync
from chaos.faults.params import Value
from chaos.sandbox.read_only import mounts_on
from chaos.stack.base import Stack
from tests.faults.disk_stack import VolumeStack
from tests.waiting import wait_for

VOLUME_MB = 16
SHORT_S = 1.5


def make(kind: type[Fault], **raw: Any) -> Fault:
    """A fault of `kind` with defaults for what is not given."""
    return kind("f001", parse_params(kind, cast("dict[str, Value]", raw), place="test"))


def armed(fault: Fault, stack: Stack) -> Fault:
    """Available, and measured before."""
    assert fault.available(stack) is None, fault.available(stack)
    fault.undo_record(stack)
    return fault


def effect(fault: Fault, stack: Stack, limit_s: float = 20.0) -> Evidence:
    """The proof of its effect."""
    return fault.effect(stack, Deadline(limit_s))


def recovered(fault: Fault, stack: Stack) -> Evidence:
    """The proof of its recovery, undone twice over."""
    fault.recover(stack)
    fault.recover(stack)
    return fault.recovered(stack, Deadline(30))


def fills_and_gives_back(stack: Stack) -> None:
    """Real blocks, no name; what others free is taken; everything comes back."""
    before, names = free_bytes(stack.workspace), sorted(stack.workspace.iterdir())
    others = stack.workspace / "others.log"
    others.write_bytes(bytes(2 * MB))
    fault = armed(make(DiskFull), stack)
    fault.inject(stack)
    proof = effect(fault, stack)
    assert proof.proven, proof.measured
    assert proof.measured["ballast_mb"] > VOLUME_MB / 2
    others.unlink()
    wait_for("the ballast takes what is freed", lambda: not free_bytes(stack.workspace))
    assert write_and_sync(stack.workspace / "x").outcome == "ENOSPC"
    assert sorted(stack.workspace.iterdir()) == names, "the ballast can be collected"
    healed = recovered(fault, stack)
    assert healed.proven, healed.measured
    assert healed.measured["write_at_end"]["outcome"] == "ENOSPC"
    assert healed.measured["topped_up_mb"] >= 1.9
    assert free_bytes(stack.workspace) == before


def twins_prove_nothing(stack: Stack) -> None:
    """The negative control of each kind."""
    for kind in (DiskFull, DiskPressure, DiskReadonly, DiskLogFlood):
        twin = armed(make(noop_twin(kind)), stack)
        twin.inject(stack)
        assert not effect(twin, stack, SHORT_S).proven, kind.name
        assert recovered(twin, stack).proven, kind.name


def full_already(stack: Stack) -> None:
    """A volume that somebody else filled: neither available nor taken for the fault's doing."""
    held = armed(make(DiskFull), stack)
    held.inject(stack)
    late = make(DiskFull)
    assert "free" in str(late.available(stack))
    late.undo_record(stack)
    assert not effect(late, stack, SHORT_S).proven
    assert recovered(held, stack).proven


def recovery_is_not_claimed_too_early(stack: Stack) -> None:
    """While the break is in force nothing has recovered."""
    for kind in (DiskFull, DiskReadonly, DiskLogFlood):
        fault = armed(make(kind), stack)
        fault.inject(stack)
        assert not fault.recovered(stack, Deadline(SHORT_S)).proven, kind.name
        assert recovered(fault, stack).proven, kind.name


def pressure(stack: Stack) -> None:
    """Small writes work, large ones do not; with nothing left at all it is no longer that."""
    fault = armed(make(DiskPressure, leave=2), stack)
    fault.inject(stack)
    proof = effect(fault, stack)
    assert proof.proven, proof.measured
    assert proof.measured["small_write"]["outcome"] == "ok"
    assert proof.measured["large_write"]["outcome"] == "ENOSPC"
    assert 1.9 <= proof.measured["free_mb"] <= 2.1
    rest = armed(make(DiskFull), stack)
    rest.inject(stack)
    assert not effect(fault, stack, SHORT_S).proven
    rest.recover(stack)
    assert recovered(fault, stack).proven
    assert "leave less" in str(make(DiskPressure, leave=VOLUME_MB).available(stack))


def read_only(stack: Stack) -> None:
    """Writes are refused by name; a lock that is held does not keep it from being done."""
    lock = stack.workspace / "watcher.lock"
    before = mounts_on(stack.workspace)
    fault = armed(make(DiskReadonly), stack)
    fault.recover(stack)  # before it was done: nothing to undo
    fault.inject(stack)
    assert mounts_on(stack.workspace)[-1].read_only
    proof = effect(fault, stack)
    assert proof.proven, proof.measured
    assert proof.measured["still_writable"]["open_descriptors"] == ["watcher: watcher.lock"]
    assert proof.measured["still_writable"]["relative_names"] == {"watcher": "ok"}
    assert lock.read_bytes() == b""
    assert recovered(fault, stack).proven
    assert mounts_on(stack.workspace) == before
    assert not list(Path("/tmp").glob("chaos-cover-*"))


def flood(stack: Stack) -> None:
    """It keeps its pace, ends, and takes its file along."""
    fault = armed(make(DiskLogFlood, rate=8), stack)
    fault.inject(stack)
    proof = effect(fault, stack)
    assert proof.proven, proof.measured
    assert proof.measured["grown_mb"] >= 4
    assert (stack.workspace / "logs" / "flood_f001.out").stat().st_size >= 4 * MB
    healed = recovered(fault, stack)
    assert healed.proven, healed.measured
    assert not (stack.workspace / "logs" / "flood_f001.out").exists()


# Stands for the program that writes: begins to, and then hangs.
HUNG = "import sys, time; open(sys.argv[1], 'w').write('x' * 5000); time.sleep(600)"


def flood_that_does_not_keep_up(stack: Stack) -> None:
    """A program that has written something and then hangs proves nothing."""
    fault = armed(make(DiskLogFlood, rate=2), stack)
    program = disk_log_flood._PROGRAM
    disk_log_flood._PROGRAM = stack.workspace.parent / "hung.py"
    disk_log_flood._PROGRAM.write_text(HUNG)
    try:
        fault.inject(stack)
    finally:
        disk_log_flood._PROGRAM = program
    flooded = stack.workspace / "logs" / "flood_f001.out"
    wait_for("it has begun to write", lambda: flooded.exists() and flooded.stat().st_size)
    proof = effect(fault, stack, 3.0)
    assert not proof.proven and proof.measured["grown_mb"] > 0, proof.measured
    assert recovered(fault, stack).proven


def another_volume(stack: Stack) -> None:
    """Larger than the target declares: not the one that was made for this stack."""
    other = cast(Stack, VolumeStack(stack.workspace, size_mb=VOLUME_MB // 2))
    for kind in (DiskFull, DiskPressure, DiskReadonly, DiskLogFlood):
        fault = make(kind)
        assert "declares" in str(fault.available(other)), kind.name
        free = free_bytes(stack.workspace)
        try:
            fault.inject(other)
        except EnvironmentProblem:
            assert free_bytes(stack.workspace) == free
        else:
            raise AssertionError(f"{kind.name} touched a volume that is not its own")


SCENARIOS: dict[str, Callable[[Stack], None]] = {
    one.__name__: one
    for one in (
        fills_and_gives_back,
        twins_prove_nothing,
        full_already,
        recovery_is_not_claimed_too_early,
        pressure,
        read_only,
        flood,
        flood_that_does_not_keep_up,
        another_volume,
    )
}


def main(folder: Path, scenario: str) -> None:
    """Mounts the volume and runs one scenario."""
    volume = folder / "volume"
    volume.mkdir()
    options = ["-o", f"size={VOLUME_MB}m"]
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(volume)], check=True)
    with VolumeStack(volume, size_mb=VOLUME_MB) as stack:
        SCENARIOS[scenario](cast(Stack, stack))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
