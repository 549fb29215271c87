"""A text in half a kilobyte: the lowest hashes of its shingles. Enough to say how alike two texts are."""

import numpy as np

from .group import Shingles, share, shingles, signature
from .text import Reading

LENGTH = 2  # characters of a shingle: what two callers say about one thing has pairs in common, seldom threes
MOST = 128  # hashes kept: all of a text of up to 200 characters or so, a fair sample of a longer one
FEW = 8  # shingles below which a text is too short to be told from others
BANDS, ROWS = 4, 2  # texts that share 0.6 of their shingles fall together with 83 %, those that share 0.8 with 98 %

Sketch = Shingles


def of(reading: Reading) -> Sketch:
    """The sketch of a ticket's title and text; empty where no word is in them."""
    return shingles("".join(reading.words), LENGTH)[:MOST]


def bands(sketch: Sketch) -> list[bytes]:
    """What alike texts are likely to have one of in common; none of a text that is too short."""
    if len(sketch) < FEW:
        return []
    found = signature(sketch, BANDS * ROWS)
    return [bytes([band]) + found[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS)]


def alike(one: Sketch, other: Sketch) -> float:
    """Share of the shingles in common (Jaccard), 0-1; of long texts an estimate, from the hashes both would keep."""
    top = min([int(each[-1]) for each in (one, other) if len(each) == MOST], default=None)
    if top is not None:
        one, other = (each[: np.searchsorted(each, np.uint64(top), "right")] for each in (one, other))
    return share(one, other)


def dump(sketch: Sketch) -> bytes:
    """Four bytes a hash."""
    return sketch.astype("<u4").tobytes()


def load(data: bytes) -> Sketch:
    """What `dump` wrote."""
    return np.frombuffer(data, "<u4").astype(np.uint64)
