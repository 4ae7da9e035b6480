"""The workspace: placeholders, installed programs, merged policies, bounded collection."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.record.target import Install, PolicyFile, Target, Workspace
from chaos.sandbox.guardian import MODE_VARIABLE
from chaos.stack import workspace
from chaos.stack.workspace import collect, fill, fill_words, filling, install, merge_policies


def test_lone_placeholder_keeps_its_type() -> None:
    """A number in the settings is a number in the policies."""
    filled = fill({"a": "{n}", "b": ["{n} s", True]}, {"n": 3}, place="x")
    assert filled == {"a": 3, "b": ["3 s", True]}


def test_command_words_become_text_and_other_braces_stay() -> None:
    """A shell or JSON fragment in a command is left alone."""
    assert fill_words(["{n}", '{"k": 1}', "{}"], {"n": 3}, place="x") == ["3", '{"k": 1}', "{}"]


def test_unknown_placeholder_is_an_error_with_the_nearest_name() -> None:
    """With the place of the profile."""
    with pytest.raises(UsageError, match="unknown placeholder 'pyton'") as caught:
        fill("{pyton}", {"python": "p", "workspace": "w"}, place="target tiny")
    assert "did you mean 'python'?" in str(caught.value)
    assert "target tiny" in str(caught.value)


def test_install_copies_programs_without_compiled_ones(
    tiny_target: Target, tiny_images: Path, tmp_path: Path
) -> None:
    """Compiled files of another place would hide changes."""
    target_folder = tmp_path / "w"
    installed = install(tiny_target, tiny_images, target_folder)
    assert {"tiny_watcher.py", "policies.json"} <= installed
    assert (target_folder / "tiny_watcher.py").is_file()
    assert not (target_folder / "__pycache__").exists()


def test_missing_source_is_an_error(tiny_target: Target, tiny_images: Path, tmp_path: Path) -> None:
    """With the key of the profile."""
    wrong = replace(
        tiny_target, workspace=Workspace(size_mb=16, install=[Install(source="nope", to=".")])
    )
    with pytest.raises(UsageError, match=r"workspace\.install.*nope"):
        install(wrong, tiny_images, tmp_path / "w")


@pytest.mark.parametrize("own_volume", [True, False])
def test_full_workspace_is_one_message(tiny_target: Target, own_volume: bool) -> None:
    """Not a list of copy errors; ENOSPC stands for the full volume."""
    why = os.strerror(errno.ENOSPC)
    with pytest.raises(ChaosError) as caught, filling(tiny_target, own_volume=own_volume):
        raise shutil.Error([(f"/from/{n}", f"/to/{n}", f"[Errno 28] {why}") for n in range(100)])
    assert isinstance(caught.value, UsageError) == own_volume
    assert len(str(caught.value)) < 250
    if own_volume:
        assert caught.value.message == "the workspace is full: raise workspace.size_mb (now 16)"
    with pytest.raises(UsageError), filling(tiny_target, own_volume=True):
        raise OSError(errno.ENOSPC, why, "/to/policies.json")


def test_other_errors_of_the_installation_name_the_first_reason(tiny_target: Target) -> None:
    refused = pytest.raises(EnvironmentProblem, match="cannot be made: Permission denied")
    with refused, filling(tiny_target, own_volume=True):
        raise shutil.Error([("a", "b", "Permission denied"), ("c", "d", "other")])


def test_source_that_the_sandbox_hides_is_said_to_be_hidden(
    tiny_target: Target, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MODE_VARIABLE` stands for the sandbox: there, no such path exists below /tmp."""
    monkeypatch.setenv(MODE_VARIABLE, "namespaces")
    for source, hidden in (("/tmp/no-such-folder", True), ("/nowhere/folder", False)):
        lacks = Workspace(size_mb=16, install=[Install(source=source, to=".")])
        with pytest.raises(UsageError) as caught:
            install(replace(tiny_target, workspace=lacks), tiny_images, tmp_path / "w")
        assert (f"which hide {source}" in caught.value.next_step) == hidden


def test_policies_are_merged_not_replaced(tiny_target: Target, tmp_path: Path) -> None:
    """Dotted keys go into nested objects; what the Watcher brought stays."""
    path = tmp_path / "policies.json"
    path.write_text('{"llm": {"attempts": 2}, "other": 1}')
    merge_policies(tiny_target, tmp_path, {"llm_timeout_s": 4})
    assert json.loads(path.read_text()) == {"llm": {"attempts": 2, "timeout": 4}, "other": 1}


def test_missing_policies_file_is_created(tiny_target: Target, tmp_path: Path) -> None:
    """A Watcher may come without."""
    merge_policies(tiny_target, tmp_path, {"llm_timeout_s": 4})
    assert json.loads((tmp_path / "policies.json").read_text()) == {"llm": {"timeout": 4}}


@pytest.mark.parametrize("content", ["{not json", '{"llm": 5}'])
def test_malformed_policies_are_an_error(tiny_target: Target, tmp_path: Path, content: str) -> None:
    """Neither guessed at nor overwritten."""
    (tmp_path / "policies.json").write_text(content)
    with pytest.raises(EnvironmentProblem, match="policies"):
        merge_policies(tiny_target, tmp_path, {"llm_timeout_s": 4})
    assert (tmp_path / "policies.json").read_text() == content


def test_target_without_policies_changes_no_file(tiny_target: Target, tmp_path: Path) -> None:
    """A profile without policies."""
    merge_policies(replace(tiny_target, policies=PolicyFile(path="p.json")), tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def filled_workspace(folder: Path) -> Path:
    root = folder / "w"
    (root / "queue" / "archive").mkdir(parents=True)
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.pyc").write_bytes(b"c")
    (root / "program.py").write_text("code")
    (root / "policies.json").write_text("{}")
    (root / "queue" / "archive" / "r1.json").write_text("{}")
    (root / "made.py").write_text("data, though it looks like a program")
    return root


def collected(destination: Path) -> set[str]:
    files = {str(p.relative_to(destination)) for p in destination.rglob("*") if p.is_file()}
    return files - {"_collected.json"}


def note(destination: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((destination / "_collected.json").read_text())
    return loaded


def test_collect_copies_data_but_no_programs(tmp_path: Path) -> None:
    """An installed file that is no program may have been changed: it is data."""
    destination = tmp_path / "a"
    destination.mkdir()
    collect(filled_workspace(tmp_path), destination, {"program.py", "policies.json"})
    assert collected(destination) == {"policies.json", "queue/archive/r1.json", "made.py"}
    assert note(destination)["left_out"] == []


def test_collect_follows_no_link_and_opens_no_pipe(tmp_path: Path) -> None:
    """A link could lead to host files, and a pipe could block. Both are listed as left out."""
    root, destination = filled_workspace(tmp_path), tmp_path / "a"
    destination.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("host")
    (root / "link").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    collect(root, destination, {"program.py"})
    assert collected(destination) == {"policies.json", "queue/archive/r1.json", "made.py"}
    assert note(destination)["left_out"] == [
        "link: not a regular file",
        "pipe: not a regular file",
    ]


def test_collection_is_limited_and_lists_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flooded workspace must not flood the run directory."""
    root, destination = tmp_path / "w", tmp_path / "a"
    root.mkdir()
    destination.mkdir()
    for number in range(5):
        (root / f"f{number}").write_bytes(b"x" * 100)
    monkeypatch.setattr(workspace, "_COLLECT_BYTES_MAX", 250)
    collect(root, destination, set())
    assert collected(destination) == {"f0", "f1", "f2"}
    assert note(destination) == {
        "files": 3,
        "bytes": 250,
        "left_out": [
            "f2: cut, the limit is reached",
            "f3 and what follows: the limit is reached",
        ],
    }
    monkeypatch.setattr(workspace, "_COLLECT_FILES_MAX", 2)
    other = tmp_path / "b"
    other.mkdir()
    collect(root, other, set())
    assert collected(other) == {"f0", "f1"}


def test_unreadable_files_are_listed_before_irregular_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of pipes must not push the losses out of the note."""
    root, destination = tmp_path / "w", tmp_path / "a"
    (root / "z_folder").mkdir(parents=True)
    destination.mkdir()
    for number in range(3):
        os.mkfifo(root / f"pipe{number}")
    scandir = os.scandir

    def scanned(path: str | Path) -> object:
        if str(path).endswith("z_folder"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scanned)
    monkeypatch.setattr(workspace, "_NOTED_MAX", 2)
    collect(root, destination, set())
    assert note(destination)["left_out"] == [
        "z_folder/ and what is in it: Permission denied",
        "pipe0: not a regular file",
    ]
