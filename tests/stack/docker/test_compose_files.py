"""The compose files as texts: every container is confined, limited and labelled."""

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
from chaos.record.target_llm import LLMSpec
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


def test_compose_files_have_the_four_services(
    stack: dict[str, Any], overlay: dict[str, Any]
) -> None:
    assert set(stack["services"]) == SERVICES
    assert set(overlay["services"]) == SERVICES - {"toxiproxy"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_confined_and_limited(name: str, stack: dict[str, Any]) -> None:
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
def test_no_setting_weakens_the_confinement(file: str, repo: Path) -> None:
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


def test_services_share_one_pod_with_an_init(stack: dict[str, Any]) -> None:
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


def test_network_has_no_route_out_and_no_resolver(stack: dict[str, Any]) -> None:
    options = stack["networks"]["pod"]["driver_opts"]
    assert options == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    assert stack["services"]["injector"]["dns"] == ["127.0.0.1"]


def test_workspace_is_a_limited_tmpfs_of_the_containers_user(stack: dict[str, Any]) -> None:
    options = stack["volumes"]["workspace"]["driver_opts"]
    assert options["type"] == "tmpfs"
    assert options["o"].split(",") == [
        "size=${CHAOS_WORKSPACE_SIZE:-256m}",
        "uid=${CHAOS_UID:-10001}",
        "gid=${CHAOS_GID:-10001}",
        "mode=0755",
    ]


def test_toxiproxy_by_hand_has_the_same_proxy_as_in_a_run(repo: Path) -> None:
    (proxy,) = json.loads((repo / "images" / "toxiproxy" / "llm.json").read_text())
    assert proxy == {
        "name": "llm",  # of ToxiproxyClient
        "listen": "0.0.0.0:8080",  # published, so not on the pod's loopback only
        "upstream": "127.0.0.1:8081",
        "enabled": True,
    }


def test_run_sets_every_image_variable_of_the_files(
    stack: dict[str, Any], overlay: dict[str, Any], tmp_path: Path
) -> None:
    """Without the variable, compose would use an image that the user built by hand."""
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
    target = SimpleNamespace(workspace=SimpleNamespace(size_mb=1), llm=LLMSpec())
    plan = cast(Plan, SimpleNamespace(target=target))
    variables = settings.variables(plan, RunDir(tmp_path / "soak" / "run"))
    for services in (stack["services"], overlay["services"]):
        for name, service in services.items():
            (asked,) = re.findall(r"^\$\{(\w+):-", service["image"])
            assert variables[asked] == f"made:{name}"


def test_gpu_services_reserve_a_gpu_and_the_injector_only_reads(overlay: dict[str, Any]) -> None:
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


def test_compose_files_have_no_obsolete_version_key(
    stack: dict[str, Any], overlay: dict[str, Any]
) -> None:
    assert "version" not in stack and "version" not in overlay
