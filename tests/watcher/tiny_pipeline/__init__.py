"""A stand-in for the pipeline: the same command lines and artefact names, without the work.

A word in the request's name sets the behaviour: `slow` takes a minute, `fail` exits with 3, `void`
exits with 0 and writes no result, `loud` prints a megabyte, `caught` waits, in its first run, until
its folder is read-only. Each run writes the published model count plus one, so the count is the
number of published runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def write(out: Path, name: str, content: Any) -> None:
    """Writes one artefact into the staging folder."""
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def start() -> argparse.Namespace:
    """Parses the command line and behaves as the request's name says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default="")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--policy-conditioned", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--effort", required=True)
    parser.add_argument("--request", required=True)
    options = parser.parse_args()
    with Path("dispatched.txt").open("a") as stream:
        stream.write(f"{options.request} {options.effort}\n")
    if "caught" in options.request:
        _await_read_only(options)
    if "slow" in options.request:
        time.sleep(60)
    if "loud" in options.request:
        sys.stdout.write("noise\n" * 200_000)
    if "fail" in options.request:
        sys.exit(3)
    if "void" in options.request:
        sys.exit(0)
    return options


def _await_read_only(options: argparse.Namespace) -> None:
    if Path("dispatched.txt").read_text().count(options.request) > 1:
        return
    deadline_s = time.monotonic() + 30
    while os.access(options.out, os.W_OK) and time.monotonic() < deadline_s:
        time.sleep(0.01)
