#!/usr/bin/env python3
"""Is the proxy there, and does it let connections through? The health check of the image.

    /toxiproxy-cli inspect llm

Called as the client in the publisher's image is, so that one compose file fits both images; this
one also says no to a proxy that is disabled. Exit 0 healthy, 1 not, with the reason.
"""

from __future__ import annotations

import http.client
import json
import os
import sys

LIMIT_S = 5.0


def complaint(host: str, port: int, name: str) -> str:
    """What is wrong with the proxy `name`; empty when nothing is."""
    link = http.client.HTTPConnection(host, port, timeout=LIMIT_S)
    try:
        link.request("GET", f"/proxies/{name}")
        answer = link.getresponse()
        body = answer.read()
        if answer.status != 200:
            return f"there is no proxy {name} (HTTP {answer.status})"
        proxy = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"the API at {host}:{port} does not answer: {error!r}"
    finally:
        link.close()
    if not isinstance(proxy, dict) or proxy.get("enabled") is not True:
        return f"the proxy {name} is disabled"
    return ""


def main(arguments: list[str]) -> int:
    """Command line: `inspect NAME`."""
    if len(arguments) != 2 or arguments[0] != "inspect":
        print("usage: inspect NAME", file=sys.stderr)
        return 2
    host, _, port = os.environ.get("TOXIPROXY_API", "127.0.0.1:8474").rpartition(":")
    wrong = complaint(host, int(port), arguments[1])
    print(wrong or f"the proxy {arguments[1]} is enabled")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
