"""The signatures of Standard Webhooks 1.0: against its test vectors, an independent library and raw cryptography."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from zhida_receiver import signature

BODY = '{"type":"work_order.assigned","data":{"title":"停电"}}'.encode()
NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
SECRET = signature.new_secret()
OTHER = signature.new_secret()
PRIVATE, PUBLIC = signature.new_key_pair()


def signed(*keys: str, at: datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    return signature.signed_headers(body, "msg_1", at, keys)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (
            "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
            "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
        ),
    ],
)
def test_published_vector_is_reproduced(key: str, expected: str) -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    assert signature.sign(b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek", at, key) == expected


def test_independent_library_believes_our_signature() -> None:
    at = datetime.now(UTC)
    found = standardwebhooks.Webhook(SECRET).verify(BODY, signed(SECRET, at=at))
    assert found["data"]["title"] == "停电"


def test_we_believe_the_independent_library() -> None:
    made = standardwebhooks.Webhook(SECRET).sign("msg_1", NOW, BODY.decode())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": made}
    assert signature.verify(BODY, headers, [SECRET], now=NOW) == signature.Delivery("msg_1", NOW, BODY, "v1")


def test_we_believe_a_signature_made_with_raw_ed25519() -> None:
    private = Ed25519PrivateKey.generate()
    public = "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()
    content = b"msg_1.%d." % NOW.timestamp() + BODY
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": "v1a," + base64.b64encode(private.sign(content)).decode(),
    }
    assert signature.verify(BODY, headers, [public], now=NOW).scheme == "v1a"


def test_raw_ed25519_believes_our_signature() -> None:
    public = Ed25519PrivateKey.from_private_bytes(base64.b64decode(PRIVATE.removeprefix("whsk_"))).public_key()
    made = signature.sign(BODY, "msg_1", NOW, PRIVATE)
    public.verify(base64.b64decode(made.removeprefix("v1a,")), b"msg_1.%d." % NOW.timestamp() + BODY)


def test_private_key_written_with_its_public_half_signs_the_same() -> None:
    raw = base64.b64decode(PRIVATE.removeprefix("whsk_")) + base64.b64decode(PUBLIC.removeprefix("whpk_"))
    long_form = "whsk_" + base64.b64encode(raw).decode()
    assert signature.sign(BODY, "msg_1", NOW, long_form) == signature.sign(BODY, "msg_1", NOW, PRIVATE)


@pytest.mark.parametrize("key", [SECRET, PRIVATE], ids=["v1", "v1a"])
def test_tampered_body_is_refused(key: str) -> None:
    with pytest.raises(signature.SignatureMismatch):
        signature.verify(BODY.replace(b"data", b"dato"), signed(key), [SECRET, PUBLIC], now=NOW)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_tampered_header_is_refused(header: str) -> None:
    changed = {"webhook-id": "msg_2", "webhook-timestamp": str(int(NOW.timestamp()) + 1)}
    with pytest.raises(signature.SignatureMismatch):
        signature.verify(BODY, signed(SECRET) | {header: changed[header]}, [SECRET], now=NOW)


def test_wrong_secret_is_refused() -> None:
    with pytest.raises(signature.SignatureMismatch):
        signature.verify(BODY, signed(SECRET), [OTHER], now=NOW)


def test_wrong_public_key_is_refused() -> None:
    with pytest.raises(signature.SignatureMismatch):
        signature.verify(BODY, signed(PRIVATE), [signature.new_key_pair()[1]], now=NOW)


def test_symmetric_signature_does_not_pass_for_an_asymmetric_one() -> None:
    headers = signed(SECRET)
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v1a,")
    with pytest.raises(signature.SignatureMismatch):
        signature.verify(BODY, headers, [SECRET, PUBLIC], now=NOW)


@pytest.mark.parametrize("trusted", [[SECRET], [OTHER], [OTHER, SECRET], [PUBLIC]])
def test_rotation_signed_with_both_keys_is_believed_by_holders_of_either(trusted: list[str]) -> None:
    assert signature.verify(BODY, signed(OTHER, SECRET, PRIVATE), trusted, now=NOW).id == "msg_1"


def test_unknown_scheme_beside_a_good_signature_is_passed_over() -> None:
    headers = signed(SECRET)
    headers["webhook-signature"] = "v2,AAAA v1, v1,%% nonsense " + headers["webhook-signature"]
    assert signature.verify(BODY, headers, [SECRET], now=NOW).scheme == "v1"


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_timestamp_inside_the_tolerance_is_believed(seconds: int) -> None:
    headers = signed(SECRET, at=NOW + timedelta(seconds=seconds))
    assert signature.verify(BODY, headers, [SECRET], now=NOW).timestamp == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(("seconds", "error"), [(-301, signature.TimestampTooOld), (301, signature.TimestampTooNew)])
def test_timestamp_outside_the_tolerance_is_refused(seconds: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        signature.verify(BODY, signed(SECRET, at=NOW + timedelta(seconds=seconds)), [SECRET], now=NOW)


def test_old_capture_can_be_looked_at_with_the_tolerance_off() -> None:
    headers = signed(SECRET, at=NOW - timedelta(days=400))
    assert signature.verify(BODY, headers, [SECRET], tolerance=None).id == "msg_1"


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_header_is_named(header: str) -> None:
    headers = signed(SECRET)
    del headers[header]
    with pytest.raises(signature.HeaderMissing, match=header):
        signature.verify(BODY, headers, [SECRET], now=NOW)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-timestamp", "1614265330.5"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "１６１４２６５３３０"),
        ("webhook-timestamp", "9" * 30),
        ("webhook-id", "msg.1"),
        ("webhook-id", "msg 1"),
        ("webhook-id", "m" * 256),
        ("webhook-signature", "v1,AAAA " * 21),
    ],
)
def test_unreadable_header_is_named(header: str, value: str) -> None:
    with pytest.raises(signature.HeaderUnreadable, match=header):
        signature.verify(BODY, signed(SECRET) | {header: value}, [SECRET], now=NOW)


def test_header_names_are_read_in_any_case() -> None:
    headers = {name.title(): value for name, value in signed(SECRET).items()}
    assert signature.verify(BODY, headers, [SECRET], now=NOW).id == "msg_1"


@pytest.mark.parametrize(
    "key", ["", "whsec_", "whsec_AAAA", "whsec_%%%", "whpk_AAAA", "whsk_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
)
def test_unreadable_key_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(signature.KeyUnreadable) as caught:
        signature.Keys([key])
    assert len(key) < 8 or key not in str(caught.value)


def test_nothing_is_verified_without_keys() -> None:
    with pytest.raises(signature.KeyUnreadable, match="no key"):
        signature.verify(BODY, signed(SECRET), [], now=NOW)


def test_dotted_id_is_not_signed() -> None:
    with pytest.raises(ValueError, match="delivery_id"):
        signature.sign(BODY, "a.1", NOW, SECRET)
