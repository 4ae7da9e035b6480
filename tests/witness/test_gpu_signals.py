"""GPU signals: memory per device, instance and owner, or a stated absence; a GPU that is lost.

Most are lived with a driver that is a stand-in (tests/faults/standin_gpu), a C library called
through the real pynvml. What a real driver says only a machine with one can show.
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

from chaos.doctor.machine import look_at_machine
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
    """One GPU, to be made worse."""
    found = StandIn(tmp_path, monkeypatch)
    monkeypatch.setattr(nvml, "NODES", found.nodes)
    yield found
    found.close()


def owners(driver: StandIn, same_numbers: bool, **services: int | None) -> Owners:
    def pid_of(pid: int | None) -> Callable[[], int | None]:
        return lambda: pid

    known = {name: pid_of(pid) for name, pid in services.items()}
    return Owners(known, nodes=driver.nodes, same_numbers=same_numbers)


@pytest.mark.gpu
def test_a_real_gpu_has_used_memory() -> None:
    """Where there is a driver, each device has a key with what is used of it."""
    source = GPUs()
    values = read(source)
    if "gpu" in source.absences():
        pytest.skip(f"no GPU here: {source.absences()['gpu']}")
    assert "gpu0.used_bytes" in values
    source.close()


def test_a_gpu_is_measured_or_its_absence_stated() -> None:
    """Never neither, never both, never a zero in place of an absence."""
    source = GPUs()
    values = read(source)
    assert bool(values) != bool(source.absences())
    assert read(source).keys() == values.keys()
    source.close()


def test_each_gpu_and_each_owner_has_its_number(driver: StandIn) -> None:
    """Several GPUs; the Watcher's children count as the Watcher's."""
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


def test_what_is_of_no_service_is_another(driver: StandIn) -> None:
    driver.process(50 * MB)
    source = GPUs(owners(driver, True, watcher=None))
    assert read(source)["gpu0.other_bytes"] == 50 * MB
    source.close()


def test_the_number_that_a_container_gives_its_first_process_is_no_service(
    driver: StandIn,
) -> None:
    """Else every process of the machine would be that service's."""
    driver.process(50 * MB)
    source = GPUs(owners(driver, True, llm=1))
    values = read(source)
    assert values["gpu0.other_bytes"] == 50 * MB and "gpu0.llm_bytes" not in values
    source.close()


def test_a_process_stays_its_services_when_it_outlives_it(driver: StandIn) -> None:
    """A child that was not ended is what leaves memory behind: it must not become a stranger."""
    pid = driver.process(50 * MB)
    services: dict[str, Callable[[], int | None]] = {"watcher": lambda: mains.get("watcher")}
    mains = {"watcher": pid}
    source = GPUs(Owners(services, nodes=driver.nodes, same_numbers=True))
    assert read(source)["gpu0.watcher_bytes"] == 50 * MB
    mains.clear()
    assert read(source)["gpu0.watcher_bytes"] == 50 * MB
    source.close()


@pytest.mark.parametrize("numbers", [0, 4_000_000])
def test_numbers_of_another_namespace_are_not_believed(driver: StandIn, numbers: int) -> None:
    """In a container: one of ours with a node open is ours; a number that is nobody's here, or of
    a process that has nothing to do with the driver, tells that processes cannot be told apart.
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


def test_a_number_that_means_another_process_here_is_not_believed(driver: StandIn) -> None:
    """The host's number may be, in a container, that of a process without any GPU."""
    driver.process(1)  # the node is there to be had, and this process has it not
    driver.allocate(os.getpid(), 70 * MB)
    source = GPUs(owners(driver, False, watcher=os.getpid()))
    assert "gpu0.watcher_bytes" not in read(source)
    assert "gpu0.processes" in source.absences()
    source.close()


def test_instances_are_measured_and_the_whole_may_be_refused(driver: StandIn) -> None:
    """MIG: the whole device is told to few; instances have memory and processes of their own."""
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


@pytest.mark.parametrize(("code", "said"), [(3, "Not Supported"), (4, "Insufficient Permissions")])
def test_a_number_that_is_not_told_is_absent_and_no_loss(
    driver: StandIn, code: int, said: str
) -> None:
    driver.tell("memory_error_0", code)
    driver.tell("process_error_0", code)
    told: list[str] = []
    source = GPUs(owners(driver, True), lambda name, **_: told.append(name))
    assert read(source) == {}
    assert source.absences() == {"gpu0.used_bytes": said, "gpu0.processes": said}
    assert told == ["gpu_units"]
    source.close()


def test_a_size_that_is_not_told_is_absent(driver: StandIn) -> None:
    pid = driver.process(-1)
    source = GPUs(owners(driver, True, llm=pid))
    assert read(source) == {"gpu0.used_bytes": 0}
    assert "how much a process holds" in source.absences()["gpu0.processes"]
    source.close()


def test_a_driver_that_is_too_old_to_list_processes(
    driver: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands for an older library, which has no function of that version."""

    def unknown(handle: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses_v3", unknown)
    source = GPUs(owners(driver, True))
    assert read(source) == {"gpu0.used_bytes": 0}
    assert "too old" in source.absences()["gpu0.processes"]
    source.close()
    assert "too old" in gpu_holders()["gpus"][0]["unseen"][0]


@pytest.mark.parametrize("code", [15, 999])
def test_a_gpu_that_is_lost_and_comes_back_is_told_each_time(driver: StandIn, code: int) -> None:
    """In mid-run: its key goes, with the reason, and comes back; the other GPU stays."""
    driver.gpus(2)
    told: list[tuple[str, Any]] = []
    source = GPUs(report=lambda name, **detail: told.append((name, detail)))
    assert read(source) == {"gpu0.used_bytes": 0, "gpu1.used_bytes": 0}
    for _ in range(2):
        driver.tell("memory_error_1", code)
        assert read(source) == read(source) == {"gpu0.used_bytes": 0}
        said = source.absences()["gpu1.used_bytes"]
        driver.untell("memory_error_1")
        assert len(read(source)) == 2 and source.absences() == {}
    assert [name for name, _ in told] == ["gpu_units", *["gpu_lost", "gpu_back"] * 2]
    lost = told[1][1]
    assert (lost["device"], lost["owner"]) == ("gpu1", "infrastructure")
    assert lost["severity"] == "warning"
    assert said in lost["message"] and lost["node"].endswith("nvidia1")
    source.close()


def test_a_node_that_is_taken_away_is_a_loss_although_we_keep_the_gpu(driver: StandIn) -> None:
    """As after a reload of the host's daemon: only programs that start now find nothing."""
    told: list[str] = []
    source = GPUs(report=lambda name, **_: told.append(name))
    read(source)
    node = Path(f"{driver.nodes}0")
    node.rename(node.with_name("away"))
    assert read(source) == {"gpu0.used_bytes": 0}
    assert told == ["gpu_units", "gpu_lost"]
    node.with_name("away").rename(node)
    read(source)
    assert told == ["gpu_units", "gpu_lost", "gpu_back"]
    source.close()


def test_a_node_is_lost_when_it_is_something_else_or_refused(tmp_path: Path) -> None:
    """And one that never was is not missed."""
    path = tmp_path / "nvidia0"
    assert Node(str(path)).lost() == ""
    path.touch()
    node = Node(str(path))
    assert node.lost() == ""
    path.unlink()
    path.mkdir()
    assert "another device" in node.lost()


@pytest.mark.parametrize("told_uuids", [True, False])
def test_which_gpu_a_name_stands_for_is_told_once(driver: StandIn, told_uuids: bool) -> None:
    """In a container that was given the host's second and third GPU, the third one split."""
    driver.gpus(2)
    driver.tell("first", 1)
    driver.tell("mig1", 1)
    if not told_uuids:
        driver.tell("uuid_error", 3)
    told: list[tuple[str, Any]] = []
    source = GPUs(report=lambda name, **detail: told.append((name, detail)))
    read(source)
    read(source)
    ((name, detail),) = told
    names = {"gpu0": "GPU-standin-1", "gpu1": "GPU-standin-2", "gpu1mig1": "MIG-standin-2-1"}
    assert (name, detail["uuids"]) == ("gpu_units", names if told_uuids else {})
    assert provenance_gpu()["uuids"] == detail["uuids"]
    source.close()


@pytest.mark.parametrize("code", [9, 18, 999])
def test_a_driver_that_does_not_open_is_a_stated_absence(driver: StandIn, code: int) -> None:
    driver.tell("init_error", code)
    source = GPUs(owners(driver, True))
    assert read(source) == {} and source.absences().keys() == {"gpu"}
    source.close()
    assert "absent" in gpu_holders()
    assert provenance_gpu()["devices"] == [] and "absent_because" in provenance_gpu()


def test_holders_are_listed_also_where_a_part_is_refused(driver: StandIn) -> None:
    driver.gpus(2)
    driver.tell("mig0", 1)
    driver.tell("memory_error_0", 4)
    driver.tell("process_error_1", 4)
    pid = driver.process(70 * MB, gpu=0, instance=1)
    found = {one["name"]: one for one in gpu_holders()["gpus"]}
    assert found.keys() == {"gpu0", "gpu0mig1", "gpu1"}
    assert found["gpu0"]["used_bytes"] is None and "memory" in found["gpu0"]["unseen"][0]
    assert [(one["pid"], one["used_bytes"]) for one in found["gpu0mig1"]["holders"]] == [
        (pid, 70 * MB)
    ]
    assert "processes" in found["gpu1"]["unseen"][0]


def test_the_provenance_has_models_driver_and_the_level_before(driver: StandIn) -> None:
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


def test_the_doctor_says_what_is_there_and_what_cannot_be_seen(driver: StandIn) -> None:
    driver.gpus(2)
    driver.tell("memory_error_1", 4)
    (item,) = [item for item in look_at_machine() if item.name == "gpu"]
    assert "gpu0: " in item.seen and "Insufficient Permissions" in item.seen


def test_the_library_is_found_by_a_new_process(driver: StandIn) -> None:
    """What the tests here patch in is what `libnvidia-ml.so.1` is for a program that starts."""
    code = "from chaos.witness.gpu import GPUs; v = {}; GPUs().read(v); print(v)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "{'gpu0.used_bytes': 0}", done.stderr
