"""`chaos verify` believes what is signed, in time and about the right thing, and nothing else."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.attest import keys
from chaos.attest.command import verify
from chaos.attest.envelope import PAYLOAD_TYPE, Refused, base64_text, signed_bytes
from chaos.attest.examine import examine
from chaos.attest.policy import read_policy
from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from tests.attest.conftest import Signed
from tests.attest.gates import DAY_S, NOW_S, PUBLISHED, WORKER, payload, sha256, verify_options


def resigned(signed: Signed, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The statement with a change, validly signed by the same key."""
    content = payload(signed.file.read_bytes())
    change(content)
    return sealed(signed, json.dumps(content).encode())


def sealed(signed: Signed, body: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    key = keys.read_private(signed.key)
    signature = base64_text(key.sign(signed_bytes(payload_type, body)))
    envelope = {
        "payload": base64_text(body),
        "payloadType": payload_type,
        "signatures": [{"sig": signature}],
    }
    return json.dumps(envelope).encode()


def refusal(raw: bytes, signed: Signed, now_s: float = NOW_S) -> str:
    """Why it is refused."""
    with pytest.raises(Refused) as caught:
        examine(raw, keys.read_public(signed.public), now_epoch_s=now_s)
    return caught.value.message


def test_untouched_attestation_is_verified(
    signed: Signed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(verify_options(signed.file, signed.public), lambda: NOW_S) == ExitCode.PASS
    out = capsys.readouterr().out
    assert out.startswith("✓ VERIFIED  PASSED  PRODUCTION-READY: all 4 runs pass")
    assert "caught 72 of 72" in out and "unchecked" in out


def test_json_says_the_same(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    options = verify_options(signed.file, signed.public, json=True)
    assert verify(options, lambda: NOW_S) == ExitCode.PASS
    content = json.loads(capsys.readouterr().out)
    assert (content["verified"], content["passed"], content["result"]) == (True, True, "PASSED")
    assert content["gate"]["measured"]["detectionRate"] == 1.0
    assert verify(options, lambda: NOW_S + 31 * DAY_S) == ExitCode.FAIL
    content = json.loads(capsys.readouterr().out)
    assert (content["verified"], content["passed"]) == (True, False)
    assert content["objections"] == ["expired on 2027-02-14T08:00:00Z"]


@pytest.mark.parametrize(
    ("now_s", "objection"),
    [
        (NOW_S, ""),
        (NOW_S - 299, ""),
        (NOW_S - 301, "in the future"),
        (NOW_S + 30 * DAY_S - 1, ""),
        (NOW_S + 30 * DAY_S, "expired on"),
        (NOW_S + 3000 * DAY_S, "expired on"),
    ],
)
def test_time_of_validity_is_kept(now_s: float, objection: str, signed: Signed) -> None:
    examined = examine(signed.file.read_bytes(), keys.read_public(signed.public), now_epoch_s=now_s)
    assert examined.passed == (not objection)
    assert objection in "".join(examined.objections)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_no_byte_can_be_changed(mask: int, signed: Signed) -> None:
    raw = signed.file.read_bytes()
    public = keys.read_public(signed.public)
    step = max(1, len(raw) // 300)
    # Everything but the payload, and every so many bytes of that.
    positions = {*range(0, len(raw), step), *range(40), *range(len(raw) - 420, len(raw))}
    for position in sorted(positions):
        changed = bytearray(raw)
        changed[position] ^= mask
        with pytest.raises(Refused):
            examine(bytes(changed), public, now_epoch_s=NOW_S)
            pytest.fail(f"byte {position} of {raw[position - 9 : position + 9]!r} was changed")


def test_what_is_cut_off_is_refused(signed: Signed) -> None:
    raw = signed.file.read_bytes()
    for length in range(0, len(raw) - 1, 97):
        assert refusal(raw[:length], signed)


def test_another_key_is_refused(signed: Signed, tmp_path: Path) -> None:
    other = keys.make_pair(tmp_path / "other.pem")
    with pytest.raises(Refused, match="no signature in it is by this key"):
        examine(signed.file.read_bytes(), keys.read_public(other), now_epoch_s=NOW_S)


def test_one_good_signature_of_several_is_enough(signed: Signed) -> None:
    envelope = json.loads(signed.file.read_bytes())
    (good,) = envelope["signatures"]
    foreign = {"sig": base64_text(b"x" * 64), "keyid": "another"}
    bad = {"sig": base64_text(b"y" * 64)}
    envelope["signatures"] = [foreign, bad, {"sig": good["sig"]}]
    public = keys.read_public(signed.public)
    assert examine(json.dumps(envelope).encode(), public, now_epoch_s=NOW_S).passed
    envelope["signatures"] = [foreign, bad]
    assert "no signature" in refusal(json.dumps(envelope).encode(), signed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "not a test result"),
        (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), "not a test result"),
        (lambda s: s.update(subject=[]), "not a test result of in-toto"),
        (lambda s: s["predicate"].update(result="fine"), "not a test result of in-toto"),
        (lambda s: s["predicate"].pop("chaosGate"), "no field chaosGate"),
        (lambda s: s["predicate"]["chaosGate"].pop("expires"), "not a test result of in-toto"),
        (lambda s: s["predicate"]["chaosGate"].update(expires="never"), "must be times"),
        (lambda s: s["predicate"].update(failedTests=["x"]), "not a sound test result"),
    ],
)
def test_signed_statement_of_another_form_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, signed: Signed
) -> None:
    assert message in refusal(resigned(signed, change), signed)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"[" * 99_999, b'{"a":1,"a":1}'])
def test_signed_payload_that_is_no_statement_is_refused(body: bytes, signed: Signed) -> None:
    assert "payload" in refusal(sealed(signed, body), signed) or body in (b"[]", b"null")
    assert refusal(sealed(signed, body), signed)


def test_payload_of_another_type_is_refused(signed: Signed) -> None:
    """Although it is signed: the same bytes may mean something else there."""
    body = json.dumps(payload(signed.file.read_bytes())).encode()
    assert "the payload is 'text/plain'" in refusal(sealed(signed, body, "text/plain"), signed)


def test_failed_gate_is_verified_and_no_pass(
    signed: Signed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failed(statement: dict[str, Any]) -> None:
        statement["predicate"] |= {"result": "FAILED", "failedTests": ["gate"]}
        statement["predicate"]["chaosGate"] |= {"verdict": "NEEDS FIXES", "reason": "failed: x"}

    path = tmp_path / "failed.json"
    path.write_bytes(resigned(signed, failed))
    assert verify(verify_options(path, signed.public), lambda: NOW_S) == ExitCode.FAIL
    assert "✗ VERIFIED  FAILED  NEEDS FIXES: failed: x" in capsys.readouterr().out


# -- subjects ---------------------------------------------------------------------------------


def test_attested_file_is_accepted_and_another_is_not(
    signed: Signed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same, other = tmp_path / "worker.py", tmp_path / "other.py"
    same.write_bytes(WORKER)
    other.write_bytes(WORKER + b"#")
    options = verify_options(signed.file, signed.public, subject=[str(same)])
    assert verify(options, lambda: NOW_S) == ExitCode.PASS
    assert "matched    1 of 2 subjects" in capsys.readouterr().out
    options = verify_options(signed.file, signed.public, subject=[str(same), str(other)])
    assert verify(options, lambda: NOW_S) == ExitCode.FAIL
    out = capsys.readouterr().out
    assert out.startswith(f"✗ REFUSED   {other} is not what was tested")


def test_folder_may_hold_nothing_that_was_not_tested(
    signed: Signed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "daemon"
    (folder / "inner").mkdir(parents=True)
    options = verify_options(signed.file, signed.public, subject=[str(folder)])
    with pytest.raises(UsageError, match="no file is in it"):
        verify(options, lambda: NOW_S)
    (folder / "inner" / "worker.py").write_bytes(WORKER)
    assert verify(options, lambda: NOW_S) == ExitCode.PASS
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "worker.cpython-311.pyc").write_bytes(b"stale")
    assert verify(options, lambda: NOW_S) == ExitCode.FAIL
    assert "worker.cpython-311.pyc is not what was tested" in capsys.readouterr().out
    (folder / "__pycache__" / "worker.cpython-311.pyc").unlink()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="is a link to a folder"):
        verify(options, lambda: NOW_S)


def test_pipe_in_a_folder_does_not_block(signed: Signed, tmp_path: Path) -> None:
    folder = tmp_path / "daemon"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    for given in (folder / "pipe", folder):
        options = verify_options(signed.file, signed.public, subject=[str(given)])
        with pytest.raises(UsageError, match="pipe is not a file"):
            verify(options, lambda: NOW_S)


def test_image_is_named_by_its_digest(signed: Signed) -> None:
    digest = PUBLISHED.partition("sha256:")[2]
    raw = resigned(signed, lambda s: s["subject"].append({"digest": {"sha256": digest}}))
    path = signed.file.with_name("image.json")
    path.write_bytes(raw)

    def code(subject: str) -> int:
        options = verify_options(path, signed.public, subject=[subject])
        return verify(options, lambda: NOW_S)

    assert code(PUBLISHED) == code(f"sha256:{digest}") == ExitCode.PASS
    assert code(f"sha256:{sha256(b'another')}") == ExitCode.FAIL


# -- policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("passed: [gate, soak_c clean]", ""),
        ("passed: [soak_c under disk_full]", "'soak_c under disk_full' is not among the passed"),
        ("profile: quick", ""),
        ("profile: full", "the profile is 'quick', not 'full'"),
        ("max_age_days: 5", ""),
        ("max_age_days: 3", "older than 3 days"),
        (f"configuration: {{model: 'sha256:{sha256(b'model')}'}}", ""),
        (f"configuration: {{model: 'sha256:{sha256(b'other')}'}}", "'model' is not sha256:"),
        ("configuration: {weights: 'sha256:0'}", "'weights' is not sha256:0"),
        ("min_detection: 0.9\nmax_false_alarms: 0.1", ""),
    ],
)
def test_policy_asks_for_more(
    text: str,
    objection: str,
    signed: Signed,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)
    options = verify_options(signed.file, signed.public, policy=policy)
    code = verify(options, lambda: NOW_S + 4 * DAY_S)
    assert code == (ExitCode.FAIL if objection else ExitCode.PASS)
    assert objection in capsys.readouterr().out


def test_policy_refuses_a_harness_that_is_often_wrong(signed: Signed, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("min_detection: 0.9\nmax_false_alarms: 0.1\n")
    poor = {"caught": 8, "defects": 10, "accused": 2, "healthy": 10}
    poor_rates = {"causesRight": 8, "detectionRate": 0.8, "falseAlarmRate": 0.2}
    raw = resigned(signed, lambda s: s["predicate"]["chaosGate"].update(measured=poor | poor_rates))
    examined = examine(
        raw, keys.read_public(signed.public), now_epoch_s=NOW_S, policy=read_policy(policy)
    )
    assert examined.objections == (
        "policy: the harness caught 8 of 10 defects",
        "policy: the harness accused 2 of 10 healthy ones",
    )


@pytest.mark.parametrize("text", ["pased: [x]", "max_age_days: 0", "passed: gate", "[]", "a: &x"])
def test_wrong_policy_is_a_usage_error(
    text: str, signed: Signed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)
    words = ["verify", str(signed.file), "--key", str(signed.public), "--policy", str(policy)]
    assert main(words) == ExitCode.USAGE
    assert "policy.yaml" in capsys.readouterr().err


# -- anything at all --------------------------------------------------------------------------


@pytest.mark.slow(seconds=3)
def test_hostile_bytes_never_end_in_a_traceback(signed: Signed) -> None:
    """Random bytes, random JSON, and files with several pieces changed, moved and repeated."""
    public = keys.read_public(signed.public)
    raw = signed.file.read_bytes()
    stream = random.Random(7)
    for _ in range(3000):
        with pytest.raises(Refused):
            examine(_hostile(raw, stream), public, now_epoch_s=NOW_S)


def _hostile(raw: bytes, stream: random.Random) -> bytes:
    kind = stream.randrange(4)
    if kind == 0:
        return stream.randbytes(stream.randrange(200))
    if kind == 1:
        return json.dumps(_value(stream, 4)).encode()
    if kind == 2:
        envelope = json.loads(raw)
        name = stream.choice([*envelope, "new"])
        value = _value(stream, 3)
        envelope[name] = None if value == envelope.get(name) else value
        return json.dumps(envelope).encode()
    pieces = bytearray(raw)
    for _ in range(stream.randrange(1, 4)):
        start = stream.randrange(len(pieces))
        pieces[start : start + stream.randrange(50)] = stream.randbytes(stream.randrange(1, 50))
    return bytes(pieces)


def _value(stream: random.Random, depth: int) -> Any:
    words = ["payload", "payloadType", "signatures", "sig", "keyid", "", "\ud800", "\x00", "e30="]
    kind = stream.randrange(6 if depth else 4)
    if kind == 0:
        return stream.choice([None, True, 0, -1, 1e308, 2**70])
    if kind in (1, 2, 3):
        return stream.choice([*words, PAYLOAD_TYPE])
    if kind == 4:
        return [_value(stream, depth - 1) for _ in range(stream.randrange(4))]
    return {stream.choice(words): _value(stream, depth - 1) for _ in range(stream.randrange(5))}


@pytest.mark.slow(seconds=2)
def test_hostile_statement_of_the_right_signer_is_refused_or_read(signed: Signed) -> None:
    """A signer may err, too: whatever is in the payload, there is an answer."""
    public = keys.read_public(signed.public)
    stream = random.Random(11)
    refused = 0
    for _ in range(500):
        content = payload(signed.file.read_bytes())
        place: Any = content
        for _ in range(stream.randrange(4)):
            inner = [v for v in (place.values() if isinstance(place, dict) else place) if v]
            inner = [value for value in inner if isinstance(value, (dict, list))]
            place = stream.choice(inner) if inner else place
        if isinstance(place, dict):
            place[stream.choice([*place, "new"])] = _value(stream, 3)
        else:
            place.append(_value(stream, 3))
        try:
            examined = examine(
                sealed(signed, json.dumps(content).encode()), public, now_epoch_s=NOW_S
            )
            msgspec.to_builtins(examined.own)
        except Refused:
            refused += 1
    assert 0 < refused < 500
