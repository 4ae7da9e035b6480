"""The statement that is signed: in-toto Statement v1 with the Test Result predicate v0.1.

The shapes are those that the in-toto project publishes (github.com/in-toto/attestation:
spec/v1/statement.md, spec/v1/resource_descriptor.md, spec/predicates/test-result.md and their
protos). `test_result.schema.json` says the same as a JSON Schema; a test compares the two. Unknown
fields are ignored, as that specification asks. Knows no gate and no signature.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

STATEMENT: Final = "https://in-toto.io/Statement/v1"
TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
GATE = "gate"  # the test that stands for the verdict of the whole gate
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TIME_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
# Only digests of these algorithms are compared; each is lower-case hex of that many digits.
_DIGITS = {"sha256": (64,), "sha384": (96,), "sha512": (128,), "gitCommit": (40, 64)}

Rate = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A ResourceDescriptor; `content` is base64. It has one of `uri`, `digest`, `content`."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = {}
    content: str = ""
    download_location: str = ""
    media_type: str = ""
    annotations: dict[str, Any] = {}


class Measured(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How often the harness itself was right, by its truth table (docs/track-record.md)."""

    defects: Count
    caught: Count
    causes_right: Count
    healthy: Count
    accused: Count


class Rates(Measured, frozen=True, kw_only=True, rename="camel"):
    """The counts of the truth table and their two rates, so that a policy need not divide."""

    detection_rate: Rate
    false_alarm_rate: Rate


class RunResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One run of the gate, by the hashes of what it was judged from and of its verdict."""

    name: str
    verdict: str
    verdict_sha256: str
    record_sha256: str


class Extension(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Our extension field. `created` and `expires` are UTC; without it nothing is verified."""

    version: Literal[1] = 1
    chaos: str  # the version that judged
    gate_id: str
    verdict: Literal["PRODUCTION-READY", "NEEDS FIXES", "NOT PROVEN"]
    reason: str
    profile: str
    created: str
    expires: str
    measured: Rates
    runs: list[RunResult]


class Predicate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The Test Result predicate v0.1, with our extension field."""

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: list[Descriptor]
    url: str | UnsetType = UNSET
    passed_tests: list[str] = []
    warned_tests: list[str] = []
    failed_tests: list[str] = []
    chaos_gate: Extension | UnsetType = UNSET


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An in-toto Statement v1 about `subject`."""

    type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type")
    subject: Annotated[list[Descriptor], Meta(min_length=1)]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"]
    predicate: Predicate


def time_text(epoch_s: float) -> str:
    """A moment as the statement writes it: RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime(_TIME)


def epoch_s(text: str) -> float | None:
    """Inverse of `time_text`; None for anything else."""
    if not _TIME_FORM.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:  # the 30th of February
        return None


def well_formed(algorithm: str, value: str) -> bool:
    """Whether a digest has the form of its algorithm; one that we do not know has any."""
    digits = _DIGITS.get(algorithm)
    return digits is None or (
        len(value) in digits and re.fullmatch(r"[0-9a-f]+", value, re.ASCII) is not None
    )


def problem(statement: Statement) -> str:
    """What the published rules say against the statement beyond its types; "" for nothing."""
    described = [
        ("subject", statement.subject),
        ("configuration", statement.predicate.configuration),
    ]
    for kind, descriptors in described:
        for number, one in enumerate(descriptors):
            place = f"{kind}[{number}]"
            if kind == "subject" and not one.digest:
                return f"{place} has no digest"
            if not (one.digest or one.uri or one.content):
                return f"{place} has none of digest, uri and content"
            for algorithm, value in one.digest.items():
                if not well_formed(algorithm, value):
                    return f"{place}: not a {algorithm} digest"
    return _contradiction(statement.predicate)


def _contradiction(predicate: Predicate) -> str:
    """What makes the predicate contradict itself; "" for nothing."""
    failed = predicate.failed_tests
    if predicate.result == "PASSED" and failed:
        return f"it says PASSED, and that {failed[0]!r} failed"
    if predicate.result == "FAILED" and not failed:
        return "it says FAILED, and names no test that failed"
    own = predicate.chaos_gate
    if own is UNSET:
        return ""
    if (predicate.result == "PASSED") != (own.verdict == "PRODUCTION-READY"):
        return f"it says {predicate.result}, and that the gate is {own.verdict}"
    created, expires = epoch_s(own.created), epoch_s(own.expires)
    if created is None or expires is None:
        return "created and expires must be times like 2026-02-03T10:15:00Z"
    return "" if created < expires else "it expires before it was made"
