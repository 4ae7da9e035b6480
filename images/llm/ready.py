"""Whether a server is ready: it answers a GET below 500. Knows no process."""

from __future__ import annotations

import http.client

_LIMIT_S = 1.0
_FAULTY = 500  # llama.cpp's says 503 while it loads; one without that path says 404


def answers(host: str, port: int, path: str) -> bool:
    """True if it does within a second."""
    connection = http.client.HTTPConnection(host, port, timeout=_LIMIT_S)
    try:
        connection.request("GET", path, headers={"User-Agent": "chaos"})
        return connection.getresponse().status < _FAULTY
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
