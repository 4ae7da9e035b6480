"""Taken ports are found before anything is started."""

from __future__ import annotations

import os
import socket

import pytest

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Endpoint
from chaos.stack.ports import require_free
from tests.stack.conftest import free_ports


def test_free_ports_pass() -> None:
    """Nothing is raised, and the ports are still free afterwards."""
    endpoints = [Endpoint("127.0.0.1", port) for port in free_ports(2)]
    require_free(endpoints)
    require_free(endpoints)


def test_taken_port_is_reported_with_its_holder() -> None:
    """Which port, which process, what to do."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(EnvironmentProblem) as caught:
            require_free([Endpoint("127.0.0.1", port)])
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert caught.value.exit_code == 4
