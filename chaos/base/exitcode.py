"""Exit codes: the one answer that a CI job reads. Knows nothing of how a verdict is reached."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes of every `chaos` command (table in the README)."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    GUARDRAIL = 5
    CLEANUP_INCOMPLETE = 6
    INTERRUPTED = 130
