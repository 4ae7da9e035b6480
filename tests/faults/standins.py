"""Stand-ins for the parts that a fault meets, where the real ones would hide what is tested."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chaos.stack.base import Endpoint

HANG, CLOSE, GARBAGE = "hang", "close", "garbage"


@contextmanager
def server(behaviour: str) -> Iterator[Endpoint]:
    """Stands for an HTTP server that answers with a status, hangs, closes, or talks nonsense."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        done = threading.Event()
        links: list[socket.socket] = []

        def serve() -> None:
            while not done.is_set():
                try:
                    link, _ = listener.accept()
                except TimeoutError:
                    continue
                links.append(link)
                link.settimeout(2)
                link.recv(4096)
                if behaviour == HANG:
                    continue
                if behaviour == GARBAGE:
                    link.sendall(b"what?\r\n\r\n")
                elif behaviour != CLOSE:
                    link.sendall(f"HTTP/1.1 {behaviour} X\r\nContent-Length: 0\r\n\r\n".encode())
                link.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint("127.0.0.1", listener.getsockname()[1])
        finally:
            done.set()
            thread.join()
            for link in links:
                link.close()
