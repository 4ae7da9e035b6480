"""How many completions the LLM server really finished, by its own log.

The one witness of an answer that the daemon cannot write: the server's output is captured by the
harness. It counts the answers to the harness too, so it is an upper bound for the daemon's.
"""

from chaos.record.open_run import OpenRun

LOG = "llm.log"


def served_completions(run: OpenRun) -> int | None:
    """Finished completions, or None where the log cannot say: rotated, missing, or silent.

    A server that logs its timings shows at least those of the harness's own readiness probes.
    """
    path = run.run.logs / LOG
    if path.with_name(f"{LOG}.1").exists():
        return None
    try:
        with path.open("rb") as stream:
            return sum(b"print_timing" in line and b"total time" in line for line in stream) or None
    except OSError:
        return None
