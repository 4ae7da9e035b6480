"""Signals of NVIDIA GPUs through NVML: `gpuN.used_bytes`. No driver is a stated absence."""

from __future__ import annotations

from typing import Any

from chaos.observe.base import SourceBase, Values


class GPUs(SourceBase):
    """Used memory of each GPU. The driver library is opened once, at the first read."""

    def __init__(self) -> None:
        super().__init__("gpu", 0.5)
        self._nvml: Any = None
        self._devices: list[Any] = []
        self._tried = False

    def _open(self) -> None:
        self._tried = True
        try:
            import pynvml
        except ImportError:
            self._absent["gpu"] = "nvidia-ml-py is not installed"
            return
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._devices = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        except pynvml.NVMLError as error:
            self._absent["gpu"] = str(error)
            return
        self._nvml = pynvml
        if not self._devices:
            self._absent["gpu"] = "the driver lists no device"

    def read(self, values: Values) -> None:
        """Adds one key per GPU; a GPU that does not answer any more has none."""
        if not self._tried:
            self._open()
        for index, device in enumerate(self._devices):
            key = f"gpu{index}.used_bytes"
            try:
                values[key] = int(self._nvml.nvmlDeviceGetMemoryInfo(device).used)
            except self._nvml.NVMLError as error:
                self._absent[key] = str(error)
            else:
                self._absent.pop(key, None)

    def close(self) -> None:
        """Shut the driver library down."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml, self._devices = None, []
