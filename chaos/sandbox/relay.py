"""Carries connections out of the sandbox, which has no network, to one server outside.

    relay.py outside SOCKET HOST:PORT LOG COMMAND...   beside the guardian, which COMMAND becomes
    relay.py inside HOST:PORT SOCKET|HOST:PORT         in the sandbox: listens there

::

    in the sandbox:  client -> inside -> Unix socket in the run directory -> outside -> server

The outer one is a child of the process that becomes the guardian, and ends with it. Bytes are not
looked at. Standard library only, run as a script; must not know whose connections they are.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

SOCKET = "llm_relay.sock"  # in the run directory
_PR_SET_PDEATHSIG = 1
_CHUNK_BYTES = 65_536
_CONNECT_LIMIT_S = 10.0

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def outside_argv(run: Path, server: str, command: list[str]) -> list[str]:
    """`command`, with the outer relay beside it. `run`: the run directory."""
    log = run / "logs" / "llm_relay_outside.log"
    program = [sys.executable, "-S", "-E", str(Path(__file__))]
    return [*program, "outside", str(run / SOCKET), server, str(log), *command]


def inside_argv(listen: str, to: str) -> list[str]:
    """The inner relay. `to`: SOCKET, with the run directory as working directory, or HOST:PORT."""
    return [sys.executable, "-S", "-E", str(Path(__file__)), "inside", listen, to]


def _is_path(address: str) -> bool:
    return "/" in address or address == SOCKET


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


async def _connected(address: str) -> _Streams:
    async with asyncio.timeout(_CONNECT_LIMIT_S):
        if _is_path(address):
            return await asyncio.open_unix_connection(address)
        return await asyncio.open_connection(*_parts(address))


async def _copy(source: asyncio.StreamReader, dest: asyncio.StreamWriter) -> None:
    """Until the end of one side; that end is passed on."""
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK_BYTES):
            dest.write(data)
            await dest.drain()
        if dest.can_write_eof():
            dest.write_eof()


async def _serve(listen: str, to: str) -> None:
    """Relay until SIGTERM."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await _connected(to)
        except (OSError, TimeoutError) as error:
            print(f"relay: no connection to {to}: {error}", file=sys.stderr, flush=True)
            writer.transport.abort()  # a reset: the server could not be reached
            return
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            for one in (writer, back):
                one.close()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if _is_path(listen):
        server = await asyncio.start_unix_server(relay, listen)
    else:
        server = await asyncio.start_server(relay, *_parts(listen))
    print(f"relay: {listen} to {to}", file=sys.stderr, flush=True)
    await stop.wait()
    server.close()


def _outside(socket: str, server: str, log: str, command: list[str]) -> int:
    """Start the relay as a child, then become `command`."""
    parent = os.getpid()
    if os.fork():
        os.execv(command[0], command)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.setsid()  # Ctrl-C is for the guardian
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if os.getppid() != parent:
        return 0
    path = Path(socket)
    os.chdir(path.parent)  # the whole path may be too long for a socket
    try:
        asyncio.run(_serve(path.name, server))
    finally:
        Path(path.name).unlink(missing_ok=True)
    return 0


def main(argv: list[str]) -> int:
    """Run one of the two relays; returns the exit code."""
    if argv[0] == "outside":
        return _outside(argv[1], argv[2], argv[3], argv[4:])
    asyncio.run(_serve(argv[1], argv[2]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
