"""The folder of a state: found, locked, and never half written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.version import __version__
from chaos.record import state_folder
from chaos.record.state_folder import StateFolder


class Trip(msgspec.Struct):
    chaos: str
    miles: int = 0


TRIPS = StateFolder("trip", Trip)


def begun(root: Path, miles: int = 0) -> Path:
    folder, _ = TRIPS.begin(root, 7)
    TRIPS.write(folder, Trip(__version__, miles))
    return folder


def test_a_new_folder_is_named_by_time_and_seed(tmp_path: Path) -> None:
    folder, created = TRIPS.begin(tmp_path, 7)
    assert folder.parent == tmp_path / "trip"
    stamp, seed, _ = folder.name.rsplit("-", 2)
    assert created.translate(str.maketrans("", "", "-:TZ")) == stamp.replace("-", "")
    assert seed == "s7"


def test_a_folder_is_found_by_path_name_and_latest(tmp_path: Path) -> None:
    first = begun(tmp_path)
    later = first.with_name("9" + first.name[1:])
    later.mkdir()
    TRIPS.write(later, Trip(__version__, 2))
    (tmp_path / "trip" / "zzz").mkdir()  # without a state it is none
    assert TRIPS.find(str(first), tmp_path) == first
    assert TRIPS.find(first.name, tmp_path) == first
    assert TRIPS.find("latest", tmp_path) == later
    assert TRIPS.read(later).miles == 2
    for name in ("nowhere", "x" * 5000, ""):
        with pytest.raises(UsageError):
            TRIPS.find(name, tmp_path)
    with pytest.raises(UsageError, match="no trip at 'latest'"):
        TRIPS.find("latest", tmp_path / "elsewhere")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"miles": 1}', "\x00"])
def test_a_damaged_state_is_named_with_its_place(content: str, tmp_path: Path) -> None:
    folder = begun(tmp_path)
    (folder / "trip.json").write_text(content)
    with pytest.raises(UsageError, match="not the state of a trip") as caught:
        TRIPS.read(folder)
    assert caught.value.place == str(folder / "trip.json")


def test_a_state_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path)
    monkeypatch.setattr(state_folder, "__version__", "99.0")
    with pytest.raises(UsageError, match=r"was begun by chaos .*, this is 99\.0"):
        TRIPS.read(folder)


def test_a_state_that_cannot_be_written_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path, 1)
    (folder / "trip.json").unlink()
    (folder / "trip.json").mkdir()
    with pytest.raises(EnvironmentProblem, match="cannot write the state of the trip") as caught:
        TRIPS.write(folder, Trip(__version__, 2))
    assert f"chaos trip --resume {folder}" in caught.value.next_step


def test_one_process_works_on_a_folder(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    second = TRIPS.locked(folder)
    message = "somebody works on this trip already"
    with TRIPS.locked(folder), pytest.raises(UsageError, match=message):
        second.__enter__()
    with TRIPS.locked(folder):
        pass
