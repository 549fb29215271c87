"""The departments' own log of what reached them and what they called: JSON lines that survive a killed process.

A webhook's line is on the disk before its answer leaves, so what Zhida counts as delivered can be held against it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zhida_receiver.batch import Batch


class Log:
    """Appends to one file; one process at a time. A half line left by a killed process is cut off when it opens."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, _whole(self._file))
        self._batch = Batch(self._append)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._batch.close()
        os.close(self._file)

    async def write(self, entry: Mapping[str, Any]) -> None:
        """Returns once the entry is on the disk, flushed together with its neighbours."""
        await self._batch.put(json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def _append(self, lines: Sequence[bytes]) -> Sequence[None]:
        before = os.fstat(self._file).st_size
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, before)  # a full disk leaves no half line in the middle
            raise
        return [None] * len(lines)


def _whole(file: int) -> int:
    """Bytes up to the end of the last whole line."""
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
