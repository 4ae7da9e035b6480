"""Run as a script: allocates memory of a GPU until its input ends or SECONDS are over.

    gpu_holder.py DEVICE BYTES SECONDS TOKEN

Prints `holding` once all of it is allocated, or the error. TOKEN makes the process recognizable.
Standard library only. Source: the CUDA driver API.
"""

import ctypes
import select
import sys


class Refused(Exception):
    """A call of the driver returned an error."""


def take(device: int, size_bytes: int) -> ctypes.CDLL:
    """Allocate; the memory is freed when this process ends."""
    library = ctypes.CDLL("libcuda.so.1")
    handle, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()

    def call(name: str, *words: object) -> None:
        code = getattr(library, name)(*words)
        if code:
            raise Refused(f"{name}: CUDA error {code}")

    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(handle), device)
    call("cuCtxCreate_v2", ctypes.byref(context), 0, handle)
    call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size_bytes))
    return library


def main(argv: list[str]) -> int:
    """Allocate the memory and wait."""
    try:
        held = take(int(argv[0]), int(argv[1]))
    except (OSError, Refused) as error:
        print(error, flush=True)
        return 1
    print("holding", flush=True)
    select.select([sys.stdin], [], [], float(argv[2]))
    del held
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
