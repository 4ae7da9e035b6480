"""Signs a statement, and examines what somebody says is a signed one.

Reads no file and no clock, and needs no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from chaos.attest.envelope import (
    PAYLOAD_TYPE,
    Envelope,
    Refused,
    Signature,
    base64_bytes,
    base64_text,
    envelope_bytes,
    json_value,
    read_envelope,
    signed_bytes,
)
from chaos.attest.keys import PrivateKey, PublicKey
from chaos.attest.policy import Policy, objections
from chaos.attest.statement import Extension, Statement, epoch_s, problem
from chaos.attest.subject import Subject
from chaos.base.foreign import written_out_in

_CLOCK_SLACK_S = 300.0  # by which the signer's clock may be ahead


def sign(statement: Statement, key: PrivateKey) -> bytes:
    """The file of an attestation: the statement in an envelope, signed by `key`."""
    body = msgspec.json.encode(written_out_in(msgspec.to_builtins(statement)))
    signature = key.sign(signed_bytes(PAYLOAD_TYPE, body))
    return envelope_bytes(
        Envelope(
            payload=base64_text(body),
            payload_type=PAYLOAD_TYPE,
            signatures=[Signature(keyid=key.public.keyid, sig=base64_text(signature))],
        )
    )


@dataclass(frozen=True)
class Examined:
    """An attestation with a valid signature; `objections`: why it is not enough all the same."""

    statement: Statement
    own: Extension
    keyid: str
    objections: tuple[str, ...]

    @property
    def digests(self) -> frozenset[str]:
        """The SHA-256 (hex) of each subject."""
        found = (one.digest.get("sha256") for one in self.statement.subject)
        return frozenset(filter(None, found))

    @property
    def passed(self) -> bool:
        """Verified, and PASSED."""
        return not self.objections and self.statement.predicate.result == "PASSED"


def examine(
    raw: bytes,
    key: PublicKey,
    *,
    now_epoch_s: float,
    subjects: Sequence[Subject] = (),
    policy: Policy | None = None,
) -> Examined:
    """Check the bytes of an attestation. Raises `Refused` if it is none that `key` signed."""
    statement = _statement(_signed_body(read_envelope(raw), key))
    own = statement.predicate.chaos_gate
    if not isinstance(own, Extension):
        raise Refused("a test result, but not of a gate: it has no field chaosGate")
    found = [*_untimely(own, now_epoch_s), *_unattested(statement, subjects)]
    if policy is not None:
        found += objections(policy, statement.predicate, own, now_epoch_s)
    return Examined(statement, own, key.keyid, tuple(found))


def _signed_body(envelope: Envelope, key: PublicKey) -> bytes:
    """The payload, if a signature over it is by `key`; one with another `keyid` is passed over."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Refused(f"the payload is {envelope.payload_type!r}, not {PAYLOAD_TYPE}")
    body = base64_bytes(envelope.payload, "payload")
    content = signed_bytes(envelope.payload_type, body)
    for one in envelope.signatures:
        signature = base64_bytes(one.sig, "signature")
        if one.keyid in ("", key.keyid) and key.verifies(signature, content):
            return body
    raise Refused("no signature in it is by this key: it was changed, or another key signed it")


def _statement(body: bytes) -> Statement:
    try:
        statement = msgspec.convert(json_value(body, "payload"), Statement)
    except msgspec.ValidationError as error:
        raise Refused(f"not a test result of in-toto: {error}") from error
    if wrong := problem(statement):
        raise Refused(f"not a sound test result: {wrong}")
    return statement


def _untimely(own: Extension, now_epoch_s: float) -> list[str]:
    created_s, expires_s = epoch_s(own.created), epoch_s(own.expires)
    assert created_s is not None and expires_s is not None  # `problem` has looked
    if now_epoch_s >= expires_s:
        return [f"expired on {own.expires}"]
    if created_s > now_epoch_s + _CLOCK_SLACK_S:
        return [f"made on {own.created}, which is in the future: look at both clocks"]
    return []


def _unattested(statement: Statement, subjects: Sequence[Subject]) -> list[str]:
    attested = {one.digest.get("sha256") for one in statement.subject}
    return [
        f"{subject.given} is not what was tested (sha256 {subject.sha256[:16]}...)"
        for subject in subjects
        if subject.sha256 not in attested
    ]
