"""Keys kept in a file, one a line: changing the file changes what is trusted, without a restart."""

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from zhida_receiver.signature import TOLERANCE, Delivery, Keys, KeyUnreadable, SignatureMismatch

_log = logging.getLogger(__name__)

_LOOK_EVERY: Final = 1.0  # seconds between two looks at the file


class Verifier(Protocol):
    """What a receiver needs of its keys; `Keys` and `KeyFile` are such."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Delivery: ...


class KeyFile:
    """The keys of a file, read again when it changes. Blank lines and lines beginning with # are passed over.

    A file that cannot be read, or holds an unreadable key, leaves the keys as they were and is logged; at the
    start it raises KeyUnreadable, unless `may_be_missing`: then nothing is trusted until the file is there.
    """

    def __init__(self, path: Path, *, may_be_missing: bool = False) -> None:
        self._path = path
        self._keys: Keys | None = None
        self._seen: tuple[int, ...] | None = None
        self._looked = 0.0
        if not (may_be_missing and not path.exists()):
            self._seen = self._state()
            self._keys = Keys(read_keys(path))

    def verify(self, body: bytes, headers: Mapping[str, str], *, tolerance: timedelta | None = TOLERANCE) -> Delivery:
        """Like Keys.verify, with the keys that the file holds now."""
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._look()
        try:
            if self._keys is None:
                raise SignatureMismatch(f"{self._path.name}: no key known yet")
            return self._keys.verify(body, headers, tolerance=tolerance)
        except SignatureMismatch:
            if not self._look():
                raise
        if self._keys is None:
            raise SignatureMismatch(f"{self._path.name}: no key known yet")
        return self._keys.verify(body, headers, tolerance=tolerance)

    def _look(self) -> bool:
        """Read the file if it changed; whether the keys are other ones now."""
        self._looked = time.monotonic()
        state = self._state()
        if state is None or state == self._seen:
            return False
        self._seen = state
        try:
            self._keys = Keys(read_keys(self._path))
        except KeyUnreadable as error:
            _log.warning("keys unchanged: %s", error)
            return False
        return True

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def read_keys(path: Path) -> list[str]:
    """The keys in a file, one a line. Raises KeyUnreadable when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnreadable(f"{path}: {error}") from None
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise KeyUnreadable(f"{path}: holds no key")
    return keys
