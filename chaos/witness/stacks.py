"""Where a process is: the stacks of a Python program, and what the kernel says that it waits for.

The stacks are py-spy's, which reads them from outside and stops the program for milliseconds.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_LIMIT_S = 3.0
_LINES_MAX = 60
_THREADS_MAX = 40


def stacks_of(pid: int) -> dict[str, Any]:
    """`threads`: for each its state and the kernel function that it waits in, as in
    /proc/PID/wchan. `python`: the lines of its stacks, or `absent`: why there are none.
    """
    return {"threads": _waits(pid), **_python(pid)}


def _waits(pid: int) -> list[str]:
    threads = []
    for task in sorted(Path(f"/proc/{pid}/task").glob("*"))[:_THREADS_MAX]:
        try:
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            waits_in = (task / "wchan").read_text().strip("0\n")
        except OSError:
            continue  # it has ended
        threads.append(f"{task.name}: {state}{f', waits in {waits_in}' if waits_in else ''}")
    return threads


def _python(pid: int) -> dict[str, Any]:
    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.is_file() else shutil.which("py-spy")
    if program is None:
        return {"absent": "py-spy is not installed"}
    try:
        done = subprocess.run(
            [program, "dump", "--pid", str(pid), "--nonblocking"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"absent": f"py-spy: {error}"}
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        return {"absent": f"py-spy: {reason[0] if reason else f'exit code {done.returncode}'}"}
    lines = [line for line in done.stdout.splitlines() if line.startswith(("Thread", " "))]
    return {"python": lines[:_LINES_MAX]}
