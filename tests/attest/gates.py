"""Finished gates to attest: scripted runs with a record, as tests/gate makes them, and keys."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from chaos.attest.options import AttestOptions, VerifyOptions
from chaos.gate.state import GateDir
from tests.gate.standin import PROVENANCE, Bench, ScriptedRunner

STEPS = ["soak_b clean", "soak_b under llm_timeout", "soak_c clean", "soak_c under llm_timeout"]
NOW_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z
DAY_S = 86_400.0
WORKER = b"print('a daemon')\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


LOCAL: dict[str, Any] = {
    **PROVENANCE,
    "git": {"revision": "a" * 40, "dirty": False},
    "assets": {
        "model_name": "tiny",
        "model_sha256": sha256(b"model"),
        "llama_build": "xllamacpp 1",
        "toxiproxy_version": "2",
    },
    "watcher": {
        "programs_sha256": sha256(b"all programs"),
        "programs": {"daemon/worker.py": sha256(WORKER), "daemon/gone.py": "absent"},
    },
}
IMAGES = {name: f"sha256:{sha256(name.encode())}" for name in ("injector", "llm", "watcher")}
PUBLISHED = f"registry.example/me/watcher@sha256:{sha256(b'manifest')}"
DOCKER: dict[str, Any] = {
    **LOCAL,
    "watcher": None,
    "containers": {"digests": IMAGES, "published": [PUBLISHED]},
}


def finished_gate(
    folder: Path,
    words: dict[str, str] | None = None,
    provenance: dict[str, Any] = LOCAL,
    **options: Any,
) -> GateDir:
    """A gate whose runs were judged as `words` says (a step that is not named passes)."""
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder)
    bench.begin(ScriptedRunner(words, provenance=dict.fromkeys(STEPS, provenance)), **options)
    return bench.folder


def attest_options(gate: GateDir, key: Path, **changes: Any) -> AttestOptions:
    return AttestOptions(gate=str(gate.path), key=key, **changes)


def verify_options(file: Path, key: Path, **changes: Any) -> VerifyOptions:
    return VerifyOptions(file=file, key=key, **changes)


def payload(envelope: bytes) -> dict[str, Any]:
    """The statement in the file of an attestation, unchecked."""
    content: dict[str, Any] = json.loads(b64decode(json.loads(envelope)["payload"]))
    return content
