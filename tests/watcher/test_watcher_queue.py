"""Validation of request files, and their moves through the queue's folders."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from agents import files
from agents.request import NAME_LIMIT, SIZE_LIMIT_BYTES, Request, Unusable, read_request
from agents.request_queue import Poison, RequestQueue
from agents.writers import has_writer

GOOD: dict[str, Any] = {"request_type": "selfplay", "source": "s", "parameters": {"episodes": 3}}


def encoded(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@pytest.fixture
def queue(tmp_path: Path) -> RequestQueue:
    request_queue = RequestQueue(tmp_path)
    request_queue.create_folders()
    return request_queue


def test_a_request_is_read_with_its_parameters_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(encoded(sequence_number="17", reason="why"))
    expected = Request("a.json", "selfplay", "s", 17, "why", 3, policy_conditioned=False)
    assert read_request(path) == expected
    path.write_bytes(b'{"request_type": "learning_loop"}')
    bare = read_request(path)
    assert (bare.sequence, bare.source, bare.kind) == (None, "unknown", "learning_loop")


@pytest.mark.parametrize(
    ("content", "settled"),
    [
        (b"", False),
        (b'{"request_type": "self', False),
        (encoded()[:-1] + b"\xff\xfe", False),
        (encoded() + b"\0" * 64, False),
        (b"\0" * 64, False),
        (b"[" * 100_000, False),
        (b"[]", True),
        (b'"text"', True),
        (b"null", True),
        (b"{}", True),
        (encoded(request_type="pipeline_rerun"), True),
        (encoded(request_type=["selfplay"]), True),
        (encoded(parameters=[]), True),
        (encoded(parameters={"episodes": "many"}), True),
        (encoded(parameters={"episodes": 0}), True),
        (encoded(parameters={"episodes": True}), True),
        (encoded(parameters={"episodes": 10**9}), True),
        (encoded(parameters={"policy_conditioned": "yes"}), True),
        (encoded(sequence_number=-1), True),
        (encoded(sequence_number=1.5), True),
        (encoded(sequence_number={"n": 1}), True),
        (encoded(source=7), True),
        (encoded(reason="x" * SIZE_LIMIT_BYTES), True),
    ],
)
def test_an_invalid_request_is_rejected(tmp_path: Path, content: bytes, settled: bool) -> None:
    """`settled` says if waiting for a slow writer is useless."""
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(Unusable) as caught:
        read_request(path)
    assert caught.value.settled is settled


def test_pipes_links_and_folders_are_rejected_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to("/nowhere")
    (tmp_path / "folder.json").mkdir()
    for name in ("pipe.json", "link.json", "folder.json"):
        with pytest.raises(Unusable, match="regular file"):
            read_request(tmp_path / name)


def test_the_order_of_arrival_ignores_future_modification_times(queue: RequestQueue) -> None:
    """Files seen by an earlier scan come first, whatever their modification time."""
    first = queue.pending / "z_first.json"
    first.write_bytes(encoded())
    os.utime(first, (time.time() + 1e6, time.time() + 1e6))
    queue.scan()
    for number, name in enumerate(("b.json", "a.json", "c.json")):
        path = queue.pending / name
        path.write_bytes(encoded())
        os.utime(path, ns=(10**18 + number, 10**18 + number))
    queue.scan()
    assert queue.pending_names() == ["z_first.json", "b.json", "a.json", "c.json"]


def test_poison_at_the_head_blocks_no_other_request(queue: RequestQueue) -> None:
    """A torn file is skipped while it may still grow, and is poison once it has settled."""
    (queue.pending / "0.json").write_bytes(b'{"request_type":')
    (queue.pending / "1.json").write_bytes(encoded())
    queue.scan()
    second = queue.next(settle_s=60)
    assert isinstance(second, Request) and second.name == "1.json"
    head = queue.next(settle_s=0)
    assert isinstance(head, Poison) and head.name == "0.json"


def test_a_file_that_is_open_for_writing_is_not_poison(queue: RequestQueue) -> None:
    """Half a request becomes poison only after its producer has closed it."""
    path = queue.pending / "slow.json"
    with path.open("wb") as producer:
        producer.write(encoded()[:10])
        producer.flush()
        queue.scan()
        assert queue.next(settle_s=0) is None
        producer.write(encoded()[10:])
    queue.scan()
    whole = queue.next(settle_s=60)
    assert isinstance(whole, Request) and whole.name == "slow.json"


def test_a_file_that_stays_open_unchanged_becomes_poison(
    queue: RequestQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leaked descriptor must not keep an invalid file in the queue for ever."""
    monkeypatch.setattr("agents.request_queue.WRITER_PATIENCE_S", 0.0)
    with (queue.pending / "stuck.json").open("wb") as producer:
        producer.write(b"{")
        producer.flush()
        queue.scan()
        assert isinstance(queue.next(settle_s=0), Poison)


def test_has_writer_is_true_only_while_a_file_is_open_for_writing(tmp_path: Path) -> None:
    """False while it is open for reading, closed, or gone."""
    path = tmp_path / "a.json"
    with path.open("wb"):
        assert has_writer(path)
    assert not has_writer(path)
    with path.open("rb"):
        assert not has_writer(path)
    assert not has_writer(tmp_path / "gone.json")


def test_a_changing_file_is_not_settled(
    queue: RequestQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every change of size or time restarts the wait."""
    clock = SimpleNamespace(now_s=100.0, monotonic=lambda: clock.now_s)
    monkeypatch.setattr("agents.request_queue.time", clock)
    path = queue.pending / "a.json"
    path.write_bytes(b"{")
    os.utime(path, ns=(10**18, 10**18))
    queue.scan()
    clock.now_s += 0.2
    os.utime(path, ns=(10**18 + 1, 10**18 + 1))
    queue.scan()
    assert queue.next(settle_s=0.2) is None
    clock.now_s += 0.2
    queue.scan()
    assert isinstance(queue.next(settle_s=0.2), Poison)


def test_known_names_are_duplicates(queue: RequestQueue) -> None:
    """A name that is archived or claimed is never processed a second time."""
    for folder, word in ((queue.archive, "before"), (queue.claimed, "being")):
        (folder / "a.json").write_bytes(encoded())
        (queue.pending / "a.json").write_bytes(encoded())
        queue.scan()
        item = queue.next(settle_s=0)
        assert isinstance(item, Poison) and word in item.reason
        (folder / "a.json").unlink()


def test_release_overwrites_no_pending_file(queue: RequestQueue) -> None:
    """The pending file of the same name goes to quarantine."""
    (queue.claimed / "a.json").write_bytes(b"claimed")
    (queue.pending / "a.json").write_bytes(b"newcomer")
    queue.release("a.json")
    assert (queue.pending / "a.json").read_bytes() == b"claimed"
    assert (queue.quarantine / "a.json").read_bytes() == b"newcomer"


def test_quarantine_overwrites_nothing_and_always_has_a_reason(queue: RequestQueue) -> None:
    """Three files of one name become three files, each with its reason."""
    names = set()
    for number in range(3):
        (queue.pending / "a.json").write_bytes(b"%d" % number)
        name = queue.put_in_quarantine(queue.pending, "a.json", f"reason {number}")
        assert name is not None
        names.add(name)
        note = json.loads(queue.reason_path(name).read_text())
        assert note["reason"] == f"reason {number}"
        assert (queue.quarantine / name).read_bytes() == b"%d" % number
    assert len(names) == 3


def test_each_quarantine_note_is_read_a_bounded_number_of_times(
    queue: RequestQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quarantining one more file does not read all notes again. A new note is seen."""
    read: list[str] = []
    real = files.read_object

    def counted(path: Path) -> dict[str, Any] | None:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr("agents.request_queue.files.read_object", counted)
    for number in range(20):
        name = f"{number:02d}.json"
        (queue.pending / name).write_bytes(b"[]")
        queue.put_in_quarantine(queue.pending, name, "r")
        [note] = queue.unrecorded_quarantine()
        assert note["request_file"] == name
        queue.note_quarantine({**note, "recorded": True})
    assert len(read) <= 2 * 20
    (queue.quarantine / "00.json").unlink()  # a person removes it, and the name is used again
    queue.reason_path("00.json").unlink()
    (queue.pending / "00.json").write_bytes(b"[]")
    queue.put_in_quarantine(queue.pending, "00.json", "r")
    assert [note["request_file"] for note in queue.unrecorded_quarantine()] == ["00.json"]


@pytest.mark.parametrize("name", ["x" * (NAME_LIMIT + 30) + ".json", "a\nb.json", "a\udcff.json"])
def test_a_file_with_an_unusable_name_is_quarantined_under_a_portable_one(
    queue: RequestQueue, name: str
) -> None:
    """Too long, with a line break, or not UTF-8."""
    (queue.pending / name).write_bytes(encoded())
    queue.scan()
    item = queue.next(settle_s=0)
    assert isinstance(item, Poison)
    target = queue.put_in_quarantine(queue.pending, name, item.reason)
    assert target is not None and target.isascii() and target.isprintable()
    assert queue.reason_path(target).exists()


def test_a_quarantine_note_without_its_file_is_removed(queue: RequestQueue) -> None:
    """A crash came before the move: the file is still pending, and is validated again."""
    (queue.pending / "a.json").write_bytes(b"[]")
    note = {"request_file": "a.json", "recorded": False, "reason": "r"}
    queue.reason_path("a.json").write_text(json.dumps(note))
    assert queue.unrecorded_quarantine() == []
    assert not queue.reason_path("a.json").exists()


def test_submit_is_idempotent_over_all_folders(queue: RequestQueue) -> None:
    """A name that any folder holds is not submitted again."""
    for folder in (queue.pending, queue.claimed, queue.archive, queue.quarantine):
        (folder / f"{folder.name}.json").write_bytes(b"{}")
        assert queue.submit(f"{folder.name}.json", GOOD) is False
    assert queue.submit("new.json", GOOD) is True


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_move_whose_sync_fails_is_completed_by_its_repetition(
    queue: RequestQueue, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """The file is moved already then: it must not be taken for one that is gone."""
    (queue.pending / "a.json").write_bytes(encoded())
    synced: list[Path] = []
    calls = 0

    def sync(folder: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise OSError(errno.EIO, "stands for a failing disk")
        synced.append(folder)

    monkeypatch.setattr(files, "sync_dir", sync)
    with pytest.raises(OSError, match="failing disk"):
        queue.claim("a.json")
    assert queue.claim("a.json")
    assert {queue.pending, queue.claimed} <= set(synced)
    calls, synced[:] = 0, []
    with contextlib.suppress(OSError):
        queue.finish("a.json")
    queue.finish("a.json")
    assert {queue.claimed, queue.archive} <= set(synced)
    assert (queue.archive / "a.json").is_file()


def test_a_request_that_is_gone_is_not_claimed(queue: RequestQueue) -> None:
    assert not queue.claim("a.json")
