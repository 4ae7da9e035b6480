"""How many completions the LLM server really finished, by its own log.

The one witness of an answer that the Watcher cannot write: the server's output is captured by the
harness. It counts the answers to the harness too, so it is an upper bound for the Watcher's.
"""

from __future__ import annotations

from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import stream_lines

LOG = "llm.log"


def served_completions(view: RunView) -> int | None:
    """Finished completions, or None where the log cannot say: rotated, missing, or silent.

    A server that logs its timings shows at least those of the harness's own readiness probes.
    """
    path = view.run.logs / LOG
    if path.with_name(f"{LOG}.1").exists():
        return None
    count = sum(
        b"print_timing" in line and b"total time" in line for _, line, _ in stream_lines(path)
    )
    return count or None
