"""The two commands at the keyboard: keys, refusals with a next step, exit codes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.attest.command import attest, verify
from chaos.attest.envelope import PAYLOAD_TYPE, signed_bytes
from chaos.base.errors import EnvironmentProblem
from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.gate.state import GateDir
from tests.attest.conftest import Signed
from tests.attest.gates import (
    DAY_S,
    NOW_S,
    attest_options,
    finished_gate,
    payload,
    verify_options,
)


def test_attest_writes_one_file_that_verify_accepts(
    gate: GateDir, pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in gate.path.iterdir()}
    assert attest(attest_options(gate, pair), lambda: NOW_S) == ExitCode.PASS
    out = capsys.readouterr().out
    assert out.startswith("✓ ATTESTED  PASSED  PRODUCTION-READY: all 4 runs pass")
    assert {path.name for path in gate.path.iterdir()} - before == {"attestation.json"}
    file = gate.path / "attestation.json"
    options = verify_options(file, pair.with_name("signer.pem.pub"))
    assert verify(options, lambda: NOW_S + DAY_S) == ExitCode.PASS


def test_gate_that_needs_fixes_is_attested_as_failed(
    tmp_path: Path, pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = finished_gate(tmp_path, {"soak_b clean": "fail"})
    capsys.readouterr()
    out = tmp_path / "failed.json"
    assert attest(attest_options(gate, pair, out=out), lambda: NOW_S) == ExitCode.PASS
    assert "✗ ATTESTED  FAILED  NEEDS FIXES: failed: soak_b clean" in capsys.readouterr().out
    options = verify_options(out, pair.with_name("signer.pem.pub"))
    assert verify(options, lambda: NOW_S) == ExitCode.FAIL


def test_days_of_validity_are_written(
    gate: GateDir, pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = attest_options(gate, pair, valid_days=7, json=True)
    assert attest(options, lambda: NOW_S) == ExitCode.PASS
    content = json.loads(capsys.readouterr().out)
    assert content["gate"]["expires"] == "2027-01-22T08:00:00Z"
    written = payload(Path(content["file"]).read_bytes())
    assert written["predicate"]["chaosGate"] == content["gate"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attest"], "which gate?"),
        (["attest", "latest"], "which key signs?"),
        (["attest", "nowhere", "--key", "KEY"], "no gate at 'nowhere'"),
        (["attest", "GATE", "--key", "nowhere.pem"], "cannot read the key: No such file"),
        (["attest", "GATE", "--key", "."], "not a file"),
        (["attest", "GATE", "--key", "KEY.pub"], "not a private key in PEM form"),
        (["attest", "GATE", "--key", "KEY", "--valid-days", "0"], "--valid-days: out of range"),
        (["attest", "GATE", "--key", "KEY", "--valid-days", "367"], "from 1 to 366"),
        (["attest", "--new-key", "KEY"], "a key is never overwritten"),
        (["verify", "FILE"], "by whose key?"),
        (["verify", "nowhere.json", "--key", "KEY.pub"], "cannot read the attestation"),
        (["verify", ".", "--key", "KEY.pub"], "not a file"),
        (["verify", "FILE", "--key", "KEY"], "this is a private key"),
        (["verify", "FILE", "--key", "FILE"], "not a public key in PEM form"),
        (["verify", "FILE", "--key", "KEY.pub", "--subject", "nowhere.py"], "--subject nowhere.py"),
        (["verify", "FILE", "--key", "KEY.pub", "--subject", "EMPTY"], "no file is in it"),
        (["verify", "FILE", "--key", "KEY.pub", "--policy", "nowhere.yaml"], "cannot read"),
    ],
)
def test_wrong_words_exit_2_with_a_next_step(
    words: list[str],
    message: str,
    signed: Signed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"GATE": str(signed.gate.path), "KEY": str(signed.key), "KEY.pub": str(signed.public)}
    names |= {"FILE": str(signed.file), "EMPTY": str(tmp_path / "empty")}
    (tmp_path / "empty").mkdir()
    signed.file.rename(tmp_path / "kept.json")
    shutil.copy(tmp_path / "kept.json", signed.file)
    assert main([names.get(word, word) for word in words]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert message in err and "next: " in err and "Traceback" not in err


def test_refused_file_exits_1_and_says_so(
    signed: Signed, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.file.write_text("{}")
    words = ["verify", str(signed.file), "--key", str(signed.public)]
    assert main(words) == ExitCode.FAIL
    assert capsys.readouterr().out.startswith("✗ REFUSED   not a DSSE envelope: ")
    assert main([*words, "--json"]) == ExitCode.FAIL
    content = json.loads(capsys.readouterr().out)
    assert (content["verified"], content["passed"]) == (False, False)


def test_control_characters_of_a_hostile_file_are_not_printed(
    signed: Signed, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(signed.file.read_text()) | {"payloadType": "\x1b[31mred"}
    signed.file.write_text(json.dumps(content))
    assert main(["verify", str(signed.file), "--key", str(signed.public)]) == ExitCode.FAIL
    assert "\x1b" not in capsys.readouterr().out


def test_changed_evidence_exits_4(
    gate: GateDir, pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = gate.run(gate.read().steps[0])
    assert run is not None
    run.verdict.write_text("{}")
    assert main(["attest", str(gate.path), "--key", str(pair)]) == ExitCode.INVALID
    err = capsys.readouterr().err
    assert "not what the gate judged" in err and "chaos gate --resume" in err
    assert not (gate.path / "attestation.json").exists()


# -- keys -------------------------------------------------------------------------------------


def test_new_key_is_private_and_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = os.umask(0)  # the mode must not depend on it
    try:
        assert main(["attest", "--new-key", str(tmp_path / "k.pem")]) == ExitCode.PASS
    finally:
        os.umask(old)
    assert "keep it secret" in capsys.readouterr().out
    assert stat.S_IMODE((tmp_path / "k.pem").stat().st_mode) == 0o600
    before = (tmp_path / "k.pem").read_bytes()
    (tmp_path / "k.pem.pub").unlink()
    assert main(["attest", "--new-key", str(tmp_path / "k.pem")]) == ExitCode.USAGE
    assert (tmp_path / "k.pem").read_bytes() == before
    (tmp_path / "m.pem.pub").symlink_to("nowhere")
    assert main(["attest", "--new-key", str(tmp_path / "m.pem")]) == ExitCode.USAGE
    assert not (tmp_path / "m.pem").exists()
    assert main(["attest", "--new-key", str(tmp_path / "no" / "k.pem")]) == ExitCode.INVALID


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_key_that_others_can_read_is_warned_of(
    mode: int,
    warned: bool,
    gate: GateDir,
    pair: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = Path(shutil.copy(pair, tmp_path / "signer.pem"))
    key.chmod(mode)
    assert attest(attest_options(gate, key), lambda: NOW_S) == ExitCode.PASS
    assert ("others can read this key" in capsys.readouterr().err) == warned


OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
P256 = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
ED25519 = ["genpkey", "-algorithm", "ed25519"]


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)


@OPENSSL
@pytest.mark.parametrize("made", [ED25519, P256], ids=["ed25519", "p256"])
def test_keys_of_openssl_sign_and_verify(
    made: list[str], gate: GateDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, public = tmp_path / "key.pem", tmp_path / "key.pub"
    openssl(*made, "-out", str(key))
    openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))
    assert attest(attest_options(gate, key), lambda: NOW_S) == ExitCode.PASS
    file = gate.path / "attestation.json"
    assert verify(verify_options(file, public), lambda: NOW_S) == ExitCode.PASS
    content = json.loads(file.read_text())
    content["payload"] = content["payload"].replace("A", "B", 1)
    file.write_text(json.dumps(content))
    assert verify(verify_options(file, public), lambda: NOW_S) == ExitCode.FAIL


@OPENSSL
def test_openssl_verifies_our_signature(signed: Signed, tmp_path: Path) -> None:
    """A second implementation agrees on what was signed, and with what."""
    content = json.loads(signed.file.read_text())
    body = base64.b64decode(content["payload"])
    (tmp_path / "content").write_bytes(signed_bytes(PAYLOAD_TYPE, body))
    (tmp_path / "sig").write_bytes(base64.b64decode(content["signatures"][0]["sig"]))
    given = ["-rawin", "-in", str(tmp_path / "content"), "-sigfile", str(tmp_path / "sig")]
    openssl("pkeyutl", "-verify", "-pubin", "-inkey", str(signed.public), *given)


@OPENSSL
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "not Ed25519 or"),
        ([*P256[:-1], "ec_paramgen_curve:P-384"], "not Ed25519 or ECDSA P-256"),
        (["genpkey", "-algorithm", "X25519"], "not Ed25519 or ECDSA P-256"),
        ([*ED25519, "-aes256", "-pass", "pass:x"], "the private key is encrypted"),
    ],
    ids=["rsa", "p384", "x25519", "encrypted"],
)
def test_other_keys_are_refused(
    made: list[str],
    message: str,
    gate: GateDir,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key, public = tmp_path / "key.pem", tmp_path / "key.pub"
    openssl(*made, "-out", str(key))
    assert main(["attest", str(gate.path), "--key", str(key)]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert message in err and "next: " in err
    if "encrypted" in message:
        return
    openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))
    assert main(["verify", str(gate.state), "--key", str(public)]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"x" * 99_999,
    ],
)
def test_damaged_keys_are_refused(content: bytes, gate: GateDir, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(content)
    assert main(["attest", str(gate.path), "--key", str(key)]) == ExitCode.USAGE
    assert main(["verify", str(gate.state), "--key", str(key)]) == ExitCode.USAGE


def test_missing_library_is_named_with_a_next_step(
    gate: GateDir, pair: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "chaos.attest.keys")
    monkeypatch.delitem(sys.modules, "chaos.attest.examine", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    assert main(["attest", str(gate.path), "--key", str(pair)]) == ExitCode.INVALID
    err = capsys.readouterr().err
    assert "the package `cryptography`" in err and "pip install" in err
    with pytest.raises(EnvironmentProblem):
        verify(verify_options(gate.state, pair))
