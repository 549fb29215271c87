"""Signs and verifies webhooks as the Standard Webhooks specification 1.0 says.

SignatureError
├── KeyUnreadable           one of our own keys is not what its prefix promises
└── DeliveryUnverified      the delivery must not be believed
    ├── HeaderMissing
    ├── HeaderUnreadable
    ├── TimestampTooOld
    ├── TimestampTooNew
    └── SignatureMismatch   no signature belongs to a key we trust
"""

import base64
import binascii
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
TOLERANCE: Final = timedelta(minutes=5)

_SECRET_BYTES: Final = range(24, 65)  # the specification's bounds for a shared secret
_MOST_SIGNATURES: Final = 20  # far above any rotation; bounds the work a stranger can ask for


class SignatureError(Exception):
    """The root of this module's errors."""


class KeyUnreadable(SignatureError):
    """A key of ours is not what its prefix promises."""


class DeliveryUnverified(SignatureError):
    """The delivery must not be believed; `str()` says why, without quoting any key."""


class HeaderMissing(DeliveryUnverified):
    """One of the three webhook headers is absent."""


class HeaderUnreadable(DeliveryUnverified):
    """One of the three webhook headers is not written as the specification says."""


class TimestampTooOld(DeliveryUnverified):
    """Signed longer ago than the tolerance: possibly a replay."""


class TimestampTooNew(DeliveryUnverified):
    """Signed further in the future than the tolerance: one of the two clocks is wrong."""


class SignatureMismatch(DeliveryUnverified):
    """None of the signatures belongs to a key we trust."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook whose origin is proved."""

    id: str  # the same over every retry: what to deduplicate by
    timestamp: datetime  # of this attempt, UTC
    body: bytes  # exactly as signed
    scheme: str  # "v1" or "v1a": which signature convinced us


class Keys:
    """Keys read once, for a receiver which verifies many deliveries.

    `whsec_…` is a shared secret, `whpk_…` an ed25519 public key, `whsk_…` an ed25519 private key
    (its public half verifies). Several at once are several valid keys: that is how keys are rotated.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if isinstance(keys, str):
            raise KeyUnreadable("give a list of keys, not one string")
        self._secrets: list[bytes] = []
        self._public: list[Ed25519PublicKey] = []
        for key in keys:
            if key.startswith("whpk_"):
                self._public.append(_public_key(key))
            elif key.startswith("whsk_"):
                self._public.append(_private_key(key).public_key())
            else:
                self._secrets.append(_secret(key))
        if not self._secrets and not self._public:
            raise KeyUnreadable("no key given: nothing can be verified")

    def verify(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        now: datetime | None = None,
        tolerance: timedelta | None = TOLERANCE,
    ) -> Delivery:
        """The delivery, when one signature belongs to one of the keys and the time is right.

        `now` is aware, by default the clock's; `tolerance` counts both ways, None switches it off (for
        looking at an old capture only: without it a recorded delivery can be replayed for ever).
        Raises DeliveryUnverified.
        """
        delivery_id = _header(headers, ID_HEADER)
        written = _header(headers, TIMESTAMP_HEADER)
        signatures = _header(headers, SIGNATURE_HEADER).split(" ")
        if not _plain(delivery_id):
            raise HeaderUnreadable(f"{ID_HEADER}: expected 1 to 255 printable ASCII characters without '.'")
        timestamp = _timestamp(written)
        if tolerance is not None:
            _check_age(timestamp, time.time() if now is None else now.timestamp(), tolerance)
        if len(signatures) > _MOST_SIGNATURES:
            raise HeaderUnreadable(f"{SIGNATURE_HEADER}: more than {_MOST_SIGNATURES} signatures")
        scheme = self._match(_signed(delivery_id, written, body), signatures)
        if scheme is None:
            raise SignatureMismatch(f"{SIGNATURE_HEADER}: no signature belongs to a key we trust")
        return Delivery(delivery_id, datetime.fromtimestamp(timestamp, UTC), body, scheme)

    def _match(self, content: bytes, signatures: Sequence[str]) -> str | None:
        expected: list[bytes] | None = None
        for entry in signatures:
            scheme, _, encoded = entry.partition(",")
            given = _decoded(encoded)
            if not given:
                continue
            if scheme == "v1":
                if expected is None:
                    expected = [hmac.digest(secret, content, "sha256") for secret in self._secrets]
                # All secrets are compared, whichever fits: the time taken tells nothing about them.
                fits = [hmac.compare_digest(given, one) for one in expected]
                if any(fits):
                    return scheme
            elif scheme == "v1a" and any(_ed25519_fits(key, given, content) for key in self._public):
                return scheme
        return None


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: Sequence[str],
    *,
    now: datetime | None = None,
    tolerance: timedelta | None = TOLERANCE,
) -> Delivery:
    """Keys(keys).verify(…), for one delivery. `body` is the request's body byte for byte, before any parsing."""
    return Keys(keys).verify(body, headers, now=now, tolerance=tolerance)


def sign(body: bytes, delivery_id: str, timestamp: datetime, key: str) -> str:
    """One signature, `v1,…` with a `whsec_` key or `v1a,…` with a `whsk_` key. `timestamp` is aware."""
    if not _plain(delivery_id):
        raise ValueError("delivery_id: expected 1 to 255 printable ASCII characters without '.'")
    content = _signed(delivery_id, str(int(timestamp.timestamp())), body)
    if key.startswith("whsk_"):
        return "v1a," + _encoded(_private_key(key).sign(content))
    return "v1," + _encoded(hmac.digest(_secret(key), content, "sha256"))


def signed_headers(body: bytes, delivery_id: str, timestamp: datetime, keys: Sequence[str]) -> dict[str, str]:
    """The three headers of a delivery, one signature per key, the newest key first."""
    return {
        ID_HEADER: delivery_id,
        TIMESTAMP_HEADER: str(int(timestamp.timestamp())),
        SIGNATURE_HEADER: " ".join(sign(body, delivery_id, timestamp, key) for key in keys),
    }


def new_secret() -> str:
    """A fresh shared secret of 32 random bytes, `whsec_…`."""
    return "whsec_" + _encoded(secrets.token_bytes(32))


def new_key_pair() -> tuple[str, str]:
    """A fresh ed25519 pair: the sender's `whsk_…` and the receiver's `whpk_…`."""
    private = Ed25519PrivateKey.generate()
    return "whsk_" + _encoded(private.private_bytes_raw()), "whpk_" + _encoded(private.public_key().public_bytes_raw())


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        value = next((text for key, text in headers.items() if key.lower() == name), "")
    if not value:
        raise HeaderMissing(f"{name}: missing")
    return value


def _plain(delivery_id: str) -> bool:
    # A dot would let one signature stand for several (id, timestamp, body).
    return 0 < len(delivery_id) < 256 and "." not in delivery_id and all("!" <= char <= "~" for char in delivery_id)


def _timestamp(written: str) -> int:
    if not (written.isascii() and written.isdigit() and len(written) <= 11):
        raise HeaderUnreadable(f"{TIMESTAMP_HEADER}: expected whole seconds since 1970")
    return int(written)


def _check_age(timestamp: int, now: float, tolerance: timedelta) -> None:
    age = now - timestamp  # seconds
    if age > tolerance.total_seconds():
        raise TimestampTooOld(f"{TIMESTAMP_HEADER}: signed {age:.0f} s ago, allowed {tolerance.total_seconds():.0f} s")
    if -age > tolerance.total_seconds():
        raise TimestampTooNew(
            f"{TIMESTAMP_HEADER}: signed {-age:.0f} s ahead of this machine's clock, "
            f"allowed {tolerance.total_seconds():.0f} s"
        )


def _signed(delivery_id: str, timestamp: str, body: bytes) -> bytes:
    return b"%b.%b.%b" % (delivery_id.encode(), timestamp.encode(), body)


def _ed25519_fits(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _secret(key: str) -> bytes:
    if not key.startswith("whsec_"):
        raise KeyUnreadable("a key begins with whsec_ (shared secret), whpk_ (public) or whsk_ (private)")
    raw = _decoded(key.removeprefix("whsec_"))
    if raw is None or len(raw) not in _SECRET_BYTES:
        raise KeyUnreadable("whsec_ must be followed by 24 to 64 bytes in base64")
    return raw


def _public_key(key: str) -> Ed25519PublicKey:
    raw = _decoded(key.removeprefix("whpk_"))
    if raw is None or len(raw) != 32:
        raise KeyUnreadable("whpk_ must be followed by 32 bytes in base64")
    return Ed25519PublicKey.from_public_bytes(raw)


def _private_key(key: str) -> Ed25519PrivateKey:
    raw = _decoded(key.removeprefix("whsk_"))
    # Some senders write seed and public key together, as NaCl does: 64 bytes, the seed first.
    if raw is None or len(raw) not in (32, 64):
        raise KeyUnreadable("whsk_ must be followed by 32 or 64 bytes in base64")
    return Ed25519PrivateKey.from_private_bytes(raw[:32])


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
