"""The server: what it shows, what it refuses, and that it changes nothing."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from chaos.serve import index
from tests.record.runs_folder import (
    FAILED,
    add_campaign,
    add_comparison,
    add_gate,
    add_run,
    add_sweep,
    make_running,
    verdict,
)
from tests.serve.serving import Server, serving, tree
from tests.waiting import wait_for

FAIL, PASS = "soak_c/20260203-101500-s7-aaaa", "soak_c/20260204-101500-s7-bbbb"
GATE = "gate/20260205-000000-s7-dddd"
SWEEP = "sweep/20260206-000000-s7-ffff"
UNFINISHED = "sweep/20260207-000000-s7-ffff"
GATES_SWEEP = f"{GATE}/sweep/20260205-000003-s7-cccc"
COMPARISON = "compare/20260208-000000-s7-ffff"
CAMPAIGN = "campaign/20260209-000000-s7-ffff"
POINT = "sweep_point/20260206-000000-s7-eeee"  # the first run of a sweep
DAMAGED = "soak_b/20260201-101500-s7-cccc"
BARE = "soak_b/20260202-101500-s7-cccc"
RUNNING = "soak_a/20260206-101500-s7-eeee"
MARKUP = "<script>taken()</script>\"'&\u202e"
ODD = os.fsdecode(b'soak_o/caf\xe9 "<b>&#?%2e')
SECRET = "the secret of another folder"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("serve")
    (base / "secret").write_text(SECRET)
    root = base / "runs"
    folder = add_run(root, FAIL, verdict("fail", fault="llm_timeout"))
    (folder / "report.html").write_text(
        "<html><head></head><body><p>its own page</p></body></html>"
    )
    (folder / "logs").mkdir()
    (folder / "logs" / "watcher.log").write_bytes(b"one\n\xff\x00<b>\n")
    (folder / "wire.pcap").write_bytes(b"\xd4\xc3\xb2\xa1")
    (folder / "link.json").symlink_to(base / "secret")
    (folder / "way").symlink_to(base)
    os.mkfifo(folder / "pipe.log")
    (folder / "big.log").touch()
    os.truncate(folder / "big.log", 1 << 40)
    add_run(root, PASS, verdict())
    add_gate(root, GATE.partition("/")[2], {"soak_a/20260205-000001-s7-cccc": "fail"})
    for sweep_id, state in (
        (SWEEP, "complete"), (UNFINISHED, "interrupted"), (GATES_SWEEP, "complete")
    ):  # fmt: skip
        sweep = add_sweep(root, sweep_id, "failed", "survived", state=state)
        (sweep / POINT / "report.html").write_text("<html><body><p>a point</p></body></html>")
        (sweep / "link.json").symlink_to(base / "secret")
        if state == "complete":
            page = f'<html><body><a href="{POINT}">F</a> the sweep</body></html>'
            (sweep / "sweep.html").write_text(page)
    comparison = add_comparison(root, COMPARISON.partition("/")[2], word="BLOCK")
    (comparison / "compare.html").write_text("<html><body>the comparison</body></html>")
    campaign = add_campaign(root, CAMPAIGN.partition("/")[2], "pass", "fail", left=1)
    (campaign / "campaign.html").write_text("<html><body>half a campaign</body></html>")
    (add_run(root, DAMAGED) / "verdict.json").write_bytes(bytes(range(256)))
    add_run(root, BARE, config=False)
    (root / BARE / "history.jsonl").write_bytes(b'{"kind":"hea')
    make_running(add_run(root, RUNNING))
    hostile = verdict("fail", soak=MARKUP, fault=MARKUP, profile=MARKUP)
    hostile["findings"] = [{**FAILED, "title": MARKUP, "summary": MARKUP * 40}]
    add_run(root, ODD, hostile)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with serving(root) as running:
        yield running


def address(run_id: str, rest: str = "") -> str:
    return f"/runs/{quote(os.fsencode(run_id))}{rest}"


# -- pages ------------------------------------------------------------------------------------


def test_the_list_has_every_run_and_gate(server: Server) -> None:
    page = server.ask("/")
    assert page.status == 200
    for run in (FAIL, PASS, DAMAGED, BARE, RUNNING, ODD, GATE):
        assert f'href="{address(run)}' in page.text
    assert "First in, first out" in page.text
    assert "verdict.json is damaged" in page.text
    assert f'href="{address(RUNNING, "/live")}"' in page.text


def test_foreign_text_is_never_markup(server: Server) -> None:
    for path in ("/", "/?text=" + quote(MARKUP), f"/compare?a={quote(FAIL)}&b=x{quote(MARKUP)}"):
        page = server.ask(path)
        assert "taken()" in page.text
        assert "<script>taken" not in page.text
        assert "\u202e" not in page.text
        assert not re.search(r"\son\w+=", page.text)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("soak=soak_c", {FAIL, PASS}),
        ("verdict=fail&soak=soak_c", {FAIL}),
        ("fault=llm_timeout&verdict=fail", {FAIL}),
        ("fault=none&soak=soak_c", {PASS}),
        ("text=overtook+fifo&soak=soak_c", {FAIL}),
        ("verdict=running", {RUNNING}),
        ("text=nothing+such", set()),
    ],
)
def test_filters_choose_runs(server: Server, query: str, shown: set[str]) -> None:
    page = server.ask(f"/?{query}").text
    rows = page.partition('id="all"')[2]
    for run in (FAIL, PASS, RUNNING, DAMAGED):
        assert (f'href="{address(run)}"' in rows) is (run in shown)


def test_pages_divide_the_list(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "PAGE_RUNS", 2)
    monkeypatch.setattr("chaos.serve.pages.PAGE_RUNS", 2)
    seen: list[str] = []
    for number in ("1", "2", "3", "4"):
        rows = server.ask(f"/?page={number}").text.partition('id="all"')[2]
        seen += re.findall(r'<td class="id"><a href="([^"]+)"', rows)
    assert len(seen) == len(set(seen)) == 7
    for odd in ("0", "-1", "99", "x", "9" * 40, "\u00b2"):
        assert server.ask(f"/?page={quote(odd)}").status == 200


def test_a_run_leads_to_its_page_else_to_the_live_view(server: Server) -> None:
    for run, name in ((FAIL, "report.html"), (PASS, "live"), (RUNNING, "live")):
        for end in ("", "/"):
            answer = server.ask(address(run, end))
            assert (answer.status, answer.headers["location"]) == (302, address(run, f"/{name}"))


def test_the_page_of_a_run_is_shown_in_a_sandbox_of_its_own(server: Server) -> None:
    page = server.ask(address(FAIL, "/report.html"))
    assert "its own page" in page.text
    assert 'href="/"' in page.text
    policy = page.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy  # so default-src 'none' holds for it
    assert "default-src 'none'" in policy


def test_a_gate_without_a_page_is_its_steps(server: Server) -> None:
    page = server.ask(address(GATE))
    assert page.status == 200
    assert "NEEDS FIXES" in page.text
    assert address(f"{GATE}/soak_a/20260205-000001-s7-cccc") in page.text


def test_the_list_has_every_sweep_and_none_of_its_runs(server: Server) -> None:
    page = server.ask("/").text
    for sweep in (SWEEP, UNFINISHED, GATES_SWEEP):
        assert f'href="{address(sweep)}"' in page
    assert "NOT CRASH-SAFE" in page and "1 failed, 1 survived" in page
    assert "sweep_point" not in page


@pytest.mark.parametrize("sweep", [SWEEP, GATES_SWEEP])
def test_a_sweep_leads_to_its_page_and_from_there_to_its_runs(server: Server, sweep: str) -> None:
    answer = server.ask(address(sweep))
    assert (answer.status, answer.headers["location"]) == (302, address(sweep, "/sweep.html"))
    page = server.ask(address(sweep, "/sweep.html"))
    assert "the sweep" in page.text and 'href="/"' in page.text
    assert "sandbox allow-scripts" in page.headers["content-security-policy"]
    assert (address(GATE) in page.text) is (sweep == GATES_SWEEP)
    run = server.ask(address(sweep, f"/{POINT}"))
    assert (run.status, run.headers["location"]) == (302, address(sweep, f"/{POINT}/report.html"))
    report = server.ask(address(sweep, f"/{POINT}/report.html"))
    assert "a point" in report.text
    assert f'href="{address(sweep)}"' in report.text
    assert "sandbox allow-scripts" in report.headers["content-security-policy"]
    stored = server.ask(address(sweep, f"/{POINT}/verdict.json"))
    assert json.loads(stored.body)["soak"] == "sweep_point"


def test_a_sweep_without_a_page_is_its_runs(server: Server) -> None:
    page = server.ask(address(UNFINISHED))
    assert page.status == 200
    assert "NOT CRASH-SAFE" in page.text
    assert f'href="{address(UNFINISHED, f"/{POINT}")}"' in page.text


def test_a_comparison_leads_to_its_page_and_to_its_runs(server: Server) -> None:
    assert f'href="{address(COMPARISON)}"' in server.ask("/").text
    answer = server.ask(address(COMPARISON))
    assert answer.headers["location"] == address(COMPARISON, "/compare.html")
    assert "the comparison" in server.ask(address(COMPARISON, "/compare.html")).text
    live = server.ask(address(COMPARISON, "/soak_b/20260207-000001-s7-eeee/live"))
    assert live.status == 200
    assert server.ask(address(COMPARISON, "/revisions/abc")).status == 404


def test_a_campaign_that_is_not_finished_is_its_runs(server: Server) -> None:
    page = server.ask(address(CAMPAIGN))
    assert page.status == 200 and "NOT FINISHED" in page.text
    assert f'href="{address(CAMPAIGN, "/campaign.html")}"' in page.text
    assert f'href="{address(CAMPAIGN, "/runs/00002/1")}"' in page.text
    stored = server.ask(address(CAMPAIGN, "/runs/00002/1/verdict.json"))
    assert json.loads(stored.body)["verdict"] == "fail"


@pytest.mark.parametrize("sweep", [SWEEP, GATES_SWEEP])
@pytest.mark.parametrize(
    "rest",
    [
        *("/link.json", "/../../secret", "/..%2f..%2fsecret", "/sweep_point", "/sweep_point/x"),
        *("/sweep_point/..", "/sweep_point/../../../secret", "/x/y/z", "//sweep.json"),
    ],
)
def test_nothing_outside_a_sweep_is_served(server: Server, sweep: str, rest: str) -> None:
    answer = server.ask(address(sweep) + rest)
    assert answer.status == 404
    assert SECRET not in answer.text


@pytest.mark.parametrize("run", [DAMAGED, BARE, PASS, ODD])
def test_a_run_that_cannot_be_shown_says_why(server: Server, run: str) -> None:
    page = server.ask(address(run, "/live"))
    assert page.status == 200
    assert "Cannot be shown" in page.text
    assert "Traceback" not in page.text


def test_files_are_text_or_downloads(server: Server) -> None:
    log = server.ask(address(FAIL, "/logs/watcher.log"))
    assert (log.status, log.body) == (200, b"one\n\xff\x00<b>\n")
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    capture = server.ask(address(FAIL, "/wire.pcap"))
    assert capture.headers["content-type"] == "application/octet-stream"
    assert capture.headers["content-disposition"].startswith("attachment")
    assert json.loads(server.ask(address(FAIL, "/verdict.json")).body)["verdict"] == "fail"


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rest",
    [
        *("/link.json", "/way/secret", "/pipe.log", "/way", "/logs", "/", "//verdict.json/x"),
        *("/../../../secret", "/..%2f..%2f..%2fsecret", "/%2e%2e/%2e%2e/%2e%2e/secret"),
        *("/logs/../../../../secret", "/verdict.json%00", "/....//secret", "/..\\..\\secret"),
        "/" + "x" * 3000,
    ],
)
def test_nothing_outside_the_run_is_served(server: Server, rest: str) -> None:
    answer = server.ask(address(FAIL) + rest)
    assert answer.status in (302, 404)
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        *("/secret", "/../secret", "/runs/../secret", "/runs/%2e%2e/secret", "/runs/", "/runs"),
        *("//etc/passwd", "/static/../app.py", "/static/%2e%2e/app.py", "/static/live.py"),
        *("/runs/soak_c", "/runs/soak_c/latest", "/runs/gate", "/favicon.ico", "/runs/%ff%fe"),
    ],
)
def test_an_unknown_address_is_a_clear_page(server: Server, path: str) -> None:
    answer = server.ask(path)
    assert answer.status in (307, 404)
    assert SECRET not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:1",
        "evil.example:{port}",
        "[::1]:{port}",
        "",
    ],
)
def test_a_foreign_host_is_refused(server: Server, host: str) -> None:
    answer = server.ask("/", Host=host.format(port=server.port))
    assert answer.status == 421
    assert FAIL not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}"])
def test_the_own_names_are_answered(server: Server, host: str) -> None:
    assert server.ask("/", Host=host.format(port=server.port)).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_only_reading_methods_are_answered(server: Server, method: str) -> None:
    for path in ("/", address(FAIL), "/metrics", "/nothing"):
        answer = server.ask(path, method)
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, HEAD"


def test_head_has_headers_and_no_body(server: Server) -> None:
    for path in ("/", "/metrics", address(FAIL, "/verdict.json"), address(FAIL, "/big.log")):
        answer = server.ask(path, "HEAD")
        assert (answer.status, answer.body) == (200, b"")


def test_other_sites_cannot_load_anything(server: Server) -> None:
    for path in ("/", "/metrics", address(FAIL, "/events"), address(FAIL, "/verdict.json")):
        answer = server.ask(path, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
        assert answer.status == 403
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert server.ask("/", **link).status == 200


def test_every_answer_has_the_headers_of_a_careful_server(server: Server) -> None:
    answers = [server.ask(path) for path in ("/", "/nothing", "/metrics", "/static/live.js")]
    answers += [server.ask(address(FAIL, rest)) for rest in ("/report.html", "/verdict.json")]
    answers += [server.ask("/", Host="evil.example"), server.ask("/", "POST")]
    for answer in answers:
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "server" not in headers
        if "sandbox" not in policy:
            assert "unsafe" not in policy


def test_garbage_on_the_wire_is_answered_or_closed(server: Server) -> None:
    for request in (b"\x00\xff\n\n", b"GET / HTTP/1.1\r\n\r\n", b"GET " + b"a" * 200_000):
        assert not server.raw(request).startswith(b"HTTP/1.1 200")
    old = server.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert b" 421 " in old.partition(b"\r\n")[0]
    assert server.ask("/").status == 200


def test_a_defect_is_one_line_here_and_nothing_there(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    monkeypatch.setattr("chaos.serve.guard.sys", SimpleNamespace(stderr=said))

    def broken() -> None:
        raise RuntimeError("of the list\n\x1b")

    monkeypatch.setattr(server.site.list, "read", broken)
    answer = server.ask("/")
    assert answer.status == 500
    assert "of the list" not in answer.text
    assert "see its terminal" in answer.text
    # It is told after the answer.
    (line,) = wait_for("the defect is told", lambda: said.getvalue().splitlines())
    monkeypatch.undo()
    assert line == "chaos serve: a defect: /: RuntimeError: of the list \\x1b"
    assert server.ask("/").status == 200


# -- reading only -----------------------------------------------------------------------------


def test_a_read_only_folder_is_served_and_stays_byte_for_byte(root: Path, server: Server) -> None:
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        if not folder.is_symlink():
            folder.chmod(0o555)
    before = tree_without_big(root)
    runs = (FAIL, PASS, DAMAGED, BARE, RUNNING, ODD)
    paths = ["/", "/metrics", f"/compare?a={FAIL}&b={PASS}", address(GATE)]
    paths += [address(sweep, rest) for sweep in (SWEEP, UNFINISHED) for rest in ("", f"/{POINT}")]
    paths += [address(run, rest) for run in runs for rest in ("", "/live", "/report.html")]
    for path in paths:
        assert server.ask(path).status in (200, 302, 404)
    for run in (PASS, BARE):
        with server.events(quote(run)) as events:
            assert next(events)[0] in ("problem", "update")
    assert tree_without_big(root) == before
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        if not folder.is_symlink():
            folder.chmod(0o755)


def tree_without_big(root: Path) -> dict[str, tuple[object, ...]]:
    big = root / FAIL / "big.log"
    size = big.stat().st_size
    os.truncate(big, 0)  # a terabyte of nothing takes long to read
    try:
        return {name: kept for name, kept in tree(root).items() if not name.endswith("big.log")}
    finally:
        os.truncate(big, size)
