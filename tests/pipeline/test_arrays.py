"""The work over seeds gives the same result on a GPU, names the module, and frees the memory.

CuPy is a stand-in (cupy_stand_in.py), except in the last test, which needs a GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupy_stand_in import CompileException, StandIn
from pipeline import arrays, evidence, generator, sieve, window
from pipeline import run as pipeline_run
from pipeline_loop import Loop
from prng_registry import java_lcg

VALUES = np.array([raw % 1000 for raw in java_lcg(12345, 100)])
WINDOW = window.Window(50, 5, 8)
SEEDS = (0, 1 << 15)


@pytest.fixture(autouse=True)
def no_warnings_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process, no warning has been printed."""
    monkeypatch.setattr(arrays, "_warned", set())


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """CuPy and a device, both stand-ins."""
    module = StandIn()
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def sieved(xp: Any) -> tuple[list[int], list[int]]:
    forward, reverse = sieve.sieve(VALUES, WINDOW, 1000, SEEDS, xp)
    assert isinstance(forward, np.ndarray) and isinstance(reverse, np.ndarray)
    return forward.tolist(), reverse.tolist()


def test_the_sieve_runs_on_the_gpu_with_the_same_result(cupy: StandIn) -> None:
    """The same seeds in the same order; all steps run on the GPU's arrays."""
    assert arrays.computed(sieved) == (sieved(np), "cupy")
    forward, reverse = sieved(np)
    assert 12345 in forward and 12345 in reverse and len(forward) > 10
    counts = cupy.counts
    assert counts["eq"] == WINDOW.size and counts["mul"] >= WINDOW.size
    assert (counts["arange"], counts["asnumpy"]) == (1, 2)  # only the results are copied
    assert counts["freed"] == counts["freed pinned"] == 1


def test_matches_are_the_same_on_the_gpu(cupy: StandIn) -> None:
    """Bit for bit, also far into the sequence."""
    seeds, examined = np.arange(300, dtype=np.int64), np.array([3, 97, 50])

    def work(xp: Any) -> Any:
        return evidence.matches(seeds, VALUES, examined, 1000, xp).tolist()

    assert arrays.computed(work) == (work(np), "cupy")
    assert cupy.counts["setitem"] == len(examined)


def test_products_overflow_modulo_2_to_the_64() -> None:
    """All numbers are 64-bit integers, on both modules."""
    seeds = np.array([0, 1, (1 << 48) - 1], dtype=np.int64)
    module = StandIn()
    states = generator.states_at(module.asarray(seeds), 10**6)  # type: ignore[arg-type]
    assert states.host.dtype == np.uint64  # type: ignore[attr-defined]
    expected = [java_lcg(int(seed), 1, skip=10**6)[0] for seed in seeds]
    assert [int(state) >> 17 for state in states.host] == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize("devices", [0, -1])
def test_without_a_device_numpy_is_used_with_one_warning(
    cupy: StandIn, devices: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cupy.devices = devices
    for _ in range(2):  # two steps, one warning
        assert arrays.computed(sieved) == (sieved(np), "numpy")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "NumPy in place of CuPy" in lines[0] and "device" in lines[0]
    assert not cupy.counts


@pytest.mark.parametrize("after", [0, 1, 20])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("cudaErrorUnknown: unknown error"),
        MemoryError("Out of memory allocating 8,192 bytes"),
        CompileException("nvrtc: error"),
        ImportError("CuPy failed to load libnvrtc.so.12"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_after_a_gpu_failure_the_result_is_numpys(
    cupy: StandIn, error: Exception, after: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The GPU fails at the start or in the middle; NumPy computes everything again."""
    cupy.error, cupy.fails_after = error, after
    assert arrays.computed(sieved) == (sieved(np), "numpy")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and str(error) in lines[0]
    assert "MemoryError" not in lines[0]  # the Watcher would take it for a lack of host memory
    assert cupy.counts["freed"] == 1


def test_a_defect_in_the_work_is_raised(cupy: StandIn) -> None:
    def work(xp: Any) -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        arrays.computed(work)
    assert cupy.counts["freed"] == 1


def test_without_cupy_there_is_no_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """None in `sys.modules` makes the import fail as if CuPy were not installed."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert arrays.computed(sieved) == (sieved(np), "numpy")
    assert capsys.readouterr().err == ""


def test_artefacts_differ_only_in_the_name_of_the_array_module(loop: Loop, cupy: StandIn) -> None:
    artefacts = {}
    for module in ("cupy", "numpy"):
        cupy.devices = 1 if module == "cupy" else 0
        stage = loop.stage(module)
        result = pipeline_run.run_steps(stage, [2, 3], "normal", "x")
        assert result["array_module"] == module
        assert [step["array_module"] for step in result["steps"]] == [module] * 2
        survivors = json.loads((stage.out / "bidirectional_survivors.json").read_text())
        assert survivors.pop("array_module") == module
        scored = (stage.out / "survivors_with_scores.json").read_text()
        artefacts[module] = (survivors, scored)
    assert artefacts["cupy"] == artefacts["numpy"]


@pytest.mark.gpu
def test_a_real_gpu_gives_the_same_artefacts(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child process, as the Watcher starts it. Skipped if CuPy finds no GPU."""
    real = pytest.importorskip("cupy")
    try:
        if real.cuda.runtime.getDeviceCount() < 1:
            pytest.skip("CuPy finds no GPU")
    except RuntimeError as error:
        pytest.skip(f"CuPy finds no GPU: {error}")
    watcher = Path(arrays.__file__).resolve().parents[1]
    argv = [sys.executable, "-m", "pipeline.run", "--steps", "2,3", "--out", "work/real"]
    done = subprocess.run(
        argv,
        env={**os.environ, "PYTHONPATH": str(watcher)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.setitem(sys.modules, "cupy", None)
    stage = loop.stage("host")
    assert pipeline_run.run_steps(stage, [2, 3], "normal", "manual")["array_module"] == "numpy"
    for name in ("bidirectional_survivors.json", "survivors_with_scores.json"):
        actual, expected = (
            json.loads((folder / name).read_text())
            for folder in (loop.workspace / "work" / "real", stage.out)
        )
        modules = actual.pop("array_module", None), expected.pop("array_module", None)
        assert modules in (("cupy", "numpy"), (None, None)), done.stderr
        assert actual == expected
