"""`chaos serve`: the pages of a folder of runs, for browsers of this machine."""

import errno
import logging
import socket
import threading
import webbrowser
from pathlib import Path

import uvicorn

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.serve.app import Site, application
from chaos.serve.guard import Guard

ADDRESS = "127.0.0.1"
_PORT_MAX = 65_535
_CONNECTIONS_MAX = 64
_END_S = 3  # for answers that are under way


def serve(runs: Path, port: int, *, browse: bool = False) -> int:
    """Serve the folder `runs` until Ctrl-C; `browse`: in a browser, too. Raises `UsageError`."""
    root = folder_of(runs)
    listener = listener_at(port)
    port = listener.getsockname()[1]
    server, site = server_of(root, port)
    # Clients that go away in mid-answer are no news; defects are told by `Guard`.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    found = site.ready()
    address = f"http://{ADDRESS}:{port}/"
    print(address)
    counts = (
        f"{len(found.runs)} run(s), {len(found.gates)} gate(s) and {len(found.batches)} batch(es)"
    )
    print(printable(f"  {counts} of {root}; reads only, this machine only; Ctrl-C ends it"))
    print(f"  metrics for Prometheus: http://{ADDRESS}:{port}/metrics", flush=True)
    if browse:
        # A browser of the terminal returns only when it is closed, and the server must answer it.
        threading.Thread(target=_browse, args=(address,), daemon=True).start()
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # how it is meant to end
    finally:
        listener.close()
    return ExitCode.PASS


def _browse(address: str) -> None:
    if not webbrowser.open(address):
        print("  --open: no browser can be started here; open the address above", flush=True)


def server_of(root: Path, port: int) -> tuple[uvicorn.Server, Site]:
    """The server of `root` for a listener at `port`, and what it shows."""
    site = Site(root, lambda: server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(
            Guard(application(site), port),
            log_config=None,
            access_log=False,
            ws="none",
            lifespan="off",
            server_header=False,
            date_header=False,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_graceful_shutdown=_END_S,
        )
    )
    return server, site


def folder_of(runs: Path) -> Path:
    """The folder of the runs. Raises `UsageError`."""
    if not runs.is_dir():
        raise UsageError(
            "not a folder" if runs.exists() else "no such folder",
            place=f"--runs {runs}",
            next_step="name the folder in which the runs are stored; `chaos run` makes one",
        )
    return runs.resolve()


def listener_at(port: int) -> socket.socket:
    """A socket that listens at this port of loopback. Raises `UsageError`."""
    if not 0 <= port <= _PORT_MAX:
        raise UsageError(
            f"out of range: {port}",
            place="--port",
            next_step=f"a number from 1 to {_PORT_MAX}, or 0 for any free one",
        )
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
        listener.listen()
    except OSError as error:
        listener.close()
        busy = error.errno == errno.EADDRINUSE
        raise UsageError(
            f"port {port} is in use" if busy else f"cannot listen at port {port}: {error.strerror}",
            place="--port",
            next_step="choose another one, or --port 0 for any free one",
        ) from error
    return listener
