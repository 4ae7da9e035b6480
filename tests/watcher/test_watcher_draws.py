"""Each draw is diagnosed once and emits its requests once, also across restarts."""

from __future__ import annotations

import json
from typing import Any

from watcher_lab import Lab

from tests.waiting import wait_for

BOOTSTRAP = 50


def history(injected: int) -> dict[str, Any]:
    """A history with `injected` draws after the bootstrap."""
    return {
        "draws": [
            {
                "value": (index * 37) % 1000,
                "draw_source": "synthetic_bootstrap" if index < BOOTSTRAP else "synthetic_injector",
            }
            for index in range(BOOTSTRAP + injected)
        ]
    }


def write(lab: Lab, injected: int) -> None:
    """Replaces the history atomically, as the injector does."""
    temporary = lab.root / "history.tmp"
    temporary.write_text(json.dumps(history(injected)))
    temporary.replace(lab.root / "lottery_history.json")


def diagnosed(lab: Lab) -> list[int]:
    """Indices with a diagnostics file."""
    paths = (lab.root / "diagnostics_history").glob("diag_*.json")
    return sorted(int(path.stem.removeprefix("diag_")) for path in paths)


def wait_for_diagnoses(lab: Lab, injected: int, *, at_least: bool = False) -> None:
    """Waits until the first `injected` draws are diagnosed, in order and without a gap."""
    expected = list(range(BOOTSTRAP, BOOTSTRAP + injected))

    def done() -> bool:
        indices = diagnosed(lab)
        return indices[:injected] == expected and (at_least or indices == expected)

    wait_for(f"{injected} draws diagnosed", done)


def requests_of(lab: Lab) -> list[str]:
    """Requests that the diagnostics files name."""
    names: list[str] = []
    for index in diagnosed(lab):
        document = lab.json(f"diagnostics_history/diag_{index:06d}.json")
        assert document["draw_index"] == index
        assert document["value"] == (index * 37) % 1000
        names += document["requests"]
    return names


def test_injected_draws_are_diagnosed_and_bootstrap_draws_are_not(lab: Lab) -> None:
    """One diagnostics file per injected draw; the requests that it names are archived."""
    write(lab, 0)
    lab.start()
    for injected in (1, 2, 12):
        write(lab, injected)
        wait_for_diagnoses(lab, injected)
    names = requests_of(lab)
    for kind in ("selfplay", "learning_loop"):
        assert any(name.endswith(f"_{kind}.json") for name in names), names
    wait_for("archived", lambda: sorted(names) == lab.archived())
    assert sorted(d["request_file"] for d in lab.decisions()) == sorted(names)
    numbers = [(d["source"], d["sequence_number"]) for d in lab.decisions()]
    assert len(set(numbers)) == len(numbers)
    assert lab.halt() == 0
    lab.assert_no_trouble()


def test_a_restart_continues_after_the_last_diagnosed_draw(lab: Lab) -> None:
    """Killed repeatedly during the same draws: every draw and every request occurs once."""
    write(lab, 0)
    for injected in range(1, 25, 4):
        write(lab, injected)
        lab.start()
        wait_for_diagnoses(lab, max(1, injected - 3), at_least=True)
        lab.kill()
    lab.start()
    wait_for_diagnoses(lab, 21)
    names = requests_of(lab)
    assert len(set(names)) == len(names)
    wait_for("archived", lambda: sorted(names) == lab.archived())
    assert sorted(d["request_file"] for d in lab.decisions()) == sorted(names)
    continuous = lab.json(f"diagnostics_history/diag_{BOOTSTRAP + 20:06d}.json")
    assert continuous["diagnostics"]["draws_diagnosed"] == 21  # the state survived the kills


def test_the_daemon_works_on_while_the_history_is_unreadable(lab: Lab) -> None:
    """Missing, torn or malformed: requests are processed, and the draws are diagnosed later."""
    lab.start()
    path = lab.root / "lottery_history.json"
    for text in ("", '{"draws": [{"val', "[]", '{"draws": [{"value": "x"}]}'):
        path.write_text(text)
        lab.submit(f"r{len(text)}.json")
        lab.decision(f"r{len(text)}.json")
    write(lab, 3)
    path.unlink()
    write(lab, 3)
    wait_for("draws", lambda: len(diagnosed(lab)) >= 2)
    lab.assert_no_trouble()
