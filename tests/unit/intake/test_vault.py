"""The vault's cipher and its keys."""

import base64
import os
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from libs.shared.settings import SettingsError
from services.intake.settings import IntakeSettings
from services.intake.vault import Damaged, MissingKey, Sealed, Vault, key_id, new_key, read_keys


def keys(count: int) -> list[bytes]:
    return [os.urandom(32) for _ in range(count)]


def test_what_is_sealed_opens_for_its_row_only() -> None:
    vault, row = Vault(keys(1)), uuid4()
    sealed = vault.seal_fields(row, {"customer.name": "张三"})
    assert "张三".encode() not in sealed.body
    assert vault.open_fields(row, sealed) == {"customer.name": "张三"}
    with pytest.raises(Damaged):
        vault.open(uuid4(), sealed)


def test_the_same_value_is_never_sealed_the_same_way_twice() -> None:
    vault, row = Vault(keys(1)), uuid4()
    assert vault.seal(row, b"x").body != vault.seal(row, b"x").body


def test_a_changed_value_is_noticed() -> None:
    vault, row = Vault(keys(1)), uuid4()
    sealed = vault.seal(row, b"secret")
    for body in (sealed.body[:-1], sealed.body + b"x", bytes([sealed.body[0] ^ 1]) + sealed.body[1:], b""):
        with pytest.raises(Damaged):
            vault.open(row, Sealed(sealed.key_id, sealed.nonce, body))


def test_an_old_key_still_opens_and_the_first_one_seals() -> None:
    old, new = keys(2)
    row = uuid4()
    sealed = Vault([old]).seal(row, b"x")
    both = Vault([new, old])
    assert both.open(row, sealed) == b"x"
    assert both.seal(row, b"x").key_id == key_id(new)


def test_a_missing_key_is_named_and_so_are_ours() -> None:
    old, new = keys(2)
    row = uuid4()
    sealed = Vault([old]).seal(row, b"x")
    with pytest.raises(MissingKey, match=f"sealed under vault key {key_id(old)}; this process has {key_id(new)}"):
        Vault([new]).open(row, sealed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no key in it"),
        ("not base64!", "key 1 is not base64"),
        (base64.b64encode(b"short").decode(), "key 1 has 5 bytes, not 32"),
        (new_key() + "\n" + base64.b64encode(bytes(16)).decode(), "key 2 has 16 bytes, not 32"),
    ],
    ids=["none", "not base64", "too short", "the second too short"],
)
def test_a_bad_key_is_refused_without_being_shown(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read_keys(text)
    assert not text or text not in str(caught.value)


def made(**changes: object) -> IntakeSettings:
    return IntakeSettings(database_url=SecretStr("postgresql://x@y/z"), **changes)  # type: ignore[arg-type]


def test_keys_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    path = tmp_path / "keys"
    path.write_text(f"{first}\n{second}\n")
    assert made(vault_key=first).vault().key_ids == made(vault_key_file=path).vault().key_ids[:1]
    assert len(made(vault_key=f"{first},{second}").vault().key_ids) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "ZHIDA_VAULT_KEY or ZHIDA_VAULT_KEY_FILE is missing"),
        ({"vault_key": "x", "vault_key_file": "y"}, "both set"),
        ({"vault_key": "x"}, "ZHIDA_VAULT_KEY: key 1 is not base64"),
        ({"vault_key_file": "/nowhere/at/all"}, "ZHIDA_VAULT_KEY_FILE: cannot read /nowhere/at/all"),
        ({"vault_key_file": "."}, "ZHIDA_VAULT_KEY_FILE: cannot read"),
    ],
)
def test_wrong_key_settings_name_the_variable(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        made(**changes).vault()


def test_settings_never_show_a_key() -> None:
    key = new_key()
    assert key not in str(made(vault_key=key))
