"""Starts the Watcher in a container, from an empty workspace to the running daemon.

Copies the programs into the workspace (the current folder), writes the policies, makes history and
artefacts (bootstrap, pipeline steps 1 to 3), waits for the LLM, then execs the daemon. A step whose
result exists is skipped, so a restart continues. Standard library only; must not know the harness.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).resolve().parents[1]
POLICIES = Path("watcher_policies.json")
LAST_ARTEFACT = Path("survivors_with_scores.json")
LOOK_S = 0.5
STEP_LIMIT_S = 300.0
CALL_LIMIT_S = 20.0
DAEMON = [sys.executable, "agents/watcher_agent.py", "--daemon"]
PIPELINE = "agents/watcher_agent.py --run-pipeline --start-step 1 --end-step 3"
PREPARE = ([sys.executable, "bootstrap_history.py"], [sys.executable, *PIPELINE.split()])


class GivenUp(Exception):
    """The daemon cannot be started; the message says what to check."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"watcher: {text}", flush=True)


def number(name: str, default: float) -> float:
    """The number in the environment variable `name`; `default` if it is missing or empty."""
    return float(os.environ.get(name) or default)


def install() -> None:
    """Copy the programs into the workspace, except those for the container only."""
    if Path("agents").is_dir():
        return
    say(f"copying the programs to {Path.cwd()}")
    ignored = shutil.ignore_patterns("container", "__pycache__", "*.pyc")
    shutil.copytree(PROGRAMS, Path.cwd(), ignore=ignored, dirs_exist_ok=True)


def policies() -> dict[str, Any]:
    """The settings for a start by hand. Other settings have the Watcher's defaults."""
    return {
        "test_mode": True,  # without it the injector refuses to add synthetic draws
        "synthetic_injection": {
            "enabled": True,
            "interval_seconds": number("CHAOS_DRAW_INTERVAL_S", 30),
            "true_seed": int(number("CHAOS_TRUE_SEED", 12345)),
        },
        "llm": {
            "endpoint": os.environ.get("LLM_ENDPOINT") or "127.0.0.1:8080",
            "control": os.environ.get("LLM_CONTROL") or "127.0.0.1:8079",
            "timeout_seconds": number("CHAOS_LLM_TIMEOUT_S", 60),
            "start_timeout_seconds": number("CHAOS_LLM_START_LIMIT_S", 60),
        },
    }


def write_policies() -> None:
    """Write the policies file atomically, unless it exists."""
    if POLICIES.exists():
        return
    part = POLICIES.with_suffix(".part")
    part.write_text(json.dumps(policies(), indent=2) + "\n", encoding="utf-8")
    part.replace(POLICIES)


def prepare(environment: dict[str, str]) -> None:
    """Make the history and the artefacts, unless they exist. Raises `GivenUp`."""
    if LAST_ARTEFACT.exists():
        return
    for argv in PREPARE:
        say(f"preparing: {' '.join(argv[1:])}")
        try:
            subprocess.run(argv, env=environment, timeout=STEP_LIMIT_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise GivenUp(f"preparing failed: {error}") from error


def completes(address: str) -> bool:
    """True if the LLM is healthy and completes one token."""
    host, _, port = address.rpartition(":")
    body = json.dumps({"prompt": "Hi", "n_predict": 1, "temperature": 0, "cache_prompt": False})
    for method, path, content in (("GET", "/health", None), ("POST", "/completion", body)):
        link = http.client.HTTPConnection(host, int(port), timeout=CALL_LIMIT_S)
        try:
            link.request(method, path, content, {"Content-Type": "application/json"})
            answer = link.getresponse()
            answer.read()
            if answer.status != 200:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()
    return True


def await_llm(address: str, limit_s: float) -> None:
    """Wait until the LLM completes. Raises `GivenUp` after `limit_s`."""
    say(f"waiting for a completion of the LLM at {address}")
    deadline_s = time.monotonic() + limit_s
    while not completes(address):
        if time.monotonic() > deadline_s:
            raise GivenUp(
                f"no completion from the LLM at {address} within {limit_s:g} s: see the logs of "
                "the llm and toxiproxy containers; CHAOS_LLM_WAIT_S sets the limit"
            )
        time.sleep(LOOK_S)


def main() -> int:
    """Run all steps, then exec the daemon. Returns the exit code 1 if a step failed."""
    environment = {**os.environ, "PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    try:
        install()
        write_policies()
        prepare(environment)
        endpoint = os.environ.get("LLM_ENDPOINT") or "127.0.0.1:8080"
        await_llm(endpoint, number("CHAOS_LLM_WAIT_S", 180))
    except (GivenUp, OSError) as error:
        print(f"watcher: {error}", file=sys.stderr)
        return 1
    say("starting the daemon")
    os.execve(DAEMON[0], DAEMON, environment)


if __name__ == "__main__":
    sys.exit(main())
