"""Settings: wrong ones are named, secrets are hidden."""

import pytest

from libs.shared.settings import Settings, SettingsError, read


def test_missing_and_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("ZHIDA_BATCH_SIZE", "0")
    with pytest.raises(SettingsError, match=r"DATABASE_URL: Field required.*ZHIDA_BATCH_SIZE: .*greater than"):
        read(Settings)


def test_secrets_are_hidden_when_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("ZHIDA_KAFKA_PASSWORD", "hunter3")
    assert "hunter" not in str(read(Settings))
