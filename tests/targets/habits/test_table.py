"""The table in README.md names tests and examples that are there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parents[2]


def test_each_test_and_example_in_the_table_exists() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"[\w/]+\.py|examples/[\w-]+", text)
    assert len(named) > 15
    missing = [n for n in named if not ((HERE if "/" not in n else REPO) / n).exists()]
    assert missing == []
    listed = {name for name in named if "/" not in name}
    here = {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name}
    assert listed == here
