"""Nothing of a log or of a file name becomes mark-up: judged by what a renderer makes of it."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from chaos.base.markup import block, code, inline
from chaos.report.stored import load
from chaos.report.write import FORMATS
from chaos.runner.judge import judge
from tests.checks.history_builder import PlantedRun

# As GitHub renders it: raw HTML is let through, tables and strikethrough are known.
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    'File "<string>", line 1, in <module> <a href="http://evil.example">fix</a>',
    "[a](http://evil.example) ![b](http://evil.example) <http://evil.example>",
    "*a* **b** _c_ __d__ a_b_c `e` ``f`` ~~g~~ | h | \\* \\",
    "# i", "###### j", "- k", "+ l", "1. m", "2) n", "-----", "===", "> o", "&lt;script&gt; &copy;",
    "-3.5", "1.5 s", "#12", "0 unhandled exceptions in 1 log file",
]  # fmt: skip
NAMES = ["a`b", "`", "``", "`a", "a``", "```x", "a|b", "<b>.json", "a b", "[x](y)", "logs/x.log:3"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("before", ["", "- ", "a "])
def test_a_text_is_rendered_as_itself(text: str, before: str) -> None:
    tag = "<ul>\n<li>{}</li>\n</ul>\n" if before == "- " else "<p>" + before.strip("-") + "{}</p>\n"
    found = RENDERER.render(before + inline(text))
    start, end = tag.split("{}")
    assert found.startswith(start) and found.endswith(end)
    shown = found[len(start) : len(found) - len(end)]
    assert "<" not in shown and unescape(shown) == text


@pytest.mark.parametrize("text", [*HOSTILE, "a\nb\r\n\tc"])
def test_a_cell_holds_its_text_and_no_more(text: str) -> None:
    found = RENDERER.render(f"| x | y |\n|---|---|\n| {inline(text)} | end |")
    cells = [part.partition("</td>")[0] for part in found.split("<td>")[1:]]
    assert [unescape(cell) for cell in cells] == [" ".join(text.split()), "end"]
    assert not any("<" in cell for cell in cells)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_within_its_code(name: str) -> None:
    found = RENDERER.render(f"- {code(name)} end")
    assert unescape(found) == f"<ul>\n<li><code>{name}</code> end</li>\n</ul>\n"
    table = RENDERER.render(f"| x | y |\n|---|---|\n| {code(name, cell=True)} | end |")
    assert f"<td><code>{name}</code></td>\n<td>end</td>" in unescape(table)


def test_no_line_ends_a_block_of_code() -> None:
    lines = ["echo '", "```", "````'", "<b>"]
    found = RENDERER.render(f"{block(lines, 'sh')}\n\nend")
    expected = '<pre><code class="language-sh">' + "\n".join(lines) + "\n</code></pre>\n<p>end</p>"
    assert unescape(found).strip() == expected


def test_nothing_of_a_hostile_watcher_is_mark_up_in_any_part_of_the_report(tmp_path: Path) -> None:
    planted = PlantedRun(tmp_path / "run")
    planted.files["logs/watcher.log"] = f"Traceback (most recent call last):{HOSTILE[0]}\n" * 3
    for name in ("a`<i>b.json", "```<i>.json", "[x](y)<i>|.json"):
        planted.files[f"artefacts/policy_history/{name}"] = "{}"
        planted.files[f"artefacts/watcher_requests/{name}"] = "{"
    planted.config["title"] = "<i>title</i>"
    run = planted.write()
    judge(run)
    for text in (run.report.read_text(encoding="utf-8"), FORMATS["github"].text(load(run))):
        assert "evil.example" in text and "<i>" in text
        kinds = {token.type for token in RENDERER.parse(text)}
        inner = {c.type for token in RENDERER.parse(text) for c in token.children or []}
        assert not {"html_block", "html_inline", "link_open", "image"} & (kinds | inner)


def test_a_healthy_report_reads_as_before(tmp_path: Path) -> None:
    """Names and numbers stay as they are: the file is read without a renderer, too."""
    run = PlantedRun(tmp_path / "run").write()
    judge(run)
    text = run.report.read_text(encoding="utf-8")
    assert "`history.jsonl:" in text and "llm_timeout" in text and "llm\\_timeout" not in text
