"""--notify of a real run: sent after its end, also after Ctrl-C, and recorded nowhere."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command import await_gone, finish, settings, start
from tests.integration.test_lifecycle import await_record
from tests.report.receiver import SECRET, Receiver

pytestmark = [pytest.mark.stack, pytest.mark.whole_run, pytest.mark.slow(seconds=30)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_interrupted_run_is_notified_and_its_record_has_no_address(
    receiver: Receiver, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    words = ("run", "soak_c", "--fault", "none", "--notify", receiver.url)
    process = start(runs, *words, *settings())
    run = await_record(process, runs, '"baseline"')
    process.send_signal(signal.SIGINT)
    done = finish(process, runs)
    assert done.exit_code == 130, done.text
    await_gone(run)
    ((_, _, sent),) = receiver.got
    assert (sent["exit_code"], sent["stopped"], sent["kind"]) == (130, "interrupt", "run")
    assert sent["run_id"] == run.run_id
    assert SECRET not in done.text
    texts = [path.read_bytes() for path in run.path.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in text for text in texts)
    assert "--notify ..." in run.provenance.read_text()
