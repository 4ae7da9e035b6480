"""The compose files as texts: every container is closed, bounded, and told what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir
from chaos.runner.containers.settings import Settings

SERVICES = {"injector", "llm", "toxiproxy", "watcher"}


def loaded(repo: Path, name: str) -> dict[str, Any]:
    document = yaml.safe_load((repo / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.fixture
def stack(repo: Path) -> dict[str, Any]:
    return loaded(repo, "docker-compose.yml")


@pytest.fixture
def overlay(repo: Path) -> dict[str, Any]:
    return loaded(repo, "docker-compose.gpu.yml")


def test_the_services_are_the_ones_of_the_design(
    stack: dict[str, Any], overlay: dict[str, Any]
) -> None:
    assert set(stack["services"]) == SERVICES
    assert set(overlay["services"]) == SERVICES - {"toxiproxy"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_closed_and_bounded(name: str, stack: dict[str, Any]) -> None:
    """A key that goes missing in one service is an open door."""
    service = stack["services"][name]
    assert service["user"] == "${CHAOS_UID:-10001}:${CHAOS_GID:-10001}"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "no"
    assert service["tmpfs"] == ["/tmp:size=${CHAOS_TMP_SIZE:-128m},mode=1777"]
    assert re.fullmatch(r"\$\{CHAOS_\w+_MEMORY:-\d+[mg]\}", service["mem_limit"])
    assert type(service["pids_limit"]) is int  # Compose v1 passes a text on as text
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["labels"] == {
        "io.chaos-gate.project": "${CHAOS_PROJECT:-by-hand}",
        "io.chaos-gate.role": name,
    }


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.gpu.yml"])
def test_nothing_opens_what_is_closed(file: str, repo: Path) -> None:
    """No privilege, no socket of the engine, nothing of the host but the models and a file."""
    for name, service in loaded(repo, file)["services"].items():
        opened = {"privileged", "cap_add", "devices", "env_file", "secrets", "ipc"} & set(service)
        assert not opened, f"{name}: {opened}"
        assert "docker.sock" not in json.dumps(service)
        for volume in service.get("volumes", []):
            if isinstance(volume, str):
                assert volume.endswith(":ro"), f"{name}: {volume}"
            else:
                assert volume["type"] == "volume"
                assert volume["volume"] == {"nocopy": True}


def test_all_share_one_pod_whose_init_reaps(stack: dict[str, Any]) -> None:
    services = stack["services"]
    assert services["injector"]["init"] is True
    for name in SERVICES - {"injector"}:
        assert services[name]["network_mode"] == "service:injector"
        assert services[name]["pid"] == "service:injector"
        assert not {"init", "ports", "networks"} & set(services[name])


def test_ports_are_published_on_loopback_only(stack: dict[str, Any]) -> None:
    assert stack["services"]["injector"]["ports"] == [
        "127.0.0.1:${CHAOS_LLM_PORT:-8080}:8080",
        "127.0.0.1:${CHAOS_PROXY_API_PORT:-8474}:8474",
    ]


def test_there_is_no_way_out_and_no_resolver(stack: dict[str, Any]) -> None:
    options = stack["networks"]["pod"]["driver_opts"]
    assert options == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    assert stack["services"]["injector"]["dns"] == ["127.0.0.1"]


def test_the_workspace_is_a_bounded_tmpfs_of_the_containers_user(stack: dict[str, Any]) -> None:
    options = stack["volumes"]["workspace"]["driver_opts"]
    assert options["type"] == "tmpfs"
    assert options["o"].split(",") == [
        "size=${CHAOS_WORKSPACE_SIZE:-256m}",
        "uid=${CHAOS_UID:-10001}",
        "gid=${CHAOS_GID:-10001}",
        "mode=0755",
    ]


def test_toxiproxy_started_by_hand_has_the_proxy_that_runs_make(repo: Path) -> None:
    (proxy,) = json.loads((repo / "images" / "toxiproxy" / "llm.json").read_text())
    assert proxy == {
        "name": "llm",  # of ToxiproxyClient
        "listen": "0.0.0.0:8080",  # published, so not on the pod's loopback only
        "upstream": "127.0.0.1:8081",
        "enabled": True,
    }


def test_a_run_names_every_image_that_the_files_ask_for(
    stack: dict[str, Any], overlay: dict[str, Any], tmp_path: Path
) -> None:
    """One that it did not name would be whatever somebody has built by hand."""
    settings = Settings(
        engine="",
        compose_argv=(),
        compose_version="",
        images={name: f"made:{name}" for name in SERVICES},
        digests={},
        engine_facts={},
        model="/models/x.gguf",
        gpu=True,
        user_id=1,
        group_id=1,
    )
    target = SimpleNamespace(workspace=SimpleNamespace(size_mb=1))
    plan = cast(Plan, SimpleNamespace(target=target))
    variables = settings.variables(plan, RunDir(tmp_path / "soak" / "run"))
    for services in (stack["services"], overlay["services"]):
        for name, service in services.items():
            (asked,) = re.findall(r"^\$\{(\w+):-", service["image"])
            assert variables[asked] == f"made:{name}"


def test_who_needs_a_gpu_reserves_one_and_the_injector_only_looks(overlay: dict[str, Any]) -> None:
    wanted = {}
    for name, service in overlay["services"].items():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia"
        assert "count" not in device  # see the file: Compose v1
        assert re.fullmatch(r"\$\{CHAOS_(WATCHER_|SAMPLED_)?GPU_IDS:-0\}", device["device_ids"][0])
        wanted[name] = device["capabilities"]
    assert wanted.pop("injector") == ["utility"]
    assert wanted == {name: ["gpu", "compute", "utility"] for name in ("llm", "watcher")}


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.gpu.yml"])
def test_every_setting_has_a_default_and_is_documented(file: str, repo: Path) -> None:
    text = (repo / file).read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == set(re.findall(r"\$\{(\w+):-[^}]*\}", text))
    documented = (repo / "docs" / "containers.md").read_text(encoding="utf-8")
    assert {name for name in used if f"`{name}`" not in documented} == set()


def test_no_file_has_a_version_that_new_compose_warns_of(
    stack: dict[str, Any], overlay: dict[str, Any]
) -> None:
    assert "version" not in stack and "version" not in overlay
