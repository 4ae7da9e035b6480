"""The pages of `chaos serve` in a real browser: accessible, silent, usable by keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chaos.report.write import write_page
from chaos.serve import stream
from tests.record.runs_folder import FAILED, add_gate, add_run, add_sweep, verdict
from tests.report.browser import DESKTOP, PHONE, chromium, needs_browser, violations
from tests.serve.planted import Growing, judged
from tests.serve.serving import Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as BrowserPage

pytestmark = [needs_browser, pytest.mark.chromium, pytest.mark.slow(seconds=20)]
A, B = "soak_c/20260203-101500-s7-aaaa", "soak_c/20260204-101500-s7-bbbb"
RUN = "soak_c/20260206-101500-s7-eeee"
GATE = "gate/20260205-000000-s7-dddd"
SWEEP = f"{GATE}/sweep/20260205-000003-s7-cccc"
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
PAGES = (
    *("/", f"/runs/{RUN}/live", f"/compare?a={A}&b={B}", f"/runs/{GATE}", f"/runs/{SWEEP}"),
    "/runs/nowhere",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    healthy = judged(root / A)
    write_page(healthy.run, root / A / "report.html")
    judged(root / B, cuts=())
    hostile = verdict("fail", fault="llm_timeout", profile=HOSTILE)
    hostile["findings"] = [{**FAILED, "title": HOSTILE, "summary": HOSTILE}]
    add_run(root, "soak_b/20260201-101500-s7-cccc", hostile)
    for number, word in enumerate(("pass", "inconclusive", "unverified", "invalid", "fail")):
        add_run(root, f"soak_a/2026020{number + 1}-101500-s7-cccc", verdict(word, soak="soak_a"))
    add_run(root, "soak_a/20260207-101500-s7-cccc")
    ended = Growing(root, RUN)
    ended.until_storm()
    ended.end()
    ended.close()
    add_gate(root, GATE.partition("/")[2], {"soak_a/20260205-000001-s7-cccc": "fail"})
    add_sweep(root, SWEEP, "survived", "failed", state="interrupted")
    gate = root / GATE / "gate.json"
    sweep = {"name": "crash sweep", "state": "running", "counts": {"failed": 1, "survived": 1}}
    sweep["sweep"] = SWEEP.removeprefix(f"{GATE}/")
    gate.write_text(json.dumps({**json.loads(gate.read_text()), "sweep": sweep}))
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with serving(root) as running:
        yield running


@contextmanager
def opened(
    browser: Browser, url: str, **context: Any
) -> Iterator[tuple[BrowserPage, list[str], list[str]]]:
    """(the page of an address, its console messages and errors, its requests elsewhere)."""
    made = browser.new_context(**{"viewport": DESKTOP, **context})
    page = made.new_page()
    console: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    # What the page's policy stopped was told as a request, and has never left.
    page.on("requestfailed", lambda r: asked.remove(r.url) if r.failure == "csp" else None)
    page.goto(url)
    host = "/".join(url.split("/")[:3])
    try:
        yield page, console, asked
    finally:
        made.close()
    assert [one for one in asked if not one.startswith((host, "data:"))] == []


def fits(page: BrowserPage) -> bool:
    """True if nothing is wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_pages_are_accessible_and_silent(scheme: str, browser: Browser, server: Server) -> None:
    for path in PAGES:
        with opened(browser, server.url + path, color_scheme=scheme) as (page, console, _):
            if path.startswith("/compare"):
                page.wait_for_selector(".plots canvas")
            assert violations(page) == [], path
            assert [line for line in console if "404" not in line] == [], path
            assert fits(page), path


def test_all_pages_fit_a_phone(browser: Browser, server: Server) -> None:
    phone = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    for path in PAGES:
        with opened(browser, server.url + path, **phone) as (page, _, _):
            if path.startswith("/compare"):
                page.wait_for_selector(".plots canvas")
            assert fits(page), path


def test_the_list_is_filtered_by_hand_and_by_keyboard(browser: Browser, server: Server) -> None:
    with opened(browser, f"{server.url}/") as (page, console, _):
        assert page.title() != "taken"
        assert page.locator("table.runs tbody tr").count() == 11
        page.locator("select[name=soak]").select_option("soak_a")
        page.wait_for_url("**/?soak=soak_a")
        assert page.locator("table.runs tbody tr").count() == 6
        page.keyboard.press("/")
        page.keyboard.type("overtook")
        page.keyboard.press("Enter")
        page.wait_for_url("**text=overtook**")
        assert page.locator("table.runs tbody tr").count() == 4
        page.get_by_text("show all").click()
        page.wait_for_url(f"{server.url}/")
        assert console == []


def test_a_cell_tells_its_findings_to_pointer_and_keyboard(
    browser: Browser, server: Server
) -> None:
    with opened(browser, f"{server.url}/") as (page, _, _):
        cell = page.locator(".matrix .cell.fail").last
        tip = cell.locator(".tip")
        assert not tip.is_visible()
        cell.hover()
        assert "fail: First in, first out" in tip.inner_text() or HOSTILE in tip.inner_text()
        page.mouse.move(0, 0)
        page.locator(".matrix .cell").first.focus()
        page.keyboard.press("Tab")
        assert page.locator(".matrix .cell .tip:visible").count() == 1
        page.keyboard.press("Enter")
        page.wait_for_url("**/runs/**")


def test_a_comparison_is_chosen_drawn_and_zoomed(browser: Browser, server: Server) -> None:
    with opened(browser, f"{server.url}/?text=soak_c") as (page, console, _):
        page.locator(f'input[name=a][value="{A}"]').check()
        page.locator(f'input[name=b][value="{B}"]').check()
        page.get_by_role("button", name="Compare A with B").click()
        page.wait_for_selector(".plots canvas")
        assert page.locator(".plots figure").count() >= 6
        box = page.locator(".plots .u-over").first
        box.scroll_into_view_if_needed()
        place = box.bounding_box()
        assert place is not None
        assert page.get_by_role("button", name="whole run").is_hidden()
        page.mouse.move(place["x"] + 40, place["y"] + 40)
        page.mouse.down()
        page.mouse.move(place["x"] + 140, place["y"] + 40, steps=4)
        page.mouse.up()
        assert page.get_by_role("button", name="whole run").is_visible()
        page.keyboard.press("Escape")
        assert page.get_by_role("button", name="whole run").is_hidden()
        assert console == []


def test_a_run_is_watched_until_its_verdict(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PERIOD_S", 0.05)
    growing = Growing(tmp_path, RUN)
    with serving(tmp_path) as server, opened(browser, f"{server.url}/") as (page, console, _):
        page.get_by_role("link", name="soak_c under llm_timeout").click()
        page.wait_for_url("**/live")
        growing.until_storm()
        page.locator("#row-fault-text", has_text="effect proven").wait_for()
        for second in range(44, 60):
            growing.sample(float(second), queue__pending=second % 3, watcher__fds=6)
        page.wait_for_selector(".plots canvas")
        assert page.locator(".strip .fault.struck").count() == 1
        assert page.locator(".strip .fault").count() == 2
        assert page.locator(".strip .phase.current").inner_text() == "storm"
        assert page.locator("#word").inner_text() == "RUNNING"
        for look in ("light", "dark"):
            page.emulate_media(color_scheme=look)  # type: ignore[arg-type]
            assert violations(page) == []
        growing.write(kind="event", t_s=61.0, name="problem", severity="error",
                      owner="harness", detail={"message": HOSTILE})  # fmt: skip
        page.locator("#event-list", has_text="onerror").wait_for()
        assert page.title() != "taken"
        growing.fault(62.0, "recovered")
        (growing.path / "verdict.json").write_text(json.dumps(verdict("fail")))
        growing.end()
        page.wait_for_selector("#result a")
        assert page.locator("#word").inner_text() == "FAIL"
        assert page.locator("#result a").get_attribute("href") == f"/runs/{RUN}"
        assert console == []
        assert fits(page)
    growing.close()


def test_without_scripts_everything_but_the_plots_is_there(
    browser: Browser, server: Server
) -> None:
    with opened(browser, f"{server.url}/", java_script_enabled=False) as (page, _, _):
        page.locator("select[name=verdict]").select_option("invalid")
        page.get_by_role("button", name="Filter").click()
        assert page.locator("table.runs tbody tr").count() == 1
        page.goto(f"{server.url}/compare?a={A}&b={B}")
        assert page.locator("table.pair").first.is_visible()
        page.goto(f"{server.url}/runs/{RUN}/live")
        assert "Watcher" in page.inner_text(".live")


def test_a_runs_own_page_works_in_its_sandbox(browser: Browser, server: Server) -> None:
    with opened(browser, f"{server.url}/runs/{A}") as (page, console, _):
        page.wait_for_selector("html[data-plots=drawn]", timeout=20_000)
        assert page.url.endswith("/report.html")
        assert page.evaluate("origin") == "null"
        assert console == []
        page.get_by_role("link", name="all runs").click()
        page.wait_for_url(f"{server.url}/")


def test_a_forged_page_reaches_neither_this_server_nor_another(
    browser: Browser, tmp_path: Path
) -> None:
    folder = add_run(tmp_path, A, verdict())
    (folder / "report.html").write_text(
        "<html><head></head><body><script>document.title = 'forged';"
        "for (const url of ['/', 'http://elsewhere.example/x']) fetch(url).then(() => {"
        " document.title = 'reached'; }, () => { document.title += ' refused'; });"
        "try { localStorage.x = 1; document.title = 'reached'; } catch { }"
        "</script><img src=http://elsewhere.example/x.png></body></html>"
    )
    with serving(tmp_path) as server, opened(browser, f"{server.url}/runs/{A}") as (page, _, _):
        page.wait_for_function("document.title === 'forged refused refused'")
