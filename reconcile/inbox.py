"""Each service's books of what came in: records handled = new + duplicate + dead + parked + skipped.

What a service handled of what it hears must be in its inbox, or buried or parked; and nothing else may be there. The
ids are compared as arrays of their last 8 bytes, 62 of whose bits are random: of ten million two may be alike once in
a hundred thousand reconciliations.
"""

import struct
from collections.abc import Iterable
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from libs.shared import run
from libs.shared.events import type_names
from reconcile.book import SERVICE_CODES, Book
from reconcile.topic import Heard, Window

Ids: TypeAlias = NDArray[np.int64]

ALL = "SELECT id FROM {}.inbox WHERE id >= '{}'"
HEADER = 19  # bytes before the first row of Postgres's binary COPY
ROW = np.dtype([("fields", ">i2"), ("length", ">i4"), ("high", ">i8"), ("low", ">i8")])


async def read(database: Any, service: str, window: Window) -> Ids:
    """The last 8 bytes of every id in a service's inbox, sorted."""
    parts: list[bytes] = []

    async def take(data: bytes) -> None:
        parts.append(data)

    first = UUID(int=((window.since or 0) // 1000) << 80)
    await database.copy_from_query(ALL.format(service, first), output=take, format="binary")
    return np.sort(unpacked(b"".join(parts)))


def unpacked(data: bytes) -> Ids:
    """The last 8 bytes of each id of a binary COPY of one uuid column."""
    extension = struct.unpack(">i", data[HEADER - 4 : HEADER])[0]
    start = HEADER + extension
    count = (len(data) - start - 2) // ROW.itemsize
    return np.frombuffer(data, ROW, count, start)["low"].astype(np.int64)


def compare(book: Book, service: str, heard: Heard, inbox: Ids) -> None:
    """Hold a service's inbox against what the topics held for it."""
    code = SERVICE_CODES[service]
    kinds = [kind.type for kind in run.load(service).hears]
    arrays = [np.frombuffer(heard.ids[kind], np.int64) for kind in kinds if heard.ids.get(kind)]
    every = np.concatenate(arrays) if arrays else np.empty(0, np.int64)
    ids = np.unique(every)
    missing = np.setdiff1d(ids, inbox, assume_unique=True)
    book.add("absent", ((code, id_) for id_ in _bytes(missing)))
    book.add("unheard", ((code, id_) for id_ in _bytes(np.setdiff1d(inbox, ids, assume_unique=True))))
    topics = {type_names[kind].topic for kind in kinds}
    records = sum(heard.types[topic, kind] for topic, kind in heard.types if topic in topics)
    skipped = sum(count for (topic, kind), count in heard.types.items() if topic in topics and kind not in kinds)
    new = len(ids) - len(missing)
    dead = [
        book.one("SELECT count(*) FROM grave WHERE service = :s AND (error IS NULL) = :parked", s=code, parked=parked)
        for parked in (False, True)
    ]
    book.add("intake_of", [(code, records, new, len(every) - len(ids), *dead, skipped)])


def _bytes(ids: Ids) -> Iterable[bytes]:
    return (int(each).to_bytes(8, "big", signed=True) for each in ids)
