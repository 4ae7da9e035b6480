"""Chooses the array module for the integer work over seeds: CuPy on a GPU, else NumPy.

For: the sieve and scoring. They get the module as `xp` and use only what both modules have, on
whole numbers, so both give the same result to the last bit.
Must not know: what is computed. CuPy need not be installed.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

NUMPY = "numpy"
CUPY = "cupy"
# What CuPy raises without a device, driver, library or memory. Its runtime and driver errors are
# RuntimeErrors.
_GPU_ERRORS = (ImportError, OSError, RuntimeError, MemoryError)

_warned: set[str] = set()  # the reasons that this process has printed


def computed(work: Callable[[Any], T]) -> tuple[T, str]:
    """Call `work(module)`, and return (its result, the module's name).

    The module is CuPy if it finds a GPU. If CUDA fails, `work` runs again from the start with
    NumPy, and one line on stderr says why. `work` must be a pure function, and must not return
    arrays that are on the GPU.
    """
    cupy = _import_cupy()
    if cupy is None:
        return work(np), NUMPY
    failure, used_gpu = "there is no device", False
    try:
        if cupy.cuda.runtime.getDeviceCount() > 0:
            used_gpu = True
            return work(cupy), CUPY
    except _errors(cupy) as error:
        failure = _line(error)
    finally:
        if used_gpu:
            _free(cupy)
    _warn_once(failure)
    return work(np), NUMPY


def to_host(xp: Any, values: Any) -> npt.NDArray[np.int64]:
    """Copy an array of the module `xp` to the host, as a NumPy array."""
    host: npt.NDArray[np.int64] = values if xp is np else xp.asnumpy(values)
    return host


def _import_cupy() -> Any:
    """The module CuPy, or None. Warns if CuPy is installed and cannot be imported."""
    try:
        return importlib.import_module(CUPY)
    except ModuleNotFoundError:
        return None
    except _GPU_ERRORS as error:
        _warn_once(_line(error))
        return None


def _warn_once(why: str) -> None:
    """Print one line on stderr, once per process and reason, because several steps fail alike.

    `why` must not contain "MemoryError": the Watcher would take it for a lack of host memory.
    """
    if why not in _warned:
        _warned.add(why)
        print(f"pipeline: NumPy in place of CuPy: {why}", file=sys.stderr)


def _errors(cupy: Any) -> tuple[type[BaseException], ...]:
    """`_GPU_ERRORS`, and the error of CuPy's compiler, which compiles a function at first use."""
    compiler = getattr(cupy.cuda, "compiler", None)
    compile_error = getattr(compiler, "CompileException", None)
    return _GPU_ERRORS if compile_error is None else (*_GPU_ERRORS, compile_error)


def _free(cupy: Any) -> None:
    """Free the memory that CuPy caches. If that fails, the end of the process frees it."""
    with contextlib.suppress(*_errors(cupy)):
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or "it says nothing")[:200]
