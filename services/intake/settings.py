"""Intake's own settings: where the vault's keys are, and how long what names people is kept."""

from pathlib import Path

from pydantic import Field, SecretStr

from libs.shared.settings import Settings, SettingsError
from services.intake.vault import Vault, read_keys


class IntakeSettings(Settings):
    """What every service reads, and the vault's keys (one of the two): base64 of 32 bytes each, current one first."""

    vault_key: SecretStr | None = None
    vault_key_file: Path | None = None
    vault_months: int = Field(6, ge=1)  # how long originals are kept besides the running month
    rejected_months: int = Field(3, ge=1)  # refused records
    audit_months: int = Field(36, ge=1)  # who read an original

    def vault(self) -> Vault:
        """The vault under these keys. Raises SettingsError naming the variable and what is wrong with it."""
        if self.vault_key and self.vault_key_file:
            raise SettingsError("ZHIDA_VAULT_KEY and ZHIDA_VAULT_KEY_FILE are both set: set one")
        if self.vault_key:
            variable, text = "ZHIDA_VAULT_KEY", self.vault_key.get_secret_value()
        elif self.vault_key_file:
            variable = "ZHIDA_VAULT_KEY_FILE"
            try:
                text = self.vault_key_file.read_text(encoding="ascii")
            except (OSError, UnicodeDecodeError) as error:
                reason = "not a text of keys" if isinstance(error, UnicodeDecodeError) else error.strerror
                raise SettingsError(f"{variable}: cannot read {self.vault_key_file}: {reason}") from None
        else:
            raise SettingsError(
                "ZHIDA_VAULT_KEY or ZHIDA_VAULT_KEY_FILE is missing: make a key with `zhida intake vault key`"
            )
        try:
            return Vault(read_keys(text))
        except ValueError as error:
            raise SettingsError(f"{variable}: {error}") from None
