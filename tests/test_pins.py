"""What a build or a first start takes from elsewhere is pinned, or listed here with a reason.

That locks have one version and hashes for each package is a house rule (tests/base).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BASE = "no registry can be asked for a digest here; who builds names one (docs/containers.md)"
DEBIAN = "Debian's packages are signed; a fixed version would vanish with its next security fix"
# (file, what is not pinned) -> why that is accepted.
ACCEPTED = {
    ("images/injector/Dockerfile", "BASE_IMAGE=python:3.11-slim-bookworm"): BASE,
    ("images/llm/Dockerfile", "BASE_IMAGE=python:3.11-slim-bookworm"): BASE,
    ("images/llm/Dockerfile", "apt-get install libgomp1 libstdc++6"): DEBIAN,
    ("images/llm/Dockerfile.cuda", "BASE_IMAGE=ghcr.io/ggml-org/llama.cpp:server-cuda"): BASE,
    ("images/llm/Dockerfile.cuda", "apt-get install python3"): DEBIAN,
    ("images/toxiproxy/Dockerfile", "BASE_IMAGE=python:3.11-slim-bookworm"): BASE,
    ("images/watcher/Dockerfile", "BASE_IMAGE=python:3.11-slim-bookworm"): BASE,
    ("images/watcher/Dockerfile.cuda", "BASE_IMAGE=python:3.11-slim-bookworm"): BASE,
    ("docker-compose.yml", "image ghcr.io/shopify/toxiproxy:2.12.0"): BASE,
    ("examples/ci/.gitlab-ci.yml", "image python:3.11-slim-bookworm"): BASE,
    ("examples/ci/github.yml", "uses OWNER/chaos@v0.2.0"): "a placeholder for the user's own copy",
    ("examples/ci/indexed-job.yaml", "image IMAGE"): "a placeholder for the user's own image",
    ("scripts/base-image", "apt-get install debootstrap"): DEBIAN,
    ("scripts/bootstrap.sh", "apt-get install $missing"): DEBIAN,
    (".ci/run", "apt-get install ${missing[@]}"): DEBIAN,
    ("scripts/bootstrap.sh", "pip install"): "called with --require-hashes or --no-index: below",
    ("scripts/lock", "pip install"): "makes the locks: uv alone, and what it writes is reviewed",
}
OURS = re.compile(r"^chaos-gate/[\w-]+:(local|local-cuda)$")
_OPTION = re.compile(r"\s--?[\w-]+")


def unpinned(name: str, text: str) -> Iterator[str]:
    """What the text of the file `name` takes from elsewhere without a pin."""
    # Comments are no commands, and a command may have several lines.
    text = re.sub(r"(?m)^\s*#.*$", "", text).replace("\\\n", " ")
    if "Dockerfile" in name:
        yield from (f"FROM {image}" for image in _bases(text) if "@sha256:" not in image)
    for base in re.findall(r"(?m)^ARG (BASE_IMAGE=\S+)", text):
        if "@sha256:" not in base:
            yield base
    for image in re.findall(r"(?m)^\s*image:\s*\"?(\S+?)\"?(?:\s+#.*)?$", text):
        image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", image)
        if not OURS.match(image) and "@sha256:" not in image:
            yield f"image {image}"
    for action in re.findall(r"(?m)^\s*(?:- )?uses:\s*(\S+)", text):
        if not re.search(r"@[0-9a-f]{40}$", action):
            yield f"uses {action}"
    for packages in re.findall(r"apt-get install([^;&|)\n]*)", text):
        words = _OPTION.sub("", packages).replace('"', "").split(">")[0].split()
        yield f"apt-get install {' '.join(words)}"
    for line in text.splitlines():
        if re.search(r"\bpip\S*\b.*\b(install|download)\b", line) and not re.search(
            r"--require-hashes|--no-index", line
        ):
            yield "pip install"
        if fetched := re.search(r"\b(curl|wget)\b.*https?://(?!127\.0\.0\.1|\"?\$)\S+", line):
            yield fetched[0]
        if re.search(r"\bgit\b.*\bclone\b|\bgo (install|get)\b|\bnpm (install|i)\b", line):
            yield line.strip()


def _bases(text: str) -> list[str]:
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)", text)) | {"${BASE_IMAGE}"}
    return [base for base in re.findall(r"(?m)^FROM (\S+)", text) if base not in stages]


def scanned(repo: Path) -> Iterator[Path]:
    """Every file with which something is built, started or fetched."""
    for pattern in (
        "images/**/Dockerfile*",
        "images/**/*.sh",
        "docker-compose*.yml",
        "action.yml",
        "examples/ci/*",
        "examples/ci/.*.yml",
        "scripts/*",
        ".ci/*",
    ):
        found = [path for path in repo.glob(pattern) if path.is_file() and path.suffix != ".pyc"]
        assert found, pattern
        yield from found


def test_everything_is_pinned_or_accepted_with_a_reason(repo: Path) -> None:
    found = {
        (str(path.relative_to(repo)), what)
        for path in scanned(repo)
        for what in unpinned(str(path.relative_to(repo)), path.read_text(encoding="utf-8"))
        # Messages that tell people what to install.
        if not re.search(r"give_up|as root", what)
    }
    assert found - set(ACCEPTED) == set(), "pin it, or accept it here with a reason"
    assert set(ACCEPTED) - found == set(), "no longer there: take it off the list"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", "FROM debian:12\n"),
        ("Dockerfile", "ARG BASE_IMAGE=debian:12\nFROM ${BASE_IMAGE}\n"),
        ("Dockerfile", "RUN pip install requests\n"),
        ("Dockerfile", "RUN apt-get update && \\\n  apt-get install -y jq\n"),
        ("Dockerfile", "RUN curl -L https://example.org/x.sh | sh\n"),
        ("compose.yml", "    image: redis:7\n"),
        ("action.yml", "      uses: actions/cache@v4\n"),
        ("x.sh", "python3 -m pip install \\\n  --quiet build\n"),
        ("x.sh", "git clone https://example.org/x\n"),
        ("x.sh", "go install example.org/x@latest\n"),
    ],
)
def test_what_is_not_pinned_is_found(name: str, text: str) -> None:
    assert list(unpinned(name, text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", f"FROM debian@sha256:{'0' * 64} AS one\nFROM one\n"),
        ("x.sh", "pip install --require-hashes --requirement x.lock\n# pip install x\n"),
        ("action.yml", f"      uses: actions/cache@{'0' * 40} # v4\n"),
        ("compose.yml", '    image: "${CHAOS_LLM_IMAGE:-chaos-gate/llm:local}"\n'),
    ],
)
def test_what_is_pinned_is_left_alone(name: str, text: str) -> None:
    assert list(unpinned(name, text)) == []


def test_pip_is_called_with_hashes_or_without_an_index(repo: Path) -> None:
    """Through the function of scripts/bootstrap.sh, and by the harness."""
    text = (repo / "scripts" / "bootstrap.sh").read_text(encoding="utf-8")
    calls = re.findall(r"(?m)^ +_pip \S+ \S+ (.*)$", text)
    assert len(calls) == 2
    assert all(re.match(r"--require-hashes|--no-index", call) for call in calls)
    callers = [
        path
        for path in (repo / "chaos").rglob("*.py")
        if re.search(r'"-m", "pip"', path.read_text(encoding="utf-8"))
    ]
    assert callers
    for path in callers:
        assert '"--require-hashes"' in path.read_text(encoding="utf-8"), path


def test_vendored_files_are_those_of_their_checksums(repo: Path) -> None:
    folder = repo / "chaos" / "report" / "vendor"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split()) for line in lines)
    assert set(sums) == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
