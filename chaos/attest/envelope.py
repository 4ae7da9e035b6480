"""The DSSE envelope (github.com/secure-systems-lab/dsse, protocol v1.0): bytes and signatures.

What comes in may be written by anybody, so the reader is strict: limits on size and signatures, no
key twice, no unknown field, canonical base64. Whatever is wrong raises `Refused`. Knows no keys and
nothing of what is signed.
"""

import base64
import binascii
import json
from typing import Annotated, Any

import msgspec

from chaos.base.errors import ChaosError
from chaos.base.exitcode import ExitCode

PAYLOAD_TYPE = "application/vnd.in-toto+json"
BYTES_MAX = 8 << 20
SIGNATURES_MAX = 16


class Refused(ChaosError):
    """The attestation must not be believed (exit 1)."""

    exit_code = ExitCode.FAIL


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One signature (base64). `keyid` is a hint which key made it, and is not signed."""

    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A payload (base64) with its type and signatures."""

    payload: str
    payload_type: str
    signatures: Annotated[list[Signature], msgspec.Meta(min_length=1, max_length=SIGNATURES_MAX)]


def signed_bytes(payload_type: str, body: bytes) -> bytes:
    """The bytes that a signature is over: DSSE's pre-authentication encoding (PAE)."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(body), body)


def base64_text(content: bytes) -> str:
    """Standard base64 of `content`."""
    return base64.b64encode(content).decode("ascii")


def base64_bytes(text: str, what: str) -> bytes:
    """The bytes of a standard or URL-safe base64 text. Raises `Refused` unless it is canonical.

    Otherwise another text would be as good, and a changed file would still verify.
    """
    standard = text.replace("-", "+").replace("_", "/")
    try:
        content = base64.b64decode(standard.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"the {what} is not base64") from error
    if base64_text(content) != standard:
        raise Refused(f"the {what} is not canonical base64")
    return content


def json_value(raw: bytes, what: str) -> Any:
    """The JSON value in `raw`. Raises `Refused`, also for a key that an object has twice.

    Two readers have to accept it: one sees keys twice, the other half of a surrogate pair.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_not_a_number
        )
        msgspec.json.decode(raw)
    except RecursionError as error:
        raise Refused(f"the {what} is not JSON: nested too deeply") from error
    except (ValueError, msgspec.DecodeError) as error:  # of `json`, all are a ValueError
        raise Refused(f"the {what} is not JSON: {error}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("an object has a key twice")
    return content


def _not_a_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def read_envelope(raw: bytes) -> Envelope:
    """The envelope in the bytes of a file. Raises `Refused`."""
    if len(raw) > BYTES_MAX:
        raise Refused(f"larger than {BYTES_MAX >> 20} MiB")
    try:
        return msgspec.convert(json_value(raw, "file"), Envelope)
    except msgspec.ValidationError as error:
        raise Refused(f"not a DSSE envelope: {error}") from error


def envelope_bytes(envelope: Envelope) -> bytes:
    """The file of an envelope: one line, as tools that take several in a file expect."""
    return msgspec.json.encode(envelope) + b"\n"
