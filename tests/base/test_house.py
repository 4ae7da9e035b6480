"""House rules that no tool checks: addresses, paths, sizes, locks, the top level, images."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.checkout import checkout_files

TOP_LEVEL = {
    ".ci",
    ".dockerignore",
    ".gitignore",
    "docker-compose.gpu.yml",
    "docker-compose.yml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "action.yml",  # where GitHub looks for an action
    "benchmarks",
    "chaos",
    "docs",
    "examples",
    "experiments",
    "images",
    "mkdocs.yml",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
    "scripts",
    "tests",
}
LINES_MAX = 500
# Written apart so that this file does not contain what it looks for.
REGISTRIES = re.compile(
    "|".join(
        (
            r"py" + r"pi\.(org|io)",
            r"python" + r"hosted\.org",
            r"pro" + r"xy\.golang",
            r"s" + r"um\.golang",
            r"deb" + r"\.debian\.org",
            r"crates" + r"\.io",
            r"npmjs" + r"\.(org|com)",
            r"index" + r"-url\s+http",
        )
    )
)
MACHINE_PATHS = re.compile("(?<![\\w.])(" + "/wo" + "rk/|/ro" + "ot/|/ho" + "me/\\w|/tm" + "p/lab)")


@pytest.fixture(scope="module")
def files(repo: Path) -> list[Path]:
    """Every text file of the project: tracked, or new and not ignored."""
    paths = [repo / name for name in checkout_files(repo)]
    found = [path for path in paths if b"\0" not in path.read_bytes()[:8192]]
    assert len(found) > 50
    return found


def offenders(files: list[Path], repo: Path, pattern: re.Pattern[str]) -> list[str]:
    """`file:line: text` of every match."""
    return [
        f"{path.relative_to(repo)}:{number}: {line.strip()[:120]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry(files: list[Path], repo: Path) -> None:
    assert offenders(files, repo, REGISTRIES) == []


def test_no_file_names_a_path_of_somebodys_machine(files: list[Path], repo: Path) -> None:
    assert offenders(files, repo, MACHINE_PATHS) == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert REGISTRIES.search("https://py" + "pi.org/simple")
    assert MACHINE_PATHS.search("see /ro" + "ot/x") and MACHINE_PATHS.search('"/wo' + 'rk/main"')
    assert not MACHINE_PATHS.search("images/watcher/ro" + "ot/x")


def test_no_python_file_is_longer_than_a_reader_can_hold(files: list[Path], repo: Path) -> None:
    lengths = {
        str(path.relative_to(repo)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
        if path.suffix == ".py" and path.relative_to(repo).parts[0] != "tests"
    }
    assert {name: length for name, length in lengths.items() if length > LINES_MAX} == {}


def test_the_programs_under_images_know_nothing_of_the_harness(repo: Path) -> None:
    """A user's own Watcher must be able to stand in their place."""
    programs = sorted((repo / "images").rglob("*.py"))
    assert programs
    assert [str(path.relative_to(repo)) for path in programs if "chaos" in imported(path)] == []


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(
    "name",
    [
        "requirements.lock",
        "requirements-dev.lock",
        "chaos/assets/wheels.lock",
        "images/injector/requirements.lock",
        "images/llm/requirements.lock",
        "images/watcher/requirements.lock",
        "images/watcher/requirements.cuda.lock",
    ],
)
def test_every_locked_requirement_has_one_version_and_hashes_and_no_address(
    name: str, repo: Path
) -> None:
    text = (repo / name).read_text(encoding="utf-8")
    assert "://" not in text and not re.search(r"(?m)^\s*-(?!-hash=sha256:)", text)
    entries = re.split(r"(?m)^(?=[A-Za-z])", text)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^\s;]+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry


def test_every_declared_dependency_is_locked(repo: Path) -> None:
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    for lock, declared in (
        ("requirements.lock", project["project"]["dependencies"] + groups["build"]),
        ("requirements-dev.lock", groups["dev"]),
    ):
        text = (repo / lock).read_text(encoding="utf-8").lower()
        for requirement in declared:
            name = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()
            assert re.search(rf"(?m)^{re.escape(name)}==", text), f"{requirement} not in {lock}"


def test_the_top_level_stays_as_it_is(files: list[Path], repo: Path) -> None:
    """A new name at the top is a decision: take it here, too."""
    assert {path.relative_to(repo).parts[0] for path in files} <= TOP_LEVEL


def test_every_module_says_first_what_it_is_for(repo: Path) -> None:
    silent = [
        str(path.relative_to(repo))
        for folder in ("chaos", "images")
        for path in sorted((repo / folder).rglob("*.py"))
        if path.read_text(encoding="utf-8").strip()
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []
