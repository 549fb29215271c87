"""The delivery keys in the environment, and which earlier process of this machine has ended."""

import base64
import os
from pathlib import Path

import pytest

from libs.shared.settings import SettingsError, read
from services.dispatch.delivery.sender import ended
from services.dispatch.settings import DispatchSettings

ONE, TWO = base64.b64encode(b"1" * 32).decode(), base64.b64encode(b"2" * 32).decode()


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://zhida_dispatch@localhost/zhida")
    monkeypatch.delenv("ZHIDA_DELIVERY_KEY", raising=False)
    monkeypatch.delenv("ZHIDA_DELIVERY_KEY_FILE", raising=False)


def test_without_a_key_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(DispatchSettings).delivery_keys() == ()


def test_the_first_of_several_keys_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_DELIVERY_KEY", f"{TWO}\n{ONE}\n")
    assert read(DispatchSettings).delivery_keys() == (b"2" * 32, b"1" * 32)


def test_a_key_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(ONE + "\n")
    monkeypatch.setenv("ZHIDA_DELIVERY_KEY_FILE", str(tmp_path / "key"))
    assert read(DispatchSettings).delivery_keys() == (b"1" * 32,)


@pytest.mark.parametrize(
    ("value", "words"), [("not base64!", "key 1 is not base64"), ("AAAA", "3 bytes, not 32"), ("  ", "holds no key")]
)
def test_a_bad_key_is_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch, value: str, words: str) -> None:
    monkeypatch.setenv("ZHIDA_DELIVERY_KEY", value)
    with pytest.raises(SettingsError, match=f"ZHIDA_DELIVERY_KEY: .*{words}") as refused:
        read(DispatchSettings).delivery_keys()
    assert value.strip() == "" or value not in str(refused.value)


def test_a_missing_key_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHIDA_DELIVERY_KEY_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="ZHIDA_DELIVERY_KEY_FILE: cannot read"):
        read(DispatchSettings).delivery_keys()


def test_both_variables_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_DELIVERY_KEY", ONE)
    monkeypatch.setenv("ZHIDA_DELIVERY_KEY_FILE", "/nowhere")
    with pytest.raises(SettingsError, match="both"):
        read(DispatchSettings).delivery_keys()


def test_a_predecessor_on_this_machine_is_known_to_have_ended() -> None:
    own = f"host:{os.getpid()}:aa"
    assert ended(f"host:{os.getpid()}:bb", own)  # the same pid, another start: in a container both are 1
    assert ended("host:4194303:bb", own)
    assert not ended(f"host:{os.getppid()}:bb", own)
    assert not ended("elsewhere:4194303:bb", own)
