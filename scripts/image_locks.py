"""Writes the lock of each image from the project's own lock, so that both have equal versions.

scripts/lock calls it, and a test checks the result. An image has one Python and one platform, so
packages for others and all markers are omitted. Must not know where packages come from.

    python scripts/image_locks.py          # writes images/*/requirements.lock
    python scripts/image_locks.py --check  # exit 1 if a lock is not up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
# The packages that each image's programs import, with their dependencies. The injector's image also
# has the agent of a run in the pod, but not the packages for pages and tables.
IMAGES = {
    "injector": (
        *("certifi", "charset-normalizer", "future", "h11", "idna", "loguru", "msgspec"),
        *("nvidia-ml-py", "psutil", "pyyaml", "requests", "toxiproxy-python", "urllib3"),
    ),
    "llm": ("xllamacpp",),
    "watcher": ("loguru", "numpy"),
}
ENVIRONMENT = {
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


def lock_of(image: str, locked: str) -> str:
    """Return the image's lock from the text `locked`. Raises `KeyError` for an unlocked package."""
    entries: dict[str, str] = {}
    for entry in re.split(r"(?m)^(?=[A-Za-z])", locked)[1:]:
        head, *hashes = entry.splitlines()
        requirement = Requirement(head.rstrip("\\ "))
        marker = requirement.marker
        if marker is None or marker.evaluate(dict(ENVIRONMENT)):
            pinned = f"{requirement.name}{requirement.specifier} \\"
            entries[requirement.name.lower()] = "\n".join([pinned, *hashes]) + "\n"
    return "".join(entries[name] for name in sorted(IMAGES[image]))


def main() -> int:
    """Write the locks, or compare them with `--check`, and return the exit code."""
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    stale = []
    for image in IMAGES:
        path = ROOT / "images" / image / "requirements.lock"
        text = lock_of(image, locked)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path.relative_to(ROOT)))
            if "--check" not in sys.argv[1:]:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv[1:]:
        print(f"not what requirements.lock says: {', '.join(stale)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
