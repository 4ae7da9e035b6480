"""Which arrays the integer work over seeds is done with: CuPy's on a GPU, else NumPy's.

For: the sieve and scoring. They get the module as `xp` and use only what both have, on whole
numbers, so that both give the same result to the last bit.
Must not know: what is computed. Nothing here needs CuPy to be installed.
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
# What CuPy raises when there is no device, no driver, no library or no memory for it. Its errors
# of the runtime and the driver are RuntimeErrors.
_GPU_ERRORS = (ImportError, OSError, RuntimeError, MemoryError)

_said: set[str] = set()


def computed(work: Callable[[Any], T]) -> tuple[T, str]:
    """(what `work` returns for the module it is given, the name of that module).

    On the GPU where CuPy finds one; all over again with NumPy, and one line about it, when CUDA
    fails. `work` returns nothing that is on the GPU, and has no effect but what it returns.
    """
    cupy = _installed()
    if cupy is None:
        return work(np), NUMPY
    failed, began = "there is no device", False
    try:
        if cupy.cuda.runtime.getDeviceCount() > 0:
            began = True
            return work(cupy), CUPY
    except _errors(cupy) as error:
        failed = _line(error)
    finally:
        if began:
            _free(cupy)
    _say(failed)
    return work(np), NUMPY


def to_host(xp: Any, values: Any) -> npt.NDArray[np.int64]:
    """An array of `xp`'s as NumPy's."""
    host: npt.NDArray[np.int64] = values if xp is np else xp.asnumpy(values)
    return host


def _installed() -> Any:
    """CuPy, or None where there is none. One that is there and broken is worth a line."""
    try:
        return importlib.import_module(CUPY)
    except ModuleNotFoundError:
        return None
    except _GPU_ERRORS as error:
        _say(_line(error))
        return None


def _say(why: str) -> None:
    """One line, once a process: several steps find the same.

    Without the name of the error: the Watcher takes "MemoryError" for a want of its own.
    """
    if why not in _said:
        _said.add(why)
        print(f"pipeline: NumPy in place of CuPy: {why}", file=sys.stderr)


def _errors(cupy: Any) -> tuple[type[BaseException], ...]:
    """Its compiler's error, too: it translates for the GPU when a function is first used."""
    compiler = getattr(cupy.cuda, "compiler", None)
    own = getattr(compiler, "CompileException", None)
    return _GPU_ERRORS if own is None else (*_GPU_ERRORS, own)


def _free(cupy: Any) -> None:
    """Give the memory back that CuPy keeps for later. What fails here ends with the process."""
    with contextlib.suppress(*_errors(cupy)):
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def _line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or "it says nothing")[:200]
