"""DSSE: the published vectors, and a reader that takes nothing but the one right form."""

from __future__ import annotations

import json

import pytest

from chaos.attest.envelope import (
    BYTES_MAX,
    SIGNATURES_MAX,
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

GOOD = {"payload": "e30=", "payloadType": "t", "signatures": [{"sig": "AAAA"}]}


def test_signed_bytes_are_those_of_the_protocol() -> None:
    """The vector of the DSSE protocol document, and the length in bytes of non-ASCII text."""
    assert (
        signed_bytes("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert signed_bytes("é", b"\xff\x00") == b"DSSEv1 2 \xc3\xa9 2 \xff\x00"
    assert signed_bytes("", b"") == b"DSSEv1 0  0 "


def test_signature_of_the_protocol_document_verifies() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    from chaos.attest import keys

    public = keys.PublicKey(
        ec.EllipticCurvePublicNumbers(
            46950820868899156662930047687818585632848591499744589407958293238635476079160,
            5640078356564379163099075877009565129882514886557779369047442380624545832820,
            ec.SECP256R1(),
        ).public_key()
    )
    raw = base64_bytes(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==",
        "signature",
    )
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert public.verifies(der, signed_bytes("http://example.com/HelloWorld", b"hello world"))
    assert not public.verifies(der, signed_bytes("http://example.com/HelloWorld", b"hello world!"))


def test_envelope_is_read_as_it_was_written() -> None:
    envelope = Envelope(payload="e30=", payload_type="t", signatures=[Signature("AAAA", "k")])
    written = envelope_bytes(envelope)
    assert read_envelope(written) == envelope
    assert written.count(b"\n") == 1 and written.endswith(b"\n")


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"hello", bytes(range(256))])
def test_base64_is_read_in_both_alphabets(content: bytes) -> None:
    text = base64_text(content)
    assert base64_bytes(text, "payload") == content
    assert base64_bytes(text.replace("+", "-").replace("/", "_"), "payload") == content


@pytest.mark.parametrize("text", ["e30", "e31=", "e30=\n", "e30=e30=", "é", "=", "e3 0=", "e30=="])
def test_other_base64_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="base64"):
        base64_bytes(text, "payload")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payload": 3}, "Expected `str`"),
        ({"payload": None}, "Expected `str`"),
        ({"extra": 1}, "unknown field"),
        ({"signatures": []}, "length >= 1"),
        ({"signatures": [{"sig": "AAAA"}] * (SIGNATURES_MAX + 1)}, "length <= 16"),
        ({"signatures": [{"keyid": "k"}]}, "sig"),
        ({"signatures": [{"sig": "AAAA", "cert": "x"}]}, "unknown field"),
        ({"signatures": {"sig": "AAAA"}}, "Expected `array`"),
    ],
)
def test_envelope_of_another_form_is_refused(change: dict[str, object], message: str) -> None:
    assert read_envelope(json.dumps(GOOD).encode()).payload == "e30="
    with pytest.raises(Refused, match=message):
        read_envelope(json.dumps({**GOOD, **change}).encode())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"{}{}", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": 1, "a": 2}', "a key twice"),
        (b'{"a": {"b": 1, "b": 1}}', "a key twice"),
        (b'"\\ud800"', "not JSON"),
        (b"1e999", "not JSON"),
        (b"NaN", "no JSON number"),
        (b"[-Infinity]", "no JSON number"),
        (b"9" * 10_000, "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
    ],
)
def test_what_is_no_plain_json_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message):
        json_value(raw, "file")


def test_file_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(Refused, match="larger than 8 MiB"):
        read_envelope(b" " * (BYTES_MAX + 1))
