"""The page in a real browser: no request, no error, accessible, usable by keyboard and in print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chaos.report.html import html_text
from tests.report.browser import PHONE, chromium, drawn, needs_browser, opened, violations
from tests.report.hostile import ELSEWHERE, hostile_run, judged
from tests.report.lying import lying_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as BrowserPage

pytestmark = [needs_browser, pytest.mark.chromium, pytest.mark.slow(seconds=30)]
PAGES_MAX = 6
PHONE_CONTEXT = {"viewport": PHONE, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run under two faults whose Watcher does not mark a fallback."""
    stored = judged(lying_run(tmp_path_factory.mktemp("lying") / "run"))
    path = stored.run.path / "report.html"
    path.write_text(html_text(stored), encoding="utf-8")
    return path


def test_the_page_is_accessible_and_silent_in_light_dark_and_on_a_phone(
    browser: Browser, path: Path
) -> None:
    for context in ({}, {"color_scheme": "dark"}, PHONE_CONTEXT):
        with opened(browser, path, **context) as (page, console, asked):
            drawn(page)
            if not context:  # all of it; elsewhere as it comes
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert violations(page) == [], context
            assert (console, asked) == ([], []), context
            widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert widths[0] <= widths[1], f"{context}: wider than the screen"


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_text(judged(hostile_run(tmp_path / "run"))), encoding="utf-8")
    with opened(browser, path) as (page, console, asked):
        drawn(page)
        assert page.title() != "taken"
        assert page.query_selector("img") is None
        assert "<script>document.title='taken'</script>" in page.inner_text("body")
        assert (console, asked) == ([], [])


def test_the_browser_test_detects_a_request_and_an_error(browser: Browser, tmp_path: Path) -> None:
    """The control: the tests fail on a page with a request and an error."""
    path = tmp_path / "bad.html"
    path.write_text(
        f"<img src='http://{ELSEWHERE}/x.png'><script>throw new Error('seen')</script>",
        encoding="utf-8",
    )
    with opened(browser, path) as (page, console, asked):
        assert any("seen" in line for line in console)
        assert any(ELSEWHERE in url for url in asked)
        assert any(line.startswith("image-alt") for line in violations(page))


def test_the_page_works_by_mouse_and_by_keyboard(browser: Browser, path: Path) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, path, permissions=permissions) as (page, console, _):
        drawn(page)
        _evidence_and_timeline_lead_to_each_other(page)
        _search_and_filter(page)
        _plots_zoom_and_point_together(page)
        page.locator("#reproduce button.copy").first.click()
        page.wait_for_function("document.querySelector('#reproduce .copy').textContent == 'copied'")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator("#reproduce pre").first.inner_text()
        assert console == []


def _evidence_and_timeline_lead_to_each_other(page: BrowserPage) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator("svg .lie").count() > 0
    marker = page.locator("svg .marker").first
    target = str(marker.get_attribute("href"))
    marker.click()
    assert page.url.endswith(target)
    piece = page.locator(target)
    assert piece.is_visible()
    assert "UTC" in piece.inner_text()
    piece.locator("a.mark").click()
    assert page.url.endswith(f"#{marker.get_attribute('id')}")


def _search_and_filter(page: BrowserPage) -> None:
    page.keyboard.press("/")
    page.keyboard.type("heuristic fallbacks")
    assert page.evaluate("document.activeElement.id") == "search"
    shown = page.locator("article[data-outcome]:visible")
    assert 0 < shown.count() < page.locator("article[data-outcome]").count()
    assert "heuristic" in shown.first.inner_text().lower()
    page.keyboard.press("Escape")
    assert page.locator("#matches").inner_text() == ""
    passing = page.locator("#filter button[data-outcome=pass]")
    passing.press("Enter")
    assert page.locator("article.pass:visible").count() > 0
    assert page.locator("article.fail:visible").count() == 0
    passing.press("Enter")
    assert page.locator("article.pass:visible").count() == 0


def _plots_zoom_and_point_together(page: BrowserPage) -> None:
    boxes = page.locator(".plot.drawn")
    assert boxes.count() >= 3
    box = boxes.first.locator(".u-over")
    box.scroll_into_view_if_needed()
    box.hover()
    assert "UTC" in page.locator("#now").inner_text()
    assert sum(bool(v) for v in page.locator("[data-value]").all_inner_texts()) >= 3
    before_s = _pointed_s(page)
    spot = box.bounding_box()
    assert spot is not None
    page.mouse.move(spot["x"] + 0.6 * spot["width"], spot["y"] + 20)
    page.mouse.down()
    page.mouse.move(spot["x"] + 0.8 * spot["width"], spot["y"] + 20)
    page.mouse.up()
    page.mouse.move(spot["x"] + 0.5 * spot["width"], spot["y"] + 20)
    assert _pointed_s(page) > before_s
    boxes.nth(1).focus()
    page.keyboard.press("Escape")
    box.hover()
    assert abs(_pointed_s(page) - before_s) < 0.5


def _pointed_s(page: BrowserPage) -> float:
    text = page.locator("#now").inner_text()
    found = re.match(r"([0-9.]+) s", text)
    assert found is not None, text
    return float(found[1])


def test_the_page_is_whole_without_javascript_and_prints_on_few_sheets(
    browser: Browser, path: Path
) -> None:
    with opened(browser, path, java_script_enabled=False) as (page, _, asked):
        assert page.locator("article.fail").first.is_visible()
        assert page.locator("svg.timeline").is_visible()
        assert page.locator("svg.static").first.is_visible()
        page.locator("#numbers summary").click()
        assert page.locator("#numbers td").first.is_visible()
        assert not page.locator("#filter").is_visible()
        assert asked == []
    with opened(browser, path) as (page, _, _):
        drawn(page)
        pdf = page.pdf(format="A4", prefer_css_page_size=True)
        assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= PAGES_MAX
        page.emulate_media(media="print")
        assert page.locator("svg.static").first.is_visible()
        assert not page.locator(".uplot").first.is_visible()
