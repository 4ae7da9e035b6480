from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.attest.command import attest
from chaos.gate.state import GateDir
from tests.attest.gates import NOW_S, attest_options, finished_gate


@dataclass(frozen=True)
class Signed:
    """A gate that passed, the pair that signed it, and its attestation."""

    gate: GateDir
    key: Path
    public: Path
    file: Path


@pytest.fixture(scope="session")
def passed_gate(tmp_path_factory: pytest.TempPathFactory) -> GateDir:
    """One PRODUCTION-READY gate for all tests, which copy it before they change it."""
    return finished_gate(tmp_path_factory.mktemp("passed"))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key; the public one is beside it."""
    from chaos.attest import keys

    path = tmp_path_factory.mktemp("keys") / "signer.pem"
    keys.make_pair(path)
    return path


@pytest.fixture
def gate(passed_gate: GateDir, tmp_path: Path) -> GateDir:
    """A copy of the gate that passed."""
    return GateDir(Path(shutil.copytree(passed_gate.path, tmp_path / "gate", symlinks=True)))


@pytest.fixture
def signed(gate: GateDir, pair: Path, capsys: pytest.CaptureFixture[str]) -> Signed:
    assert attest(attest_options(gate, pair), lambda: NOW_S) == 0
    capsys.readouterr()
    return Signed(gate, pair, pair.with_name("signer.pem.pub"), gate.path / "attestation.json")
