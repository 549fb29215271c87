"""Webhook signatures, held against an independent library and the departments' own kit."""

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from zhida_receiver.signature import Keys, SignatureMismatch

from services.dispatch.delivery import signing
from services.dispatch.delivery.signing import Key, SealBroken

BODY = '{"type":"test","timestamp":"2026-11-22T00:00:00+00:00","data":{"text":"停电"}}'.encode()
MASTER = b"m" * 32


def test_an_independent_library_verifies_v1() -> None:
    key = signing.new_key()
    headers = signing.headers([key], "0198c000-0000-7000-8000-000000000000", datetime.now(UTC), BODY)
    assert Webhook(key.shared).verify(BODY, headers)["type"] == "test"
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_key().shared).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(key.shared).verify(BODY + b" ", headers)


def test_the_departments_kit_verifies_v1_and_v1a() -> None:
    key = signing.new_key()
    headers = signing.headers([key], "id1", datetime.now(UTC), BODY)
    assert Keys([key.shared]).verify(BODY, headers).scheme == "v1"
    assert Keys([key.public]).verify(BODY, headers).scheme == "v1a"
    with pytest.raises(SignatureMismatch):
        Keys([signing.new_key().public]).verify(BODY, headers)


def test_while_keys_are_rotated_both_verify() -> None:
    old, new = signing.new_key(), signing.new_key()
    headers = signing.headers([new, old], "id1", datetime.now(UTC), BODY)
    for key in (old, new):
        Webhook(key.shared).verify(BODY, headers)
        assert Keys([key.public]).verify(BODY, headers).scheme == "v1a"
    assert headers["webhook-signature"].startswith(new.sign(b"").split(",")[0] + ",")
    assert len(headers["webhook-signature"].split(" ")) == 4


def test_a_known_vector_is_signed_as_the_specification_says() -> None:
    key = Key(b"\x00" * 32, b"\x01" * 32)
    headers = signing.headers([key], "msg", datetime.fromtimestamp(1_600_000_000, UTC), b"{}")
    assert headers["webhook-timestamp"] == "1600000000"
    expected = Webhook(key.shared).sign("msg", datetime.fromtimestamp(1_600_000_000, UTC), "{}")
    assert headers["webhook-signature"].split(" ")[0] == expected


def test_a_sealed_key_opens_only_with_its_delivery_key_and_in_its_place() -> None:
    key = signing.new_key()
    sealed = signing.seal(key, [MASTER], "meter/1")
    assert signing.unseal(sealed, [b"x" * 32, MASTER], "meter/1") == key
    assert key.secret not in sealed
    for changed, master, place in (
        (sealed, b"x" * 32, "meter/1"),
        (sealed, MASTER, "meter/2"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), MASTER, "meter/1"),
        (b"", MASTER, "meter/1"),
    ):
        with pytest.raises(SealBroken):
            signing.unseal(changed, [master], place)


def test_a_key_does_not_show_itself() -> None:
    key = signing.new_key()
    assert repr(key) == "Key()"
