"""Build the command line of the guardian. Only this module and guardian.py know it."""

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
    """The argv for `os.execv(argv[0], argv)` that runs `inner` inside a sandbox.

    `expect` is a file that exists once the run was judged. If the inner command ends without it
    (killed, out of memory, a defect), `on_crash` runs outside the sandbox and judges the record,
    and the exit code is 4. `user_namespace` comes from `probe.require`.
    """
    argv = [sys.executable, "-S", "-E", str(Path(__file__).with_name("guardian.py"))]
    argv += ["--mode", mode, "--run-id", run_id]
    if user_namespace:
        argv.append("--user")
    if expect is not None:
        argv += ["--expect", str(expect)]
    if on_crash:
        argv += ["--on-crash", str(len(on_crash)), *on_crash]
    return [*argv, "--inner", str(len(inner)), *inner]
