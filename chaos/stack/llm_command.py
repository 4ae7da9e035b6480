"""The command of the LLM server's supervisor, by where the target says that its server comes from.

Starts nothing.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.record.target import Target
from chaos.stack.base import Endpoint
from chaos.stack.workspace import fill_words


def supervisor_argv(
    target: Target,
    program: Path,
    values: Mapping[str, Any],
    *,
    model: Path,
    events: Path,
    log: Path,
    stop_limit_s: float,
    marked: str,
) -> list[str]:
    """The command of images/llm/supervisor.py (`program`); `values`: of the placeholders.

    `marked`: NAME=VALUE in the environment of each process of the run, where others are seen, too.
    """
    llm = target.llm
    upstream = Endpoint.parse(llm.upstream)
    path = llm.model or str(model)
    argv = [
        # -E: the environment is the daemon's, for a server of its own.
        *(sys.executable, "-E", str(program)),
        *("--control", llm.control),
        *("--host", upstream.host),
        *("--port", str(upstream.port)),
        *("--events", str(events)),
        *("--log", str(log)),
        *("--stop-limit-s", str(stop_limit_s)),
        *("--ready-path", llm.ready_path),
    ]
    if llm.own is None:
        return [*argv, "--autostart", "--model", path, "--", *target.server_arguments]
    own = {**values, "host": upstream.host, "port": upstream.port, "model": path}
    start = llm.own.start if llm.own.daemon else llm.own.command
    for name, words in (("command", start), ("stop-command", llm.own.stop)):
        place = f"target {target.target}, llm.server"
        argv += [f"--{name}={word}" for word in fill_words(words, own, place=place)]
    if llm.own.daemon:
        return [*argv, "--adopt", "--marked", marked]
    return [*argv, "--autostart"]
