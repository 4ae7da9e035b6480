"""A machine that cannot host the run: exit 4, the reason, the next step, nothing left behind."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chaos.record.owner import processes_of
from tests.integration.command import ONE_FAULT, REPO, Done, chaos, finish, settings, start
from tests.integration.test_lifecycle import await_record
from tests.ports import free_ports

pytestmark = [pytest.mark.stack, pytest.mark.slow]

SHORT = settings(baseline_s=2, storm_s=4, quiet_s=2)


def own_ports(folder: Path) -> tuple[Path, list[int]]:
    """The reference profile on free ports, for runs without a private network."""
    path = REPO / "experiments" / "targets" / "reference.yaml"
    target = yaml.safe_load(path.read_text(encoding="utf-8"))
    ports = free_ports(4)
    for name, port in zip(("endpoint", "upstream", "control", "proxy_api"), ports, strict=True):
        target["llm"][name] = f"127.0.0.1:{port}"
    target["policies"]["values"]["llm.endpoint"] = target["llm"]["endpoint"]
    target["policies"]["values"]["llm.control"] = target["llm"]["control"]
    written = folder / "reference.yaml"
    written.write_text(yaml.safe_dump(target), encoding="utf-8")
    return written, ports


def in_namespace(commands: str, runs: Path, *args: str) -> Done:
    """`chaos ARGS` after `commands`, as root of a user namespace of its own."""
    words = shlex.join([sys.executable, "-m", "chaos", *args, "--runs", str(runs)])
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", f"{commands}\n{words}"],
        capture_output=True,
        text=True,
        cwd=REPO,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr, runs)


def refused(done: Done, *words: str) -> None:
    assert done.exit_code == 4, done.text
    assert "Traceback" not in done.text
    assert "next" in done.text
    for word in words:
        assert word in done.text, done.text


def test_taken_port_is_reported(tmp_path: Path) -> None:
    target, ports = own_ports(tmp_path)
    with socket.create_server(("127.0.0.1", ports[0])):
        done = chaos(
            tmp_path / "runs", "run", "soak_c", "--sandbox", "none", "--target", str(target), *SHORT
        )
    refused(done, str(ports[0]))
    assert processes_of(done.run().run_id) == []


def test_full_disk_is_reported_before_anything_starts(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    mount = f"mount -t tmpfs -o size=256k none {shlex.quote(str(runs))}"
    refused(in_namespace(mount, runs, "run", "soak_c", *SHORT), "MB of disk")


def test_without_namespaces_the_error_names_the_weaker_mode(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    forbid = "echo 0 >/proc/sys/user/max_mnt_namespaces"
    refused(in_namespace(forbid, runs, "run", "soak_c", *SHORT), "--sandbox none")
    assert not runs.exists()


def test_without_toxiproxy_the_error_names_alternatives(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    done = chaos(runs, "run", "soak_c", *SHORT, env={"CHAOS_TOXIPROXY": str(tmp_path / "none")})
    refused(done, "CHAOS_TOXIPROXY")
    assert not runs.exists()


def test_run_without_a_sandbox_leaves_nothing_behind(tmp_path: Path) -> None:
    """The weaker way: same path, and what `kill -9` leaves is ended by `chaos clean`."""
    target, _ = own_ports(tmp_path)
    runs = tmp_path / "runs"
    process = start(
        runs, "run", "soak_c", *ONE_FAULT, "--sandbox", "none", "--target", str(target),
        *settings(baseline_s=3),
    )  # fmt: skip
    run = await_record(process, runs, '"effect_proven"')
    os.kill(process.pid, 9)
    finish(process, runs)
    cleaned = chaos(runs, "clean", str(run.path))
    assert cleaned.exit_code == 0, cleaned.text
    assert processes_of(run.run_id) == []
