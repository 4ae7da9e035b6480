"""Writes the lock of each image out of the project's own, so that versions never diverge.

For scripts/lock, and for the test that they agree. An image has one Python and one platform, so
what the lock says for others is left out, and with it every marker. Must not know: where packages
come from.

    python scripts/image_locks.py          # writes images/*/requirements.lock
    python scripts/image_locks.py --check  # exit 1 when one is not what it should be
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
# What each image's programs import, with what that needs itself. The injector carries the agent
# that lives a run inside the pod; what it does without (plots, pages, tables) stays out.
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
    """The image's lock, cut from `locked`. Raises `KeyError` for what is not locked there."""
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
    """Writes, or with `--check` compares; the exit code."""
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
