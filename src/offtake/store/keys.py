"""The operator's signing key: a file that only its owner may read. It is never written anywhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from offtake.base.errors import BadInput, Problem

FILE = "statement.key"


class SigningKey:
    """An Ed25519 key; prints nothing of itself."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public(self) -> str:
        """The public key, in hex."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """A signature, in hex."""
        return self._key.sign(message).hex()

    def seed(self) -> bytes:
        """The private bytes, from which salts are derived; never to be written or shown."""
        return self._key.private_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningKey({self.public[:16]}…)"


def verifies(public: str, message: bytes, signature: str) -> bool:
    """Whether a signature is that key's over the message."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def new_key(directory: Path) -> SigningKey:
    """Make a key where there is none.

    Raises:
        BadInput: if there is one already: statements are chained under it.
    """
    path = directory / FILE
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise _problem(
            path, "key_exists", "there is a key already, and statements are signed with it"
        ) from error
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return SigningKey(key)


def load_key(directory: Path) -> SigningKey | None:
    """The key of a book, or None where it has none.

    Raises:
        BadInput: if others than its owner may read it, or if it is no Ed25519 key.
    """
    path = directory / FILE
    if not path.exists():
        return None
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _problem(
            path,
            "key_open",
            f"others may read the signing key (mode {stat.S_IMODE(mode):04o})",
            remedy=f"chmod 600 {path}, and make a new key if somebody may have read it",
        )
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _problem(path, "no_key", "it holds no private key that can be read") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _problem(path, "no_key", "it holds another kind of key than Ed25519")
    return SigningKey(key)


def _problem(path: Path, code: str, message: str, remedy: str = "") -> BadInput:
    return BadInput([Problem(where=str(path), code=code, message=message, remedy=remedy)])
