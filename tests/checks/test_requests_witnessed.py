"""What became of each request file, and in which order: as the calls show it, not the names."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Any

import pytest

from tests.checks.history_builder import _t_s, finding, judged
from tests.checks.witness_builder import QUEUE, WATCHER, Witnessed, digest


def requests(witnessed: Witnessed, kind: str = "ch13") -> list[str]:
    """The requests in the order of their decisions."""
    names = [str(d["request_file"]) for d in witnessed.run.decisions]
    return [name for name in names if name.startswith(kind)]


def moves(witnessed: Witnessed, name: str) -> list[dict[str, Any]]:
    """The lines in which the request file moves, to be changed."""
    return [
        line
        for line in witnessed.lines
        if line["call"] == "rename" and str(line["path"]).endswith(name) and "to" in line
    ]


def archiving(witnessed: Witnessed, name: str) -> dict[str, Any]:
    return next(line for line in moves(witnessed, name) if "/archive/" in line["to"])


def archive(witnessed: Witnessed, name: str, content: Any) -> None:
    """`content` is what is collected of that archived file."""
    folder = witnessed.run.folders["archive"]
    if name in folder:
        folder.remove(name)
    witnessed.run.files[f"artefacts/{QUEUE}/archive/{name}"] = json.dumps(content)


def test_deleted_request_is_found(witnessed: Witnessed) -> None:
    name = requests(witnessed)[3]
    line = archiving(witnessed, name)
    line["call"] = "unlink"
    del line["to"]
    witnessed.run.folders["archive"].remove(name)
    found = witnessed.judged("requests_witnessed")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert f"{name} was deleted" in found.evidence[0].text


def test_request_archived_twice_is_found(witnessed: Witnessed) -> None:
    name = requests(witnessed)[3]
    line = archiving(witnessed, name)
    back = line | {"path": line["to"], "to": line["path"], "time_s": line["time_s"] + 5.0}
    again = line | {"time_s": line["time_s"] + 6.0}
    witnessed.lines += [back, again]
    found = witnessed.judged("requests_witnessed")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert f"{name} was archived again" in found.evidence[0].text


def test_request_made_in_the_archive_is_found(witnessed: Witnessed) -> None:
    name = "extra_0001.json"
    archive(witnessed, name, {"request_type": "selfplay"})
    witnessed.add(60.0, "open", WATCHER, path=f"{QUEUE}/archive/{name}")
    found = witnessed.judged("requests_witnessed")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert f"{name} was made in the archive" in found.evidence[0].text


def test_request_with_the_content_of_another_one_is_found(witnessed: Witnessed) -> None:
    name, other = requests(witnessed)[3:5]
    kind = "learning_loop" if "learning" in other else "selfplay"
    archive(witnessed, name, {"request_type": kind, "of": other})
    found = witnessed.judged("requests_witnessed")
    assert f"{name} has the content of {other}" in found.evidence[0].text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"done": True}, "it has no request_type"),
        ({"request_type": "selfplay", "parameters": {"episodes": 9}}, "episodes 3 is 9"),
    ],
)
def test_archived_request_that_lost_what_it_asked_for_is_found(
    witnessed: Witnessed, content: Any, words: str
) -> None:
    body = {"request_type": "selfplay", "parameters": {"episodes": 3}}
    name = submitted_with(witnessed, body)
    archive(witnessed, name, content)
    found = witnessed.judged("requests_witnessed")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert words in found.evidence[0].text


def submitted_with(witnessed: Witnessed, body: Any) -> str:
    """The harness submitted the first probe with that content."""
    op = next(r for r in witnessed.run.records if r["kind"] == "op")
    op["detail"]["body"] = body
    return str(op["id"])


def test_notes_added_to_a_request_are_no_exchange(witnessed: Witnessed) -> None:
    body = {"request_type": "selfplay", "parameters": {"episodes": 3}}
    name = submitted_with(witnessed, body)
    archive(witnessed, name, {"request": body, "status": "COMPLETED", "took_s": 3})
    assert witnessed.judged("requests_witnessed").outcome == "pass"


def test_copy_into_the_archive_is_as_good_as_a_rename(witnessed: Witnessed) -> None:
    for name in requests(witnessed):
        line = archiving(witnessed, name)
        path, to = line["path"], line["to"]
        line |= {"call": "open", "path": to}
        del line["to"]
        witnessed.lines.append(line | {"call": "unlink", "path": path})
    assert witnessed.judged("requests_witnessed").outcome == "pass"


def test_calls_that_failed_and_were_made_again_count_once(witnessed: Witnessed) -> None:
    """On a read-only disk each rename is tried until it works."""
    for line in moves(witnessed, requests(witnessed)[3]):
        for number in range(1, 4):
            witnessed.lines.append(line | {"time_s": line["time_s"] - 0.001 * number})
    assert witnessed.judged("requests_witnessed").outcome == "pass"


def test_claim_outside_the_queue_and_return_to_it_are_followed(witnessed: Witnessed) -> None:
    """A restart puts the request back, and it is taken again."""
    name = requests(witnessed)[3]
    claim = moves(witnessed, name)[0]
    away = f"work/{name}.taken"
    witnessed.lines += [
        claim | {"to": away, "time_s": claim["time_s"] - 0.002},
        claim | {"path": away, "to": claim["path"], "time_s": claim["time_s"] - 0.001},
    ]
    assert witnessed.judged("requests_witnessed").outcome == "pass"


def test_claim_by_link_and_unlink_is_followed(witnessed: Witnessed) -> None:
    for name in requests(witnessed):
        for line in moves(witnessed, name):
            line["call"] = "link"
            witnessed.lines.append(
                {**line, "call": "unlink", "to": None, "time_s": line["time_s"] + 0.001}
            )
    assert witnessed.judged("requests_witnessed").outcome == "pass"


def test_note_beside_a_request_in_the_archive_is_no_request(witnessed: Witnessed) -> None:
    note = requests(witnessed)[3].replace(".json", ".result.json")
    archive(witnessed, note, {"request_type": "selfplay"})
    archive(witnessed, "index.json", {"requests": 3})
    for name in (note, "index.json"):
        witnessed.add(60.0, "open", WATCHER, path=f"{QUEUE}/archive/{name}")
    assert witnessed.judged("requests_witnessed").outcome == "pass"


def test_repeated_name_may_be_removed(witnessed: Witnessed) -> None:
    """A duplicate that a fault planted need not be kept."""
    name = requests(witnessed)[3]
    witnessed.add(140.0, "unlink", WATCHER, path=f"{QUEUE}/{name}")
    assert witnessed.judged("requests_witnessed").outcome == "pass"


# -- order ------------------------------------------------------------------------------------


def swap_work(witnessed: Witnessed) -> None:
    """Two requests that wait together are really served in the other order."""
    first, second = waiting_pair(witnessed)
    times = {name: [line["time_s"] for line in _of(witnessed, name)] for name in (first, second)}
    shift = min(times[second]) - min(times[first])
    for name, by in ((first, shift), (second, -shift)):
        for line in _of(witnessed, name):
            line["time_s"] += by


def waiting_pair(witnessed: Witnessed) -> tuple[str, str]:
    """Two requests in succession, the second one emitted well before the first one was taken."""
    emitted = {
        name: _t_s(d["timestamp"])
        for d in witnessed.run.diagnostics.values()
        for name in d["requests"]
    }
    decisions = [d for d in witnessed.run.decisions if d["request_file"] in emitted]
    for one, other in pairwise(decisions):
        names = one["request_file"], other["request_file"]
        if (
            emitted[names[1]] < _t_s(one["started_at"])
            and emitted[names[0]] + 2 < emitted[names[1]]
        ):
            return names
    raise AssertionError("no two requests wait together")


def _of(witnessed: Witnessed, name: str) -> list[dict[str, Any]]:
    """The lines of the request's claim, its child and its archiving."""
    decision = next(d for d in witnessed.run.decisions if d["request_file"] == name)
    child = decision["effects"]["child_pid"]
    return [line for line in witnessed.lines if line["pid"] == child] + moves(witnessed, name)


@pytest.fixture
def ordered(witnessed: Witnessed) -> Witnessed:
    witnessed.run.config["criteria"]["fifo"] = {}
    return witnessed


def test_order_that_the_log_hides_is_found(ordered: Witnessed) -> None:
    swap_work(ordered)
    first, second = waiting_pair(ordered)
    found = ordered.judged("order_witnessed")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert found.evidence[0].text.startswith(first) and second in found.evidence[0].text
    assert finding(judged(ordered.run), "fifo").outcome == "pass"


def test_claims_of_many_at_once_do_not_decide_the_order(ordered: Witnessed) -> None:
    """One after the other is worked on in turn; they were claimed the other way round."""
    first, second = waiting_pair(ordered)
    claim = moves(ordered, first)[0]
    moves(ordered, second)[0]["time_s"] = claim["time_s"] - 0.01
    assert ordered.judged("order_witnessed").outcome == "pass"


def test_workers_side_by_side_are_judged_by_their_claims(ordered: Witnessed) -> None:
    """The child of the second one begins earlier; the first one was claimed before it."""
    first, second = waiting_pair(ordered)
    children = {
        d["request_file"]: d["effects"]["child_pid"]
        for d in ordered.run.decisions
        if d["request_file"] in (first, second)
    }
    claim_s = moves(ordered, first)[0]["time_s"]
    moves(ordered, second)[0]["time_s"] = claim_s + 0.01
    for name, begin_s in ((second, claim_s + 0.1), (first, claim_s + 0.4)):
        for line in ordered.lines:
            if line["pid"] == children[name] and line["call"] == "process":
                line["time_s"] = begin_s
    assert ordered.judged("order_witnessed").outcome == "pass"


def test_requests_that_are_not_moved_and_have_no_child_are_not_judged(ordered: Witnessed) -> None:
    ordered.drop(lambda line: "/claimed/" in str(line.get("to")))
    for line in ordered.lines:
        if "/archive/" in str(line.get("to")):
            line["path"] = line["path"].replace("claimed/", "")
        if line["call"] == "exec":
            line["argv"] = ["child"]
    ordered.write()
    assert "order_witnessed" not in {f.check for f in judged(ordered.run).findings}


def test_without_a_claim_of_order_nothing_is_judged(witnessed: Witnessed) -> None:
    del witnessed.run.config["criteria"]["fifo"]
    witnessed.write()
    assert "order_witnessed" not in {f.check for f in judged(witnessed.run).findings}


def test_digest_is_that_of_the_archived_file(witnessed: Witnessed) -> None:
    """The builder and the planted run must agree, or exchanges would not be judged."""
    run = witnessed.run.write()
    name = requests(witnessed)[0]
    content = (run.artefacts / QUEUE / "archive" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest(name)
