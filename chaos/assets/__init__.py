"""Assets: the things a run needs that are not Python packages, i.e. the model and Toxiproxy.

`ensure` provisions missing assets; `locate` and `status` never do. This package must not know
runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaos.assets import cache, model, toxiproxy
from chaos.assets.progress import Quiet, Reporter
from chaos.base.errors import EnvironmentProblem

__all__ = ["AssetStatus", "Assets", "ensure", "locate", "status"]


@dataclass(frozen=True)
class Assets:
    """The verified assets of a run, with the values that its provenance records.

    `toxiproxy` is None if the built-in proxy is used; `toxiproxy_reason` says why.
    `toxiproxy_version` is the version that the binary reports. `llama_build` is the name and
    version of the package that contains the llama.cpp server.
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
        """The paths of the assets, which a sandbox must keep visible."""
        return [self.model, *([self.toxiproxy] if self.toxiproxy is not None else [])]

    def environment(self) -> dict[str, str]:
        """The variables with which `locate` in a child process returns the same assets."""
        if self.toxiproxy is not None:
            return {}
        return {
            toxiproxy.VARIABLE: toxiproxy.BUILTIN,
            toxiproxy.REASON_VARIABLE: self.toxiproxy_reason,
        }

    def proxy(self) -> dict[str, str]:
        """The TCP proxy as provenance records it: kind, version, reason."""
        kind = toxiproxy.BUILTIN if self.toxiproxy is None else "toxiproxy"
        return {"kind": kind, "version": self.toxiproxy_version, "reason": self.toxiproxy_reason}


@dataclass(frozen=True)
class AssetStatus:
    """The state of one asset. `detail` is its path and version, or the problem."""

    name: str
    state: Literal["ready", "absent", "broken"]
    detail: str


def locate() -> Assets:
    """Return the verified assets, without provisioning any.

    Raises `EnvironmentProblem` if one is missing; its next step is `chaos setup`.
    """
    model_file = model.find(Quiet())
    proxy = toxiproxy.find()
    if model_file is None or proxy is None:
        missing = ["the model"] if model_file is None else []
        if proxy is None:
            missing.append("Toxiproxy")
        raise EnvironmentProblem(
            f"{' and '.join(missing)} not provisioned yet",
            place=str(cache.cache_dir()),
            next_step="run `chaos setup`; or set CHAOS_MODEL and CHAOS_TOXIPROXY",
        )
    return _assets(model_file, proxy)


def ensure(
    progress: Reporter | None = None, *, verify: bool = False, repair: bool = False
) -> Assets:
    """Return the verified assets, and provision missing ones first.

    Several processes may call this at the same time: one provisions, the others wait. `verify`
    reads the whole model even if the file seems unchanged. `repair` replaces a corrupt pinned
    model instead of raising. If no Toxiproxy can be built, the built-in proxy is used and
    `progress` gets a note. Raises `EnvironmentProblem`, which names the alternatives.
    """
    progress = progress or Quiet()
    model_file = _find_model(progress, verify, repair)
    proxy = toxiproxy.find()
    if model_file is None or proxy is None:
        with cache.exclusive(lambda: progress.note("waiting for another set-up ...")) as work:
            # Look again: the previous holder of the lock may have provisioned them.
            model_file = _find_model(progress, verify, repair)
            if model_file is None:
                model.provision(progress, work)
                model_file = model.find(progress)
            proxy = toxiproxy.find()
            if proxy is None:
                proxy = _provision_toxiproxy(progress, work)
    if model_file is None or proxy is None:
        raise EnvironmentProblem(
            "an asset vanished right after it was provisioned",
            place=str(cache.cache_dir()),
            next_step="start again, and let nothing else clear the cache meanwhile",
        )
    if proxy.path is None:
        progress.note(f"TCP proxy: the built-in one ({proxy.reason})")
    return _assets(model_file, proxy)


def _provision_toxiproxy(progress: Reporter, work: Path) -> toxiproxy.Toxiproxy | None:
    try:
        toxiproxy.provision(progress, work)
    except toxiproxy.Unavailable as problem:
        return toxiproxy.builtin(" ".join(problem.message.split()))
    return toxiproxy.find()


def _find_model(progress: Reporter, verify: bool, repair: bool) -> model.Model | None:
    try:
        return model.find(progress, reread=verify)
    except EnvironmentProblem:
        if not repair or not model.is_pinned():
            raise
        return None


def _assets(model_file: model.Model, proxy: toxiproxy.Toxiproxy) -> Assets:
    return Assets(
        model=model_file.path,
        model_sha256=model_file.sha256,
        model_name=model_file.path.stem,
        toxiproxy=proxy.path,
        toxiproxy_version=proxy.version,
        llama_build=_llama_build(),
        toxiproxy_reason=proxy.reason,
    )


def _llama_build() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"xllamacpp {version('xllamacpp')}"
    except PackageNotFoundError as error:
        raise EnvironmentProblem(
            "the package xllamacpp, which carries the LLM server, is not installed",
            next_step="install chaos-gate with its dependencies (in a checkout: ./scripts/chaos)",
        ) from error


def status() -> list[AssetStatus]:
    """Return each asset's state. A missing or broken asset raises no error."""
    return [_status_of("model"), _status_of("toxiproxy")]


def _status_of(name: Literal["model", "toxiproxy"]) -> AssetStatus:
    try:
        if name == "model":
            file = model.find(Quiet())
            detail = f"{file.path} (SHA-256 {file.sha256[:12]}...)" if file else ""
        else:
            proxy = toxiproxy.find()
            detail = _proxy_text(proxy) if proxy else ""
    except EnvironmentProblem as problem:
        return AssetStatus(name, "broken", str(problem))
    return AssetStatus(name, "ready" if detail else "absent", detail or "not provisioned yet")


def _proxy_text(proxy: toxiproxy.Toxiproxy) -> str:
    if proxy.path is None:
        return f"the built-in proxy ({proxy.reason})"
    return f"{proxy.path} ({proxy.version}, from {proxy.origin})"
