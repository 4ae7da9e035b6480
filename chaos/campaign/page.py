"""`campaign.html`: findings by fault, times of recovery, and every run.

The look is that of the page of a run. Names no folder, so that the same runs make the same page
anywhere. Must not read or write files, except to see which exist.
"""

from dataclasses import dataclass
from urllib.parse import quote

from chaos.campaign.result import Recovery, Result, Row, shown_first
from chaos.campaign.state import CampaignDir
from chaos.campaign.text import part_text
from chaos.record.batch_list import NOT_MADE
from chaos.report.pages import page_text

_CSS = {NOT_MADE: "inconclusive"}
_WORD_CSS = {"PASS": "pass", "FAIL": "fail"}
_MEANING = {
    "PASS": "every run passed",
    "FAIL": "at least one run proves a failure of the Watcher",
    "NOT PROVEN": "no run proves a failure, and not every one passed",
    "NOT FINISHED": "not every run was made",
}
_WIDTH = 600.0  # of the strip of recovery times, in its own units


@dataclass(frozen=True)
class Shown:
    """One run in the table. `address`: the page of its run, else its folder, else ""."""

    row: Row
    css: str
    address: str
    why: str


@dataclass(frozen=True)
class Strip:
    """The recovery times of one kind of fault; `marks`: where each is drawn."""

    recovery: Recovery
    marks: list[float]


def campaign_page(folder: CampaignDir, result: Result) -> str:
    """The page of a campaign, finished or not."""
    shown = {row.entry.index: _shown(folder, row) for row in result.rows}
    recoveries = result.recoveries
    longest_s = max((r.values_s[-1] for r in recoveries if r.values_s), default=0.0) or 1.0
    return page_text(
        "campaign.html.jinja",
        package="chaos.campaign",
        style="campaign.css.jinja",
        result=result,
        campaign=result.campaign,
        part=part_text(result.campaign),
        css=_WORD_CSS.get(result.word, "inconclusive"),
        meaning=_MEANING[result.word],
        code=int(result.exit_code),
        counts=list(result.counts.items()),
        strips=[
            Strip(r, [round(_WIDTH * value / longest_s, 1) for value in r.values_s])
            for r in recoveries
        ],
        width=_WIDTH,
        longest_s=longest_s,
        worst=[shown[row.entry.index] for row in result.worst],
        runs=list(shown.values()),
    )


def _shown(folder: CampaignDir, row: Row) -> Shown:
    made = row.counts
    address, why = "", ""
    if made is not None:
        here = made.path.relative_to(folder.path)
        page = here / "report.html"
        address = quote(str(page if (folder.path / page).is_file() else here))
        why = shown_first(row.failed) or ("" if row.word == "pass" else made.attempt.reason)
    return Shown(row, _CSS.get(row.word, row.word), address, why)
