"""GPU signals: memory per device, instance and owner, or an absence with its reason; lost GPUs.

Most tests use a stand-in driver (tests/faults/standin_gpu), a C library called through the real
pynvml. Only `test_a_real_gpu_has_used_memory` needs a real driver.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from chaos.doctor.machine import examine_machine
from chaos.runner.provenance import gpu as provenance_gpu
from chaos.witness import nvml
from chaos.witness.base import Values
from chaos.witness.gpu import GPUs
from chaos.witness.gpu_holders import gpu_holders
from chaos.witness.gpu_node import Node
from chaos.witness.gpu_owners import Owners
from tests.faults.standin_gpu.library import StandIn

MB = 1 << 20


def read(source: GPUs) -> Values:
    values: Values = {}
    source.read(values)
    return values


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in driver with one GPU; tests add GPUs and errors."""
    stand_in = StandIn(tmp_path, monkeypatch)
    monkeypatch.setattr(nvml, "NODES", stand_in.nodes)
    yield stand_in
    stand_in.close()


def owners(driver: StandIn, driver_pids_are_ours: bool, **services: int | None) -> Owners:
    def pid_of(pid: int | None) -> Callable[[], int | None]:
        return lambda: pid

    known = {name: pid_of(pid) for name, pid in services.items()}
    return Owners(known, nodes=driver.nodes, driver_pids_are_ours=driver_pids_are_ours)


@pytest.mark.gpu
def test_a_real_gpu_has_used_memory() -> None:
    """With a driver, each device has a key with its used bytes."""
    source = GPUs()
    values = read(source)
    if "gpu" in source.absences():
        pytest.skip(f"no GPU here: {source.absences()['gpu']}")
    assert "gpu0.used_bytes" in values
    source.close()


def test_a_gpu_is_either_measured_or_absent_with_a_reason() -> None:
    """An absence is never a zero."""
    source = GPUs()
    values = read(source)
    assert bool(values) != bool(source.absences())
    assert read(source).keys() == values.keys()
    source.close()


def test_used_bytes_are_reported_per_gpu_and_owner(driver: StandIn) -> None:
    """Two GPUs; the Watcher's children count as the Watcher."""
    driver.gpus(2)
    llm = driver.process(700 * MB)
    driver.process(50 * MB, gpu=1)  # a child of this process
    driver.allocate(os.getpid(), 30 * MB, gpu=1)
    source = GPUs(owners(driver, True, llm=llm, watcher=os.getpid(), injector=None))
    assert read(source) == {
        "gpu0.used_bytes": 700 * MB,
        "gpu0.llm_bytes": 700 * MB,
        "gpu1.used_bytes": 80 * MB,
        "gpu1.watcher_bytes": 80 * MB,
    }
    assert source.absences() == {}
    driver.end(llm)
    values = read(source)
    assert (values["gpu0.used_bytes"], values["gpu0.llm_bytes"]) == (0, 0)
    source.close()


def test_memory_of_a_process_outside_the_stack_is_other_bytes(driver: StandIn) -> None:
    driver.process(50 * MB)
    source = GPUs(owners(driver, True, watcher=None))
    assert read(source)["gpu0.other_bytes"] == 50 * MB
    source.close()


def test_pid_1_never_names_a_service(driver: StandIn) -> None:
    """A containerised service calls itself PID 1: here that is the ancestor of every process."""
    driver.process(50 * MB)
    source = GPUs(owners(driver, True, llm=1))
    values = read(source)
    assert values["gpu0.other_bytes"] == 50 * MB and "gpu0.llm_bytes" not in values
    source.close()


def test_a_process_keeps_its_owner_after_the_service_has_ended(driver: StandIn) -> None:
    """An orphaned child that holds memory is a leak of the Watcher, not `other`."""
    pid = driver.process(50 * MB)
    services: dict[str, Callable[[], int | None]] = {"watcher": lambda: pids.get("watcher")}
    pids = {"watcher": pid}
    source = GPUs(Owners(services, nodes=driver.nodes, driver_pids_are_ours=True))
    assert read(source)["gpu0.watcher_bytes"] == 50 * MB
    pids.clear()
    assert read(source)["gpu0.watcher_bytes"] == 50 * MB
    source.close()


@pytest.mark.parametrize("numbers", [0, 4_000_000])
def test_pids_of_another_namespace_are_not_trusted(driver: StandIn, numbers: int) -> None:
    """In a container, a PID is ours only if the process has a device node open. A PID that is
    unknown here, or of a process without a device node, makes all owners unknown.
    """
    llm = driver.process(70 * MB)
    if numbers:
        driver.tell("numbers", numbers)
    source = GPUs(owners(driver, False, llm=llm))
    values = read(source)
    assert values["gpu0.used_bytes"] == 70 * MB
    if numbers:
        assert "gpu0.llm_bytes" not in values
        assert "another process namespace" in source.absences()["gpu0.processes"]
    else:
        assert values["gpu0.llm_bytes"] == 70 * MB and source.absences() == {}
    source.close()


def test_a_pid_of_a_process_without_a_device_node_is_not_trusted(driver: StandIn) -> None:
    """In a container, the host's PID may belong to a process that uses no GPU."""
    driver.process(1)  # makes the device node; this test process does not open it
    driver.allocate(os.getpid(), 70 * MB)
    source = GPUs(owners(driver, False, watcher=os.getpid()))
    assert "gpu0.watcher_bytes" not in read(source)
    assert "gpu0.processes" in source.absences()
    source.close()


def test_mig_instances_are_measured_even_if_the_whole_gpu_is_refused(driver: StandIn) -> None:
    """With MIG on, few users may read the whole GPU. Each instance has its own memory."""
    driver.gpus(2)
    driver.tell("mig0", 2)
    driver.tell("memory_error_0", 4)
    pid = driver.process(70 * MB, gpu=0, instance=2)
    source = GPUs(owners(driver, True, llm=pid))
    assert read(source) == {
        "gpu0mig1.used_bytes": 0,
        "gpu0mig2.used_bytes": 70 * MB,
        "gpu0mig2.llm_bytes": 70 * MB,
        "gpu1.used_bytes": 0,
    }
    absent = source.absences()
    assert absent.keys() == {"gpu0.used_bytes"} and "MIG" in absent["gpu0.used_bytes"]
    assert "Permissions" in absent["gpu0.used_bytes"]
    source.close()
    driver.tell("mig0", 0)
    source = GPUs()
    read(source)
    assert "no instance can be seen" in source.absences()["gpu0.instances"]
    source.close()


@pytest.mark.parametrize(
    ("code", "reason"), [(3, "Not Supported"), (4, "Insufficient Permissions")]
)
def test_a_refused_value_is_absent_and_does_not_count_as_a_lost_gpu(
    driver: StandIn, code: int, reason: str
) -> None:
    driver.tell("memory_error_0", code)
    driver.tell("process_error_0", code)
    events: list[str] = []
    source = GPUs(owners(driver, True), lambda name, **_: events.append(name))
    assert read(source) == {}
    assert source.absences() == {"gpu0.used_bytes": reason, "gpu0.processes": reason}
    assert events == ["gpu_units"]
    source.close()


def test_owners_are_absent_if_the_driver_reports_no_size_per_process(driver: StandIn) -> None:
    pid = driver.process(-1)
    source = GPUs(owners(driver, True, llm=pid))
    assert read(source) == {"gpu0.used_bytes": 0}
    assert "how much a process holds" in source.absences()["gpu0.processes"]
    source.close()


def test_owners_are_absent_if_the_driver_is_too_old_to_list_processes(
    driver: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands for an older library, which lacks that version of the function."""

    def unknown(handle: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses_v3", unknown)
    source = GPUs(owners(driver, True))
    assert read(source) == {"gpu0.used_bytes": 0}
    assert "too old" in source.absences()["gpu0.processes"]
    source.close()
    assert "too old" in gpu_holders()["gpus"][0]["unseen"][0]


@pytest.mark.parametrize("code", [15, 999])
def test_each_loss_and_return_of_a_gpu_is_recorded(driver: StandIn, code: int) -> None:
    """The lost GPU has an absence in place of its key; the other GPU keeps its key."""
    driver.gpus(2)
    events: list[tuple[str, Any]] = []
    source = GPUs(write_event=lambda name, **detail: events.append((name, detail)))
    assert read(source) == {"gpu0.used_bytes": 0, "gpu1.used_bytes": 0}
    for _ in range(2):
        driver.tell("memory_error_1", code)
        assert read(source) == read(source) == {"gpu0.used_bytes": 0}
        reason = source.absences()["gpu1.used_bytes"]
        driver.untell("memory_error_1")
        assert len(read(source)) == 2 and source.absences() == {}
    assert [name for name, _ in events] == ["gpu_units", *["gpu_lost", "gpu_back"] * 2]
    lost = events[1][1]
    assert (lost["device"], lost["owner"]) == ("gpu1", "infrastructure")
    assert lost["severity"] == "warning"
    assert reason in lost["message"] and lost["node"].endswith("nvidia1")
    source.close()


def test_a_removed_device_node_is_a_lost_gpu_even_if_the_driver_answers(driver: StandIn) -> None:
    """As after a reload of the host's container daemon: only programs that start later fail."""
    events: list[str] = []
    source = GPUs(write_event=lambda name, **_: events.append(name))
    read(source)
    node = Path(f"{driver.nodes}0")
    node.rename(node.with_name("away"))
    assert read(source) == {"gpu0.used_bytes": 0}
    assert events == ["gpu_units", "gpu_lost"]
    node.with_name("away").rename(node)
    read(source)
    assert events == ["gpu_units", "gpu_lost", "gpu_back"]
    source.close()


def test_a_node_is_lost_if_it_became_another_file(tmp_path: Path) -> None:
    """A node that never existed is not lost."""
    path = tmp_path / "nvidia0"
    assert Node(str(path)).lost() == ""
    path.touch()
    node = Node(str(path))
    assert node.lost() == ""
    path.unlink()
    path.mkdir()
    assert "another device" in node.lost()


@pytest.mark.parametrize("has_uuids", [True, False])
def test_uuids_of_the_units_are_recorded_once(driver: StandIn, has_uuids: bool) -> None:
    """In a container that was given the host's second and third GPU, the third one split."""
    driver.gpus(2)
    driver.tell("first", 1)
    driver.tell("mig1", 1)
    if not has_uuids:
        driver.tell("uuid_error", 3)
    events: list[tuple[str, Any]] = []
    source = GPUs(write_event=lambda name, **detail: events.append((name, detail)))
    read(source)
    read(source)
    ((name, detail),) = events
    uuids = {"gpu0": "GPU-standin-1", "gpu1": "GPU-standin-2", "gpu1mig1": "MIG-standin-2-1"}
    assert (name, detail["uuids"]) == ("gpu_units", uuids if has_uuids else {})
    assert provenance_gpu()["uuids"] == detail["uuids"]
    source.close()


@pytest.mark.parametrize("code", [9, 18, 999])
def test_a_driver_that_does_not_open_is_an_absence(driver: StandIn, code: int) -> None:
    driver.tell("init_error", code)
    source = GPUs(owners(driver, True))
    assert read(source) == {} and source.absences().keys() == {"gpu"}
    source.close()
    assert "absent" in gpu_holders()
    assert provenance_gpu()["devices"] == [] and "absent_because" in provenance_gpu()


def test_holders_are_listed_even_if_other_values_are_refused(driver: StandIn) -> None:
    driver.gpus(2)
    driver.tell("mig0", 1)
    driver.tell("memory_error_0", 4)
    driver.tell("process_error_1", 4)
    pid = driver.process(70 * MB, gpu=0, instance=1)
    gpus = {gpu["name"]: gpu for gpu in gpu_holders()["gpus"]}
    assert gpus.keys() == {"gpu0", "gpu0mig1", "gpu1"}
    assert gpus["gpu0"]["used_bytes"] is None and "memory" in gpus["gpu0"]["unseen"][0]
    (holder,) = gpus["gpu0mig1"]["holders"]
    assert (holder["pid"], holder["used_bytes"]) == (pid, 70 * MB)
    assert "processes" in gpus["gpu1"]["unseen"][0]


def test_provenance_has_models_driver_and_used_bytes_before_the_run(driver: StandIn) -> None:
    driver.gpus(2)
    driver.tell("mig1", 1)
    driver.tell("memory_error_1", 4)
    driver.process(70 * MB)
    assert provenance_gpu() == {
        "devices": ["Stand-in 0", "Stand-in 1"],
        "driver": "570.0.standin",
        "mig": ["gpu1"],
        "used_bytes": {"gpu0": 70 * MB, "gpu1mig1": 0},
        "uuids": {
            "gpu0": "GPU-standin-0",
            "gpu1": "GPU-standin-1",
            "gpu1mig1": "MIG-standin-1-1",
        },
        "untold": {"gpu1.used_bytes": "Insufficient Permissions"},
    }


def test_the_doctor_shows_the_gpus_and_what_it_cannot_read(driver: StandIn) -> None:
    driver.gpus(2)
    driver.tell("memory_error_1", 4)
    (item,) = [item for item in examine_machine() if item.name == "gpu"]
    assert "gpu0: " in item.seen and "Insufficient Permissions" in item.seen


def test_the_library_is_found_by_a_new_process(driver: StandIn) -> None:
    """A new program loads the stand-in as `libnvidia-ml.so.1`, too."""
    code = "from chaos.witness.gpu import GPUs; v = {}; GPUs().read(v); print(v)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "{'gpu0.used_bytes': 0}", done.stderr
