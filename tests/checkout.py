"""The files of this checkout."""

import subprocess
from pathlib import Path


def checkout_files(repo: Path) -> list[str]:
    """Names of the files that git has or would take: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repo,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout.decode()
    return [name for name in filter(None, listed.split("\0")) if (repo / name).is_file()]
