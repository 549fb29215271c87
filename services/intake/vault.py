"""The vault's cipher: AES-256-GCM with a random nonce, bound to the row it belongs to, under the first of several keys.

A key is known by the first 8 hex digits of its SHA-256, which each sealed value carries: rotation is putting the new
key in front and running `zhida intake vault reseal`. Random 96-bit nonces are safe for 2^32 values under one key.

Errors:
    VaultError          a value cannot be opened
        MissingKey      it was sealed under a key this process does not have
        Damaged         it was changed, moved to another row, or its key is not the one it names
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class VaultError(Exception):
    """A sealed value cannot be opened."""


class MissingKey(VaultError):
    """The key it was sealed under is not among ours."""


class Damaged(VaultError):
    """It is not what was sealed for this row."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value only the vault can read."""

    key_id: str
    nonce: bytes  # 12 bytes
    body: bytes  # ciphertext and tag


class Vault:
    """Seals with the first key, opens with any. Safe to use from several threads."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Args: `keys`: 32 bytes each, the current one first."""
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.current = key_id(keys[0])

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the keys at hand, the current one first."""
        return tuple(self._ciphers)

    def seal(self, row: UUID, value: bytes) -> Sealed:
        """Seal bytes for the row with that id; they open for no other."""
        nonce = os.urandom(12)
        return Sealed(self.current, nonce, self._ciphers[self.current].encrypt(nonce, value, row.bytes))

    def open(self, row: UUID, sealed: Sealed) -> bytes:
        """What was sealed for that row. Raises MissingKey or Damaged."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            ours = ", ".join(self.key_ids)
            raise MissingKey(f"sealed under vault key {sealed.key_id}; this process has {ours}")
        try:
            return cipher.decrypt(sealed.nonce, sealed.body, row.bytes)
        except InvalidTag:
            raise Damaged(f"the value sealed under vault key {sealed.key_id} for row {row} was changed") from None

    def seal_fields(self, row: UUID, fields: Mapping[str, str]) -> Sealed:
        """Seal named texts for a row."""
        return self.seal(row, orjson.dumps(dict(fields)))

    def open_fields(self, row: UUID, sealed: Sealed) -> dict[str, str]:
        """Named texts sealed for a row. Raises MissingKey or Damaged."""
        fields: dict[str, str] = orjson.loads(self.open(row, sealed))
        return fields


def key_id(key: bytes) -> str:
    """How a key is named without being told."""
    return hashlib.sha256(key).hexdigest()[:8]


def read_keys(text: str) -> list[bytes]:
    """Keys written in base64, separated by spaces, commas or line breaks, the current one first.

    Raises: ValueError that says which of them is wrong, never its text.
    """
    keys = []
    for number, word in enumerate(text.replace(",", " ").split(), 1):
        try:
            key = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"key {number} is not base64") from None
        if len(key) != 32:
            raise ValueError(f"key {number} has {len(key)} bytes, not 32")
        keys.append(key)
    if not keys:
        raise ValueError("there is no key in it")
    return keys


def new_key() -> str:
    """A new key in base64."""
    return base64.b64encode(os.urandom(32)).decode()
