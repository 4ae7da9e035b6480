"""Check that the stack's ports are free, and name the process that holds a port."""

import socket
from collections.abc import Iterable

import psutil

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Endpoint


def require_free(endpoints: Iterable[Endpoint]) -> None:
    """Raises `EnvironmentProblem` with the first port that is in use, and its holder."""
    for endpoint in endpoints:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((endpoint.host, endpoint.port))
            except OSError as error:
                holder = _holder(endpoint.port)
                raise EnvironmentProblem(
                    f"port {endpoint} cannot be used ({error.strerror}){holder}",
                    next_step="end that program, or run in the sandbox (--sandbox namespaces)",
                ) from error


def _holder(port: int) -> str:
    """': NAME (pid N) listens there'; empty if the process belongs to another user."""
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.AccessDenied, OSError):
        return ""
    for connection in connections:
        listening = connection.status == psutil.CONN_LISTEN
        if listening and connection.laddr and connection.laddr.port == port and connection.pid:
            try:
                name = psutil.Process(connection.pid).name()
            except psutil.NoSuchProcess:
                continue
            return f": {name} (pid {connection.pid}) listens there"
    return ""
