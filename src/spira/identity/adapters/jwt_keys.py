"""Ed25519 keys that sign tokens: PEM files in one folder, named by nobody, found by their `kid`."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from spira.kernel.errors import InvalidInput, Problem

FIRST = "jwt-0001.pem"


@dataclass(frozen=True, kw_only=True)
class SigningKeys:
    """All keys whose tokens are still good; the last one by file name signs."""

    kid: str
    private: Ed25519PrivateKey
    public: dict[str, Ed25519PublicKey]


def load_or_create(folder: Path) -> SigningKeys:
    """The keys `jwt-*.pem` in `folder`; an empty folder gets its first, readable by its owner alone.

    Of several processes that start at once, one makes the key and all use it. Raises InvalidInput when a file is no
    Ed25519 private key.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = sorted(folder.glob("jwt-*.pem")) or [_create(folder)]
    keys = {_kid(key.public_key()): key for key in map(_load, files)}
    last = list(keys)[-1]
    return SigningKeys(kid=last, private=keys[last], public={kid: key.public_key() for kid, key in keys.items()})


def _create(folder: Path) -> Path:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle, made = tempfile.mkstemp(dir=folder, prefix=".making-")  # mkstemp: mode 0600 from the first moment
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(handle)
        os.link(made, folder / FIRST)
    except FileExistsError:
        pass  # another process was faster; its key is as good
    finally:
        Path(made).unlink()
    return folder / FIRST


def _load(file: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _unusable(file) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(file)
    return key


def _unusable(file: Path) -> InvalidInput:
    hint = "make one with: openssl genpkey -algorithm ed25519"
    return InvalidInput.of([Problem(where=str(file), what="is no Ed25519 private key in PEM", hint=hint)])


def _kid(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return sha256(raw).hexdigest()[:16]
