"""Near-duplicate groups: texts of one group never stand on both sides of a split, so a hold-out is really unseen.

What they are found by, shingles and MinHash, serves whoever asks how alike two texts are.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from .text import words

Shingles = NDArray[np.uint64]  # CRC-32 of every distinct run of characters of a text, ascending

SHINGLE = 3  # characters
BANDS, ROWS = 32, 3  # of MinHash: texts that share half of their shingles fall together with 98.6 %
ALIKE = 0.5  # share of shingles in common from which two texts are one group
CROWD = 50  # different texts of one band that a further text is compared with
_PRIME = 4_294_967_311  # the first above 2^32; factors below 2^31 keep every product within 64 bits
_random = np.random.default_rng(20260101)
_FACTORS = _random.integers(1, 1 << 31, BANDS * ROWS, np.uint64)[:, None]
_TERMS = _random.integers(0, _PRIME, BANDS * ROWS, np.uint64)[:, None]


def digest(text: str) -> int:
    """64 bits that name a text by its words: the same for the raw and the already cut form."""
    return int.from_bytes(hashlib.blake2b("".join(words(text)).encode(), digest_size=8).digest(), "big", signed=True)


def groups(texts: Sequence[str], given: Sequence[str] | None = None) -> list[int]:
    """A group number per text: near duplicates (Jaccard of shingles) and rows with the same given group are one.

    Time grows with the number of texts, not with its square: only texts that share a MinHash band are compared.
    """
    parents = list(range(len(texts)))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    if given is not None:
        first: dict[str, int] = {}
        for item, name in enumerate(given):
            parents[root(item)] = root(first.setdefault(name, item))
    shingled = [shingles("".join(words(text))) for text in texts]
    signatures = [signature(each, BANDS * ROWS) if len(each) else each for each in shingled]
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for item in range(len(texts)):
            if len(shingled[item]):
                buckets[signatures[item][band * ROWS : (band + 1) * ROWS].tobytes()].append(item)
        for bucket in buckets.values():
            different: list[int] = []  # texts of the bucket that are not alike
            for item in bucket:
                alike = next(
                    (o for o in different if root(o) == root(item) or _near(shingled[o], shingled[item])), None
                )
                if alike is not None:
                    parents[root(item)] = root(alike)
                elif len(different) < CROWD:
                    different.append(item)
    return [root(item) for item in range(len(texts))]


def shingles(joined: str, length: int = SHINGLE) -> Shingles:
    """The shingles of a text's words, written without blanks; none of a text without words."""
    runs = {joined[at : at + length] for at in range(max(1, len(joined) - length + 1))} if joined else set()
    found = np.fromiter(map(crc32, map(str.encode, runs)), np.uint64, len(runs))
    found.sort()
    return found


def signature(of: Shingles, length: int) -> NDArray[np.uint64]:
    """So many MinHash values (at most BANDS * ROWS) of at least one shingle; two texts have as many of them in common
    as of their shingles, on average.
    """
    least: NDArray[np.uint64] = ((of[None, :] * _FACTORS[:length] + _TERMS[:length]) % np.uint64(_PRIME)).min(axis=1)
    return least


def share(one: Shingles, other: Shingles) -> float:
    """Share of shingles in common (Jaccard), 0-1."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / max(1, len(one) + len(other) - common)


def _near(one: Shingles, other: Shingles) -> bool:
    """Whether two texts share enough of their shingles to be one."""
    return min(len(one), len(other)) >= ALIKE * max(len(one), len(other)) and share(one, other) >= ALIKE
