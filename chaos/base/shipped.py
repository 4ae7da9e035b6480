"""Where the files that come with the package lie, and which commit they are of."""

import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
IMAGES = REPO / "images"
EXPERIMENTS = REPO / "experiments"
GIT_LIMIT_S = 10.0


def git(repo: Path, *args: str) -> str | None:
    """Output of `git ARGS` in `repo`; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", "-c", f"safe.directory={repo}", "-C", str(repo), *args],
            capture_output=True,
            text=True,
            timeout=GIT_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def revision(repo: Path) -> str | None:
    """The commit that is checked out; None outside a checkout."""
    return git(repo, "rev-parse", "HEAD")
