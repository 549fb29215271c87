"""Signatures and keys of Standard Webhooks 1.0: v1 (HMAC-SHA256) and v1a (ed25519) over the same content."""

import base64
import contextlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET = 32  # bytes of the shared secret
SEED = 32  # bytes of the ed25519 private key
NONCE = 12  # bytes, AES-GCM


class SealBroken(Exception):
    """A stored key cannot be opened: another delivery key sealed it, or the row was changed."""


@dataclass(frozen=True, slots=True)
class Key:
    """What one endpoint's webhooks are signed with."""

    secret: bytes = field(repr=False)
    seed: bytes = field(repr=False)
    _private: Ed25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_private", Ed25519PrivateKey.from_private_bytes(self.seed))

    @property
    def shared(self) -> str:
        """The shared secret as the department is given it, `whsec_…`: to be shown once."""
        return "whsec_" + _base64(self.secret)

    @property
    def public(self) -> str:
        """The public key, `whpk_…`; no secret."""
        return "whpk_" + _base64(self._private.public_key().public_bytes_raw())

    def sign(self, content: bytes) -> str:
        """Both signatures, as they stand in the header."""
        shared = _base64(hmac.digest(self.secret, content, "sha256"))
        return f"v1,{shared} v1a,{_base64(self._private.sign(content))}"


def new_key() -> Key:
    """A fresh key from the system's random source."""
    return Key(secrets.token_bytes(SECRET), secrets.token_bytes(SEED))


def headers(keys: Sequence[Key], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three webhook headers of one attempt, a pair of signatures per valid key, the newest first.

    `webhook_id` stays the same over all attempts and must hold no dot; `at` (aware) is the attempt's own time.
    """
    timestamp = str(int(at.timestamp()))
    content = b"%b.%b.%b" % (webhook_id.encode(), timestamp.encode(), body)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(key.sign(content) for key in keys),
    }


def seal(key: Key, delivery_keys: Sequence[bytes], place: str) -> bytes:
    """The key, encrypted to be stored: nonce and AES-256-GCM under the first delivery key, bound to `place`."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(delivery_keys[0]).encrypt(nonce, key.secret + key.seed, place.encode())


def unseal(sealed: bytes, delivery_keys: Sequence[bytes], place: str) -> Key:
    """The key behind a stored row, opened with whichever delivery key sealed it. Raises SealBroken."""
    for delivery_key in delivery_keys:
        with contextlib.suppress(InvalidTag, ValueError):
            plain = AESGCM(delivery_key).decrypt(sealed[:NONCE], sealed[NONCE:], place.encode())
            return Key(plain[:SECRET], plain[SECRET:])
    raise SealBroken(f"no delivery key opens the key of {place}")


def place(department: str, key_id: UUID) -> str:
    """What a sealed key is bound to, so that a row cannot stand in for another."""
    return f"{department}/{key_id}"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
