"""The wire proxy and the proxy of last resort in a whole run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from chaos.sandbox.guardian import marked_pids
from tests.integration.command import finish, history, settings, start
from tests.integration.test_lifecycle import await_record

pytestmark = [pytest.mark.stack, pytest.mark.whole_run, pytest.mark.slow(seconds=30)]


def test_death_of_the_wire_proxy_is_a_problem_of_the_infrastructure(tmp_path: Path) -> None:
    """Exit code 4, never a failure of the Watcher; the built-in TCP proxy is shown and recorded."""
    runs = tmp_path / "runs"
    process = start(
        runs,
        *("run", "soak_c", "--fault", "llm_error:count=1,hold=5s"),
        *settings(baseline_s=30, storm_s=30),
        env={"CHAOS_TOXIPROXY": "builtin"},
    )
    run = await_record(process, runs, '"baseline"')
    (pid,) = (
        pid
        for pid, words in marked_pids(run.run_id).items()
        if "chaos.stack.http_proxy --" in words
    )
    os.kill(pid, signal.SIGKILL)
    done = finish(process, runs)
    assert done.exit_code == 4, done.text
    exits = [r["detail"] for r in history(run) if r.get("name") == "service_exit"]
    assert [detail["service"] for detail in exits] == ["wire"]
    assert "TCP proxy: the built-in one (CHAOS_TOXIPROXY=builtin)" in done.stderr
    proxy = run.read_json(run.provenance)["proxy"]
    assert (proxy["kind"], proxy["reason"]) == ("builtin", "CHAOS_TOXIPROXY=builtin")
