"""A stand-in for CuPy, which computes with NumPy but refuses what the real CuPy refuses.

It refuses to convert an array to NumPy implicitly, and to mix both kinds. It counts operations and
calls of the memory pool. Only the test with a real GPU shows that a GPU computes the same numbers.
"""

from __future__ import annotations

import operator
from collections import Counter
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class CUDARuntimeError(RuntimeError):
    """An error of the driver."""


class CompileException(Exception):
    """An error of the compiler, which is not a RuntimeError."""


class DeviceArray:
    """An array on the GPU."""

    def __init__(self, module: StandIn, host: Any) -> None:
        self._module = module
        self.host = host

    def _of(self, name: str, other: Any, function: Any) -> DeviceArray:
        self._module.count(name)
        if isinstance(other, DeviceArray):
            other = other.host
        elif isinstance(other, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        return DeviceArray(self._module, function(self.host, other))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    __array_ufunc__ = None  # a NumPy number on the left must use our operator

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, key: Any) -> DeviceArray:
        return self._of("getitem", key, operator.getitem)

    def __setitem__(self, key: Any, value: DeviceArray) -> None:
        self._module.count("setitem")
        self.host[key] = value.host

    def astype(self, dtype: Any) -> DeviceArray:
        return self._of("astype", dtype, lambda host, wanted: host.astype(wanted))

    def __eq__(self, other: object) -> Any:
        return self._of("eq", other, operator.eq)

    __hash__ = None  # type: ignore[assignment]


def _operator(name: str, function: Any) -> Any:
    def method(self: DeviceArray, other: Any) -> DeviceArray:
        return self._of(name, other, function)

    return method


for _name in ("add", "mul", "and", "xor", "rshift", "mod"):
    _function = getattr(operator, f"{_name}_" if _name == "and" else _name)
    setattr(DeviceArray, f"__{_name}__", _operator(_name, _function))


class StandIn(ModuleType):
    """The module, with `devices` GPUs. Raises `error` after `fails_after` operations."""

    def __init__(self, devices: int = 1) -> None:
        super().__init__("cupy")
        self.counts: Counter[str] = Counter()
        self.error: Exception = CUDARuntimeError("cudaErrorUnknown: unknown error")
        self.fails_after: int | None = None
        self.devices = devices
        runtime = SimpleNamespace(getDeviceCount=self._device_count)
        compiler = SimpleNamespace(CompileException=CompileException)
        self.cuda = SimpleNamespace(runtime=runtime, compiler=compiler)

    def count(self, name: str) -> None:
        self.counts[name] += 1
        if self.fails_after is not None and self.counts.total() > self.fails_after:
            raise self.error

    def _device_count(self) -> int:
        if self.devices < 0:
            raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return self.devices

    def arange(self, *bounds: int, dtype: Any) -> DeviceArray:
        self.count("arange")
        return DeviceArray(self, np.arange(*bounds, dtype=dtype))

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        self.count("empty")
        return DeviceArray(self, np.full(shape, -1, dtype=dtype))

    def asarray(self, host: Any) -> DeviceArray:
        self.count("asarray")
        return DeviceArray(self, np.array(host))

    def asnumpy(self, array: DeviceArray) -> Any:
        self.count("asnumpy")
        return array.host.copy()

    def get_default_memory_pool(self) -> Any:
        return SimpleNamespace(free_all_blocks=lambda: self.counts.update(["freed"]))

    def get_default_pinned_memory_pool(self) -> Any:
        return SimpleNamespace(free_all_blocks=lambda: self.counts.update(["freed pinned"]))
