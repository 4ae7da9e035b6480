"""The options of `chaos attest` and `chaos verify`. Standard library only (`chaos --help`)."""

from collections.abc import Sequence
from pathlib import Path

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common

VALID_DAYS = 30


class AttestOptions(Options):
    """Sign what a finished gate found: an in-toto statement that `chaos verify` checks."""

    EPILOG = """\
examples:
  chaos attest --new-key signer.pem             once: makes signer.pem (secret) and signer.pem.pub
  chaos attest latest --key signer.pem          writes attestation.json into the gate's folder
  chaos attest runs/gate/20260203-101500-s7-1a2b --key signer.pem --out watcher.json
  chaos verify watcher.json --key signer.pem.pub

Only PRODUCTION-READY is attested as PASSED; NEEDS FIXES and NOT PROVEN are attested as FAILED. A
run whose verdict or record was changed since it was judged is refused. Keys are PEM: Ed25519 or
ECDSA P-256 (openssl genpkey -algorithm ed25519 -out signer.pem). More: docs/attest.md

exit codes:
  0    attested; the word PASSED or FAILED says what
  2    no such gate, a gate that is not finished, a key that cannot be used
  4    the evidence is not what was judged, or something is missing on this machine
"""

    gate: str | None = option("a gate's folder, its name, or latest", "GATE", positional=True)
    key: Path | None = option("private key that signs", "FILE")
    out: Path | None = option("default: attestation.json in the gate's folder", "FILE")
    valid_days: int = option(
        f"days until the attestation expires (default: {VALID_DAYS})", "N", default=VALID_DAYS
    )
    new_key: Path | None = option("make a key pair, FILE and FILE.pub, and stop", "FILE")
    runs: Path = common.RUNS
    json: bool = common.PRINT_JSON


class VerifyOptions(Options):
    """Check an attestation without a network: signature, form, expiry, subject; is it PASSED?"""

    EPILOG = """\
examples:
  chaos verify attestation.json --key signer.pem.pub
  chaos verify attestation.json --key signer.pem.pub --subject daemon/ --subject start.py
  chaos verify attestation.json --key signer.pem.pub --subject ghcr.io/me/watcher@sha256:4f0c...
  chaos verify attestation.json --key signer.pem.pub --policy policy.yaml --json

A policy is a YAML file; each key is optional:
  passed: [soak_c clean, soak_c under llm_timeout]   tests that must be among the passed ones
  profile: full                                      the scale of the gate
  max_age_days: 14                                   made at most so long ago
  configuration: {model: "sha256:b179c952..."}       the digest of what the runs used
  min_detection: 0.95                                measured rates of the harness
  max_false_alarms: 0.1

exit codes:
  0    verified, and PASSED
  1    refused (signature, form, expiry, subject, policy), or verified and FAILED
  2    a file that cannot be read, a key that cannot be used, a wrong policy
  4    something is missing on this machine
"""

    file: Path = option("the attestation", "FILE", positional=True)
    key: Path | None = option("public key of the signer", "FILE")
    subject: Sequence[str] = option(
        "what is to be deployed, and must be attested: a file, a folder with all its files, or "
        "sha256:HEX or NAME@sha256:HEX of an image; may be repeated",
        "PATH|DIGEST",
    )
    policy: Path | None = option("further conditions", "FILE")
    json: bool = common.PRINT_JSON
