"""Keys: made, read from PEM files, used to sign and to verify. Ed25519, or ECDSA P-256 (SHA-256).

The only module that knows the library. Importing it raises `EnvironmentProblem` without that.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from chaos.base.errors import EnvironmentProblem, UsageError, os_errors_told

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.hashes import SHA256
except ImportError as problem:
    raise EnvironmentProblem(
        f"keys need the package `cryptography`, which cannot be imported ({problem})",
        next_step="pip install cryptography, into the environment that chaos runs in",
    ) from problem

KINDS = "Ed25519 or ECDSA P-256"
_FILE_BYTES_MAX = 64 << 10
_MAKE = "make a pair: chaos attest --new-key FILE"


@dataclass(frozen=True)
class PublicKey:
    """Verifies. `keyid`: SHA-256 (hex) of the key as DER (SubjectPublicKeyInfo)."""

    key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    @property
    def keyid(self) -> str:
        """Names this key in an envelope."""
        encoded = self.key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(encoded).hexdigest()

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Whether the private key of this one has signed `content`."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, content)
            else:
                self.key.verify(signature, content, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """A key that signs: Ed25519, or ECDSA on P-256."""

    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this one signs."""
        return PublicKey(self.key.public_key())

    def sign(self, content: bytes) -> bytes:
        """A signature over `content`: of Ed25519 64 bytes, of ECDSA DER."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(content)
        return self.key.sign(content, ec.ECDSA(SHA256()))


def read_private(path: Path) -> PrivateKey:
    """The private key in a PEM file. Raises `UsageError` if it cannot be used."""
    content = _content(path)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as error:  # how the library says that it wants a password
        raise UsageError(
            "the private key is encrypted",
            place=str(path),
            next_step="decrypt it into a file that only you can read: "
            "(umask 077; openssl pkey -in ENCRYPTED -out PLAIN)",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("private", path) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return PrivateKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return PrivateKey(key)
    raise _other_kind(path)


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file. Raises `UsageError` if it cannot be used."""
    content = _content(path)
    if b"PRIVATE KEY-----" in content:
        raise UsageError(
            "this is a private key, and verifying needs the public one",
            place=str(path),
            next_step="give FILE.pub; keep the private key away from where you verify",
        )
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key("public", path) from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(key)
    raise _other_kind(path)


def others_can_read(path: Path) -> bool:
    """Whether the mode of a file lets others than its owner read it."""
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def make_pair(path: Path) -> Path:
    """Write a new Ed25519 pair: `path` (only its owner can read it) and `path`.pub, the second
    of which is returned. Raises `UsageError` if one of them exists.
    """
    public_path = path.with_name(f"{path.name}.pub")
    for one in (path, public_path):
        if os.path.lexists(one):
            raise UsageError(
                "the file exists, and a key is never overwritten",
                place=str(one),
                next_step="name another file",
            )
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with os_errors_told("cannot write the key", path, next_step="name another file"):
        _write_new(path, secret, 0o600)
        try:
            _write_new(public_path, public, 0o644)
        except OSError:
            path.unlink()
            raise
    return public_path


def _write_new(path: Path, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        path.unlink()
        raise


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise UsageError("not a file", place=str(path), next_step="name a PEM file")
        with path.open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the key: {error.strerror}",
            place=str(path),
            next_step=f"check the path and its mode, or {_MAKE}",
        ) from error
    if len(content) > _FILE_BYTES_MAX:
        raise UsageError("too large for a key", place=str(path), next_step="name a PEM file")
    return content


def _no_key(kind: str, path: Path) -> UsageError:
    return UsageError(
        f"not a {kind} key in PEM form", place=str(path), next_step=f"{KINDS}; or {_MAKE}"
    )


def _other_kind(path: Path) -> UsageError:
    return UsageError(f"the key is not {KINDS}", place=str(path), next_step=_MAKE)
