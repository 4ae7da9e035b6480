"""Assets: what a run needs that is no Python package, i.e. the model file and Toxiproxy.

`ensure` provisions what is missing, `locate` only looks, `status` tells. Knows nothing of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaos.assets import cache, model, toxiproxy
from chaos.assets.progress import Progress, Quiet
from chaos.base.errors import EnvironmentProblem

__all__ = ["AssetStatus", "Assets", "ensure", "locate", "status"]


@dataclass(frozen=True)
class Assets:
    """Everything a run needs, checked, with what provenance has to record.

    `toxiproxy_version` is what the binary reports, `llama_build` the package that carries the
    llama.cpp server, with its version. `toxiproxy` None: the built-in proxy of last resort is
    used, because of `toxiproxy_reason`.
    """

    model: Path
    model_sha256: str
    model_name: str
    toxiproxy: Path | None
    toxiproxy_version: str
    llama_build: str
    toxiproxy_reason: str = ""

    @property
    def files(self) -> list[Path]:
        """Those that are files: what a sandbox must keep visible."""
        return [self.model, *([self.toxiproxy] if self.toxiproxy is not None else [])]

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to `locate` the very same assets."""
        if self.toxiproxy is not None:
            return {}
        return {
            toxiproxy.VARIABLE: toxiproxy.BUILTIN,
            toxiproxy.REASON_VARIABLE: self.toxiproxy_reason,
        }

    def proxy(self) -> dict[str, str]:
        """Which TCP proxy, for provenance."""
        kind = toxiproxy.BUILTIN if self.toxiproxy is None else "toxiproxy"
        return {"kind": kind, "version": self.toxiproxy_version, "reason": self.toxiproxy_reason}


@dataclass(frozen=True)
class AssetStatus:
    """One asset as it is now; `detail` says where it is, or what is wrong with it."""

    name: str
    state: Literal["ready", "absent", "broken"]
    detail: str


def locate() -> Assets:
    """What is there, verified, without provisioning anything.

    Raises `EnvironmentProblem` naming `chaos setup` when something is missing.
    """
    found_model = model.find(Quiet())
    found_toxiproxy = toxiproxy.find()
    missing = [
        name
        for name, found in (("the model", found_model), ("Toxiproxy", found_toxiproxy))
        if found is None
    ]
    if found_model is None or found_toxiproxy is None:
        raise EnvironmentProblem(
            f"{' and '.join(missing)} not provisioned yet",
            place=str(cache.cache_dir()),
            next_step="run `chaos setup`; or set CHAOS_MODEL and CHAOS_TOXIPROXY",
        )
    return _assets(found_model, found_toxiproxy)


def ensure(
    progress: Progress | None = None, *, verify: bool = False, repair: bool = False
) -> Assets:
    """What is there, verified; what is missing is provisioned first, once for all processes.

    `verify` reads the model anew even if it seems unchanged; `repair` replaces a pinned model
    that is corrupt instead of refusing it. Where no Toxiproxy can be had the built-in proxy is
    taken, and that is said. Raises `EnvironmentProblem` naming the alternatives.
    """
    progress = progress or Quiet()
    found_model = _find_model(progress, verify, repair)
    found_toxiproxy = toxiproxy.find()
    if found_model is None or found_toxiproxy is None:
        with cache.exclusive(lambda: progress.note("waiting for another set-up ...")) as work:
            # Looked up again: who held the lock before us may have provisioned it.
            found_model = _find_model(progress, verify, repair)
            if found_model is None:
                model.provision(progress, work)
                found_model = model.find(progress)
            found_toxiproxy = toxiproxy.find()
            if found_toxiproxy is None:
                found_toxiproxy = _provision_toxiproxy(progress, work)
    if found_model is None or found_toxiproxy is None:
        raise EnvironmentProblem(
            "an asset vanished right after it was provisioned",
            place=str(cache.cache_dir()),
            next_step="start again, and let nothing else clear the cache meanwhile",
        )
    if found_toxiproxy.path is None:
        progress.note(f"TCP proxy: the built-in one ({found_toxiproxy.reason})")
    return _assets(found_model, found_toxiproxy)


def _provision_toxiproxy(progress: Progress, work: Path) -> toxiproxy.Toxiproxy | None:
    try:
        toxiproxy.provision(progress, work)
    except toxiproxy.CannotBeHad as problem:
        return toxiproxy.builtin(" ".join(problem.message.split()))
    return toxiproxy.find()


def _find_model(progress: Progress, verify: bool, repair: bool) -> model.Model | None:
    try:
        return model.find(progress, afresh=verify)
    except EnvironmentProblem:
        if not repair or not model.is_ours():
            raise
        return None


def _assets(found_model: model.Model, found_toxiproxy: toxiproxy.Toxiproxy) -> Assets:
    return Assets(
        model=found_model.path,
        model_sha256=found_model.sha256,
        model_name=found_model.path.stem,
        toxiproxy=found_toxiproxy.path,
        toxiproxy_version=found_toxiproxy.version,
        llama_build=_llama_build(),
        toxiproxy_reason=found_toxiproxy.reason,
    )


def _llama_build() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"xllamacpp {version('xllamacpp')}"
    except PackageNotFoundError as error:
        raise EnvironmentProblem(
            "the package xllamacpp, which carries the LLM server, is not installed",
            next_step="start with ./scripts/chaos, which installs what is locked",
        ) from error


def status() -> list[AssetStatus]:
    """Each asset's state; never raises for one that is missing or broken."""
    return [_status_of("model"), _status_of("toxiproxy")]


def _status_of(name: Literal["model", "toxiproxy"]) -> AssetStatus:
    try:
        if name == "model":
            found = model.find(Quiet())
            detail = f"{found.path} (SHA-256 {found.sha256[:12]}...)" if found else ""
        else:
            server = toxiproxy.find()
            detail = _described(server) if server else ""
    except EnvironmentProblem as problem:
        return AssetStatus(name, "broken", str(problem))
    return AssetStatus(name, "ready" if detail else "absent", detail or "not provisioned yet")


def _described(server: toxiproxy.Toxiproxy) -> str:
    if server.path is None:
        return f"the built-in proxy ({server.reason})"
    return f"{server.path} ({server.version}, from {server.origin})"
