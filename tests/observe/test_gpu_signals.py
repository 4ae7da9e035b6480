"""GPU signals: used memory per device, or a stated absence."""

from __future__ import annotations

import sys
import types

import pytest

from chaos.observe.base import Values
from chaos.observe.gpu import GPUs


def read(source: GPUs) -> Values:
    values: Values = {}
    source.read(values)
    return values


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


def test_a_gpu_that_vanishes_becomes_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver may lose a device in mid-run: its key goes, with the reason, and comes back.

    The module below stands for the driver's, with a device that answers or not.
    """
    driver = types.ModuleType("pynvml")
    answers = [True]

    class NVMLError(Exception):
        pass

    def memory(device: int) -> types.SimpleNamespace:
        if device == 1 and not answers[0]:
            raise NVMLError("Unknown Error")
        return types.SimpleNamespace(used=1000 + device)

    vars(driver).update(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=memory,
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    source = GPUs()
    assert read(source) == {"gpu0.used_bytes": 1000, "gpu1.used_bytes": 1001}
    answers[0] = False
    assert read(source) == {"gpu0.used_bytes": 1000}
    assert source.absences() == {"gpu1.used_bytes": "Unknown Error"}
    answers[0] = True
    assert len(read(source)) == 2 and source.absences() == {}
    source.close()
