"""What a run in containers records of a user's own image: by which digest it can be deployed.

The engine is a stand-in that knows one image.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.assets import Assets
from chaos.plan.plan import Plan
from chaos.record.target_llm import LLMSpec
from chaos.runner.containers.prepare import OWN_WATCHER, prepare
from chaos.runner.containers.settings import Settings
from chaos.stack.docker import compose, engine, images
from chaos.stack.docker.images import Image

OURS = {"watcher": Image("watcher", "chaos-gate/watcher:1", "sha256:ours", False, 0.0)}
PUBLISHED = ["b.example/w@sha256:2", "a.example/w@sha256:1"]


class Engine:
    """Knows the image `mine`, and closes."""

    def __init__(self, published: list[str] | None) -> None:
        image = SimpleNamespace(id="sha256:mine", attrs={"RepoDigests": published})
        self.images = SimpleNamespace(get=lambda name: {"mine": image}[name])

    def close(self) -> None:
        """Nothing is open."""


def prepared(
    monkeypatch: pytest.MonkeyPatch, folder: Path, own: str | None, published: list[str] | None
) -> Settings:
    facts = SimpleNamespace(rootless=False, address="", to_json=dict)
    command = SimpleNamespace(argv=("compose",), version="2")
    monkeypatch.setattr(compose, "find", lambda: command)
    monkeypatch.setattr(engine, "connect", lambda: Engine(published))
    monkeypatch.setattr(engine, "facts", lambda _client: facts)
    monkeypatch.setattr(images, "ensure", lambda *_args, **_more: dict(OURS))
    monkeypatch.delenv(OWN_WATCHER, raising=False)
    if own:
        monkeypatch.setenv(OWN_WATCHER, own)
    model = folder / "model.gguf"
    model.touch(0o644)
    llm = LLMSpec(upstream="127.0.0.1:8081", control="127.0.0.1:8079")
    target: Any = SimpleNamespace(llm=llm, target="t")
    plan = cast(Plan, SimpleNamespace(target=target, gpu=False))
    assets = Assets(model, "", "", Path("/toxiproxy"), "2", "llama")
    return prepare(plan, assets, lambda _text: None)


def test_own_image_is_recorded_by_the_digests_of_its_registries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = prepared(monkeypatch, tmp_path, "mine", PUBLISHED)
    assert settings.images["watcher"] == "mine"
    assert settings.digests["watcher"] == "sha256:mine"
    assert settings.published == sorted(PUBLISHED)


def test_image_that_no_registry_has_is_recorded_by_its_id_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert prepared(monkeypatch, tmp_path, "mine", None).published == []
    assert prepared(monkeypatch, tmp_path, "mine", []).published == []
    ours = prepared(monkeypatch, tmp_path, None, PUBLISHED)
    assert (ours.digests["watcher"], ours.published) == ("sha256:ours", [])
