"""The bills of materials: they follow the schema and name all that is locked, with its hashes."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow(seconds=15)


@pytest.fixture(scope="module")
def module(repo: Path) -> dict[str, Any]:
    return runpy.run_path(str(repo / "scripts" / "sbom.py"))


@pytest.fixture(scope="module")
def bills(module: dict[str, Any]) -> dict[str, Any]:
    """Every bill; each was checked against the schema when it was made."""
    made: dict[str, str] = module["bills"]()
    return {name: json.loads(text) for name, text in made.items()}


def components(bill: Any) -> dict[str, Any]:
    return {f"{one['name']}@{one.get('version', '')}": one for one in bill["components"]}


def test_there_is_one_for_the_wheel_and_for_each_dockerfile(bills: Any, repo: Path) -> None:
    variants = {".cuda": "-cuda", "": ""}
    images = {
        f"image-{path.parent.name}{variants[path.suffix]}.cdx.json"
        for path in repo.glob("images/*/Dockerfile*")
    }
    assert set(bills) == {"wheel.cdx.json"} | images


@pytest.mark.parametrize(
    ("bill", "lock"),
    [
        ("wheel", "requirements.lock"),
        ("wheel", "chaos/assets/wheels.lock"),
        ("image-injector", "images/injector/requirements.lock"),
        ("image-llm", "images/llm/requirements.lock"),
        ("image-watcher", "images/watcher/requirements.lock"),
        ("image-watcher-cuda", "images/watcher/requirements.cuda.lock"),
    ],
)
def test_all_of_a_lock_is_named_with_all_hashes(
    bill: str, lock: str, bills: Any, repo: Path
) -> None:
    named = components(bills[f"{bill}.cdx.json"])
    entries = re.split(r"(?m)^(?=[A-Za-z])", (repo / lock).read_text())[1:]
    for entry in entries:
        name, version = re.match(r"([\w.-]+)==([\w.+!]+)", entry).groups()  # type: ignore[union-attr]
        (where,) = named[f"{name}@{version}"]["externalReferences"]
        hashes = {one["content"] for one in where["hashes"]}
        assert hashes == set(re.findall(r"sha256:([0-9a-f]{64})", entry)), name


def test_what_no_lock_has_is_named_too(bills: Any) -> None:
    from chaos.assets import pins

    wheel = components(bills["wheel.cdx.json"])
    assert wheel[f"{pins.MODEL_FILE}@"]["hashes"][0]["content"] == pins.MODEL_SHA256
    assert f"{pins.TOXIPROXY_MODULE}@{pins.TOXIPROXY_VERSION}" in wheel
    assert any(name.startswith("uplot@") for name in wheel)
    for name in ("injector", "llm", "toxiproxy", "watcher", "watcher-cuda"):
        assert "libgomp1@" in components(bills[f"image-{name}.cdx.json"]), name


def test_bill_is_of_this_version_and_names_its_parts(bills: Any) -> None:
    from chaos import __version__

    for bill in bills.values():
        root = bill["metadata"]["component"]
        assert root["version"] == __version__
        (own,) = (one for one in bill["dependencies"] if one["ref"] == root["bom-ref"])
        assert set(own["dependsOn"]) == {one["bom-ref"] for one in bill["components"]}


def test_bill_that_breaks_the_schema_is_refused(module: dict[str, Any]) -> None:
    root = module["_file"]("root", "0" * 64)
    module["bill"](root, [module["_file"]("a", "0" * 64)])
    with pytest.raises(ValueError, match="root"):
        module["bill"](root, [module["_file"]("a", "no checksum")])
