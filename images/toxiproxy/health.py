#!/usr/bin/env python3
"""The health check of the image: does the proxy exist, and is it enabled?

    /toxiproxy-cli inspect llm

It has the command line of the publisher's client, so that one compose file fits both images. Unlike
the client it also fails for a disabled proxy. Exit code 0 if healthy, else 1, with the reason.
Standard library only; must not know the harness.
"""

from __future__ import annotations

import http.client
import json
import os
import sys

LIMIT_S = 5.0


def complaint(host: str, port: int, name: str) -> str:
    """Return the problem of the proxy `name`, or "" if it is enabled."""
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
    """Run `inspect NAME`. Returns the exit code."""
    if len(arguments) != 2 or arguments[0] != "inspect":
        print("usage: inspect NAME", file=sys.stderr)
        return 2
    host, _, port = os.environ.get("TOXIPROXY_API", "127.0.0.1:8474").rpartition(":")
    problem = complaint(host, int(port), arguments[1])
    print(problem or f"the proxy {arguments[1]} is enabled")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
