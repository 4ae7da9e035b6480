"""Shared by both proxy programs: addresses, listening, and the end on SIGTERM."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
EXIT_CANNOT_LISTEN = 4


class CannotListen(Exception):
    """The port is taken, or this machine does not have the address."""


def address(text: str) -> tuple[str, int]:
    """'127.0.0.1:8080' -> (host, port); a type for argparse."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"HOST:PORT is needed, not {text!r}")
    return host, int(port)


async def listen(where: tuple[str, int], serve: Serve) -> asyncio.Server:
    """Listen; raises `CannotListen`."""
    try:
        return await asyncio.start_server(serve, *where)
    except OSError as error:
        place = f"{where[0]}:{where[1]}"
        raise CannotListen(f"cannot listen on {place}: {error.strerror or error}") from error


async def until_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    await signalled.wait()


def run(program: str, main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run `main` to its end; returns the exit code."""
    try:
        asyncio.run(main())
    except CannotListen as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_CANNOT_LISTEN
    return 0
