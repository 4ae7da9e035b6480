"""A campaign as text: its plan, a line for each attempt, and its end."""

from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.base.units import duration_text
from chaos.campaign.attempts import Attempt
from chaos.campaign.result import Result, shown_first
from chaos.campaign.state import Campaign, CampaignDir, Entry
from chaos.checks.finding import plural
from chaos.record.batch_list import NOT_MADE

_LISTED_MAX = 20
_GLYPHS = {"PASS": "✓", "FAIL": "✗"}


def plan_text(entries: list[Entry], slots: int, *, listed: bool) -> str:
    """How much is to be done, and about how long it takes."""
    seconds = sum(entry.planned_s for entry in entries)
    lines = [
        f"{plural(len(entries), 'run')}, {plural(slots, 'slot')}, "
        f"about {duration_text(seconds / slots)}"
    ]
    if listed:
        lines += [f"  {e.index:>5}  {e.title} ({e.profile}, {e.schedule_hash})" for e in entries]
    return printable("\n".join(lines))


def attempt_line(entry: Entry, attempt: Attempt) -> str:
    """One attempt that has ended."""
    found = shown_first([f"{f.title}: {f.summary}" for f in attempt.findings if _bad(f.outcome)])
    why = found or (attempt.reason if attempt.verdict != "pass" else "")
    text = f"{attempt.verdict or 'invalid':<12} {entry.index:>5}  {entry.title}"
    return printable(f"{text}: {why}" if why else text)


def _bad(outcome: str) -> bool:
    return outcome not in ("pass", "skipped")


def final_text(folder: CampaignDir, result: Result, code: int, stopped: str) -> str:
    """The end: findings by fault, worst runs first, the counts, and what to do next."""
    lines = [*_matrix_lines(result), *_worst_lines(result)]
    for row in result.disagreeing:
        words = ", ".join(f"{m.number} {m.attempt.verdict}" for m in row.made)
        lines.append(f"attempts disagree: run {row.entry.index} ({words}); the first one counts")
    counts = ", ".join(f"{count} {word}" for word, count in result.counts.items())
    lines += ["", f"{_GLYPHS.get(result.word, '?')} {result.word}  {counts}  (exit {code})"]
    if stopped:
        lines.append(f"  why        {stopped}")
    lines += [f"  campaign   {folder.path}", f"  report     {folder.page}"]
    if NOT_MADE in result.counts:
        lines.append(f"  go on      chaos campaign --resume {folder.path}")
    elif result.worst:
        lines.append(f"  next       {result.worst[0].entry.command}")
    return printable("\n".join(lines))


def _matrix_lines(result: Result) -> list[str]:
    lines = []
    for title, cells in result.matrix[:_LISTED_MAX]:
        lines.append(title)
        for fault, cell in cells.items():
            if cell.worst:
                words = ", ".join(f"{count} {word}" for word, count in cell.counts.items())
                lines.append(f"    {fault}: {words} of {cell.runs}")
    if len(result.matrix) > _LISTED_MAX:
        lines.append(f"and {len(result.matrix) - _LISTED_MAX} more findings")
    return lines


def _worst_lines(result: Result) -> list[str]:
    lines = []
    for row in result.worst[:_LISTED_MAX]:
        made = row.counts
        assert made is not None
        why = shown_first(row.failed) or made.attempt.reason
        lines += [f"{row.word}: {row.entry.title}: {why}", f"    {made.path}"]
    if len(result.worst) > _LISTED_MAX:
        lines.append(f"and {len(result.worst) - _LISTED_MAX} more runs")
    return lines


def part_text(campaign: Campaign) -> str:
    """Which part of the plan this is; "" for all of it."""
    return "" if campaign.shard is None else f"part {campaign.shard[0]} of {campaign.shard[1]}"


def quiet_text(folder: CampaignDir, result: Result, code: ExitCode) -> str:
    """Word, counts, exit code and folder on one line, for `--quiet`."""
    counts = ", ".join(f"{count} {word}" for word, count in result.counts.items())
    return f"{result.word}: {counts}, exit {int(code)} | {folder.path}"
