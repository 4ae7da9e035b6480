"""How the guardian is called: the one place that knows its command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Mode = Literal["namespaces", "plain"]


def guardian_argv(
    inner: Sequence[str],
    *,
    run_id: str,
    mode: Mode,
    user_namespace: bool = False,
    expect: Path | None = None,
    on_crash: Sequence[str] = (),
) -> list[str]:
    """The words to `os.execv(argv[0], argv)`; `inner` then runs inside the sandbox.

    `expect` is the file that exists once the run was judged: if the inner command ends without
    it (killed, out of memory, a defect), `on_crash` is run outside to judge what is there, and
    the exit code is 4. `user_namespace` comes from `probe.require`.
    """
    words = [sys.executable, "-S", "-E", str(Path(__file__).with_name("guardian.py"))]
    words += ["--mode", mode, "--run-id", run_id]
    if user_namespace:
        words.append("--user")
    if expect is not None:
        words += ["--expect", str(expect)]
    if on_crash:
        words += ["--on-crash", str(len(on_crash)), *on_crash]
    return [*words, "--inner", str(len(inner)), *inner]
