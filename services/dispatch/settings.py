"""Dispatch's own settings: the key that seals the endpoints' secrets, what the returns court goes by."""

import base64
import binascii
from pathlib import Path

from pydantic import Field, SecretStr

from libs.shared.settings import Settings, SettingsError

KEY_BYTES = 32


class DispatchSettings(Settings):
    """What every service reads, and the delivery keys (one of the two variables): base64 of 32 bytes each.

    Several keys, separated by white space, let a new one take over: the first seals, all of them open.
    """

    delivery_key: SecretStr | None = None
    delivery_key_file: Path | None = None
    attempt_days: int = Field(90, ge=1)  # how long the log of webhook attempts is kept
    return_reasons: Path | None = None  # a list of reasons in place of the one that comes with Zhida
    # A cell of the matrix is disputed: of at least so many work orders of a month, this share came back rightly.
    dispute_work_orders: int = Field(20, ge=1)
    dispute_rate: float = Field(0.2, gt=0, le=1)

    def delivery_keys(self) -> tuple[bytes, ...]:
        """The keys, the current one first; none where neither variable is set.

        Raises: SettingsError naming the variable and what is wrong with it.
        """
        if self.delivery_key and self.delivery_key_file:
            raise SettingsError("ZHIDA_DELIVERY_KEY and ZHIDA_DELIVERY_KEY_FILE are both set: set one")
        if self.delivery_key:
            return _keys("ZHIDA_DELIVERY_KEY", self.delivery_key.get_secret_value())
        if self.delivery_key_file is None:
            return ()
        variable = "ZHIDA_DELIVERY_KEY_FILE"
        try:
            return _keys(variable, self.delivery_key_file.read_text(encoding="ascii"))
        except OSError as error:
            raise SettingsError(f"{variable}: cannot read {self.delivery_key_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{variable}: not a text of keys") from None


def _keys(variable: str, text: str) -> tuple[bytes, ...]:
    found = []
    for number, each in enumerate(text.split(), 1):
        try:
            key = base64.b64decode(each, validate=True)
        except binascii.Error:
            raise SettingsError(f"{variable}: key {number} is not base64") from None
        if len(key) != KEY_BYTES:
            raise SettingsError(f"{variable}: key {number} has {len(key)} bytes, not {KEY_BYTES}")
        found.append(key)
    if not found:
        raise SettingsError(f"{variable}: holds no key; `zhida dispatch delivery-key` makes one")
    return tuple(found)
