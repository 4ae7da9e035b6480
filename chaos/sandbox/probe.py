"""Find out if this machine allows a private sandbox, by making one. Starts no run."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chaos.base.errors import EnvironmentProblem
from chaos.sandbox.guardian import NAMESPACES

_LIMIT_S = 5.0
# enter.py needs to mount. Some systems grant a user namespace without that right.
_TRIAL = ("mount", "-t", "tmpfs", "-o", "size=64k", "chaos-probe", "/tmp")

_SYSCTLS = {
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "/proc/sys/kernel/unprivileged_userns_clone": (
        "0",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=15000"),
}


@dataclass(frozen=True)
class Namespaces:
    """Namespaces are available. `user`: only with a user namespace (no root, or a limited root)."""

    user: bool


@dataclass(frozen=True)
class Refused:
    """Namespaces are not available; the reason, and what the user can do."""

    reason: str
    next_step: str


def probe() -> Namespaces | Refused:
    """Make a sandbox with a mount in it, and remove it. Takes about 10 ms."""
    for tool in ("unshare", "setpriv"):
        if shutil.which(tool) is None:
            return Refused(
                f"{tool} is not installed", "install util-linux, or use --sandbox none (weaker)"
            )
    attempts = (False, True) if os.geteuid() == 0 else (True,)
    reason = ""
    for user in attempts:
        reason = _attempt(user=user)
        if not reason:
            return Namespaces(user)
    return Refused(f"no private namespaces here: {reason}", _next_step())


def require() -> Namespaces:
    """Like `probe`, but raises `EnvironmentProblem` (exit 4) if namespaces are not available."""
    result = probe()
    if isinstance(result, Refused):
        raise EnvironmentProblem(result.reason, next_step=result.next_step)
    return result


def _attempt(*, user: bool) -> str:
    """Make the sandbox. Returns why it failed, or "" if it worked."""
    flags = ["--user", "--map-root-user"] if user else []
    try:
        completed = subprocess.run(
            ["unshare", *flags, *NAMESPACES, *_TRIAL],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"unshare did not end within {_LIMIT_S:g} s"
    if completed.returncode == 0:
        return ""
    lines = completed.stderr.strip().splitlines()
    return lines[-1] if lines else f"unshare ended with exit code {completed.returncode}"


def _next_step() -> str:
    root = "" if os.geteuid() == 0 else "run as root, or "
    for path, (bad, command) in _SYSCTLS.items():
        setting = Path(path)
        if setting.exists() and setting.read_text().strip() == bad:
            return f"as root: {command}; or {root}use --sandbox none (weaker)"
    return f"{root}use --sandbox none (weaker: a killed run may leave processes)"
