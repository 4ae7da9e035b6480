"""The cache has one writer and complete files; only an unchanged file keeps its checksum."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from chaos.assets import cache as store
from chaos.base.errors import EnvironmentProblem


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CHAOS_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/chaos-gate"),
        ({"HOME": "/c"}, "/c/.cache/chaos-gate"),
    ],
)
def test_the_cache_path_follows_the_environment(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHAOS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert store.cache_dir() == Path(expected)


def test_a_second_process_waits_for_the_cache_and_reports_it(cache: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with store.exclusive(waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with store.exclusive(lambda: None):
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def test_waiting_for_the_cache_has_a_timeout(cache: Path) -> None:
    with (
        store.exclusive(lambda: None),
        pytest.raises(EnvironmentProblem, match="another set-up"),
        store.exclusive(lambda: None, wait_s=0.01),
    ):
        pytest.fail("two hold the cache")


def test_work_folders_are_removed_also_those_of_killed_processes(
    cache: Path,
) -> None:
    (cache / "work-of-a-killed-one").mkdir(parents=True)
    with store.exclusive(lambda: None) as work:
        assert [work] == list(cache.glob("work-*"))
        (work / "half a file").write_bytes(b"x")
    assert not list(cache.glob("work-*"))


def test_a_cache_that_cannot_be_made_is_an_environment_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CHAOS_CACHE", str(tmp_path / "file" / "cache"))
    with (
        pytest.raises(EnvironmentProblem, match="CHAOS_CACHE=DIR"),
        store.exclusive(lambda: None),
    ):
        pytest.fail("held a cache that cannot exist")


def test_a_checksum_is_kept_until_the_file_changes(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"one")
    assert store.known_sha256(path) is None
    first = store.compute_sha256(path)
    assert store.known_sha256(path) == first == store.sha256_of(path)

    before = path.stat()
    path.write_bytes(b"two")  # the same size; the old time stamp is restored below
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.known_sha256(path) is None
    assert store.compute_sha256(path) != first


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"sha256": 7}'])
def test_a_damaged_stored_checksum_is_ignored(cache: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"one")
    sha256 = store.compute_sha256(path)
    (stamp,) = (cache / "stamps").iterdir()
    stamp.write_text(damage)
    assert store.known_sha256(path) is None
    assert store.compute_sha256(path) == sha256
