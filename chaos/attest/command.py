"""`chaos attest` and `chaos verify`: from options to files, text and an exit code."""

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.attest.envelope import BYTES_MAX, Refused
from chaos.attest.options import AttestOptions, VerifyOptions
from chaos.attest.policy import read_policy
from chaos.attest.statement import Statement
from chaos.attest.subject import subjects_named
from chaos.base import output
from chaos.base.errors import EnvironmentProblem, UsageError, os_errors_told
from chaos.base.exitcode import ExitCode
from chaos.base.printable import printable
from chaos.base.yamlfile import shown
from chaos.gate.state import find_gate
from chaos.record.rundir import write_atomic

if TYPE_CHECKING:
    from chaos.attest.examine import Examined

FILE = "attestation.json"
_DAYS_MAX = 366
_LISTED_MAX = 3  # subjects that are printed
_OBJECTIONS_MAX = 12
_MARKS = {True: "✓", False: "✗"}

Clock = Callable[[], float]


def attest(options: AttestOptions, clock: Clock = time.time) -> int:
    """Sign what a gate found, or make a key pair. Returns 0; raises `ChaosError`."""
    if options.new_key is not None:
        return _make_key(options.new_key)
    if options.gate is None:
        raise UsageError(
            "which gate?",
            place="chaos attest",
            next_step="name its folder, e.g. chaos attest latest --key FILE",
        )
    if options.key is None:
        raise UsageError(
            "which key signs?",
            place="--key",
            next_step="--key FILE; make a pair once: chaos attest --new-key FILE",
        )
    if not 1 <= options.valid_days <= _DAYS_MAX:
        raise UsageError("out of range", place="--valid-days", next_step=f"from 1 to {_DAYS_MAX}")
    return _attest(options, options.gate, options.key, clock)


def _attest(options: AttestOptions, gate: str, key_path: Path, clock: Clock) -> int:
    from chaos.attest.content import statement_of
    from chaos.attest.evidence import read_evidence
    from chaos.attest.examine import examine, sign
    from chaos.attest.keys import others_can_read, read_private
    from chaos.attest.measured import read_measured

    folder = find_gate(gate, options.runs, place="chaos attest")
    key = read_private(key_path)
    if others_can_read(key_path):
        _warn(f"{key_path}: others can read this key\n  next: chmod 600 {_word(key_path)}")
    evidence = read_evidence(folder)
    now_s = clock()
    statement = statement_of(
        evidence, measured=read_measured(), now_epoch_s=now_s, valid_days=options.valid_days
    )
    content = sign(statement, key)
    try:
        examined = examine(content, key.public, now_epoch_s=now_s)
    except Refused as error:
        raise EnvironmentProblem(
            f"`chaos verify` would refuse it: {error.message}", place=str(folder.path)
        ) from error
    path = options.out or folder.path / FILE
    with os_errors_told(
        "cannot write the attestation", path, next_step="name another file with --out FILE"
    ):
        write_atomic(path, content.decode("ascii"))
    told = {**_content(examined), "file": str(path)}
    _say(options.json, told, [*_lines("ATTESTED", examined), f"  file       {shown(path)}"])
    return ExitCode.PASS


def _make_key(path: Path) -> int:
    from chaos.attest.keys import make_pair, read_public

    public = make_pair(path)
    lines = (
        f"private key  {path} (keep it secret; only you can read it)",
        f"public key   {public} (for everybody who verifies)",
        f"keyid        {read_public(public).keyid}",
    )
    output.say(lambda: print("\n".join(lines), flush=True))
    return ExitCode.PASS


def verify(options: VerifyOptions, clock: Clock = time.time) -> int:
    """Check an attestation, and print what it attests. Returns 0 if it is good, else 1."""
    from chaos.attest.examine import examine
    from chaos.attest.keys import read_public

    if options.key is None:
        raise UsageError(
            "by whose key?", place="--key", next_step="--key FILE, the signer's public key (PEM)"
        )
    key = read_public(options.key)
    policy = None if options.policy is None else read_policy(options.policy)
    subjects = [one for given in options.subject for one in subjects_named(given)]
    raw = _read(options.file)
    try:
        examined = examine(raw, key, now_epoch_s=clock(), subjects=subjects, policy=policy)
    except Refused as error:
        told = {"verified": False, "passed": False, "objections": [error.message]}
        _say(options.json, told, [f"✗ REFUSED   {error.message}"])
        return ExitCode.FAIL
    lines = _lines("VERIFIED", examined)
    if options.subject:
        matched = {one.sha256 for one in subjects} & examined.digests
        lines.append(f"  matched    {len(matched)} of {len(examined.digests)} subjects")
    else:
        lines.append("  unchecked  whether this is what you deploy: --subject PATH or sha256:HEX")
    _say(options.json, _content(examined), lines)
    return ExitCode.PASS if examined.passed else ExitCode.FAIL


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise UsageError("not a file", place=str(path), next_step="name an attestation")
        with path.open("rb") as stream:
            return stream.read(BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the attestation: {error.strerror}",
            place=str(path),
            next_step="name a file that `chaos attest` wrote",
        ) from error


def _lines(word: str, examined: "Examined") -> list[str]:
    """What is attested, in a few lines, the answer first."""
    own, predicate = examined.own, examined.statement.predicate
    says = f"{predicate.result}  {own.verdict}: {own.reason}"
    if examined.objections:
        first, *others = examined.objections
        lines = [f"✗ REFUSED   {first}"]
        lines += [f"            {text}" for text in others[:_OBJECTIONS_MAX]]
        if len(others) > _OBJECTIONS_MAX:
            lines.append(f"            and {len(others) - _OBJECTIONS_MAX} more (--json)")
        lines.append(f"  says       {says}")
    else:
        lines = [f"{_MARKS[examined.passed]} {word:<9} {says}"]
    measured = own.measured
    return [
        *lines,
        f"  subject    {_subject_text(examined.statement)}",
        f"  gate       {own.gate_id}, profile {own.profile}, chaos {own.chaos}, "
        f"{len(own.runs)} runs, {len(predicate.passed_tests)} passed tests",
        f"  harness    caught {measured.caught} of {measured.defects} planted defects, accused "
        f"{measured.accused} of {measured.healthy} healthy Watchers",
        f"  valid      {own.created} to {own.expires}",
        f"  key        {examined.keyid}",
    ]


def _subject_text(statement: Statement) -> str:
    texts = [f"{one.name} {one.digest.get('sha256', '')[:12]}" for one in statement.subject]
    more = len(texts) - _LISTED_MAX
    return ", ".join(texts[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _content(examined: "Examined") -> dict[str, Any]:
    statement = examined.statement
    return {
        "verified": True,
        "passed": examined.passed,
        "objections": list(examined.objections),
        "result": statement.predicate.result,
        "subject": msgspec.to_builtins(statement.subject),
        "gate": msgspec.to_builtins(examined.own),
        "keyid": examined.keyid,
    }


def _say(as_json: bool, content: dict[str, Any], lines: list[str]) -> None:
    text = json.dumps(content, indent=2, sort_keys=True) if as_json else printable("\n".join(lines))
    output.say(lambda: print(text, flush=True))


def _warn(text: str) -> None:
    print(printable(f"chaos: warning: {text}"), file=sys.stderr, flush=True)


def _word(path: Path) -> str:
    return shlex.quote(str(path))
