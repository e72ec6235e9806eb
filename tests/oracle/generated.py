"""Payloads and image headers by the thousand, chosen to hit what is hard in the format; all from one seed."""

import random
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

MAGIC = bytes.fromhex("0a23d7ce")


def payloads(seed: int, count: int) -> Iterator[bytes]:
    """Every length from 0 to 70 first, then magics at all offsets; every 500th is large."""
    rng = random.Random(seed)
    for length in range(71):
        yield rng.randbytes(length)
        yield (MAGIC * 18)[:length]
        yield (MAGIC * 19)[1 : 1 + length]
    makers = (_words, _pieces, _letters)
    for number in range(count - 213):
        if number % 500 == 499:
            yield _large(rng)
        else:
            yield rng.choice(makers)(rng)


def parts(payload: bytes) -> int:
    """How many parts the format cuts a payload into: counted word by word, as dmlc-core does."""
    return 1 + sum(payload[at : at + 4] == MAGIC for at in range(0, len(payload) & ~3, 4))


def keys(seed: int, count: int) -> list[int]:
    """As many different keys, in no order, half of them small and half of up to 18 digits."""
    rng = random.Random(seed)
    found = list(range(count // 2))
    while len(found) < count:
        found.append(10**6 + rng.randrange(10 ** rng.randint(7, 17)))
        if len(found) == count:
            found = list(dict.fromkeys(found))
    rng.shuffle(found)
    return found


def headers(seed: int, count: int) -> Iterator[tuple[int, Any, int, int]]:
    """(flag, label, id, id2) with every kind of label that a caller may hold; the flag is any number."""
    rng = random.Random(seed)
    for number in range(count):
        label = LABELS[number % len(LABELS)](rng)
        yield rng.choice((0, 1, 2, 7, 10**6)), label, _id(rng), rng.choice((0, 0, 1, _id(rng)))


class ArrayLike:
    """Something that numpy makes an array of and that is neither array nor sequence, as a tensor is."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype)


def _words(rng: random.Random) -> bytes:
    """Aligned magics among other words, and a tail of less than a word."""
    words = (MAGIC if rng.random() < 0.4 else rng.randbytes(4) for _ in range(rng.randrange(18)))
    return b"".join(words) + rng.choice((b"", b"\x0a", b"\x0a\x23", b"\x0a\x23\xd7", rng.randbytes(3)))


def _pieces(rng: random.Random) -> bytes:
    """Whole and broken magics at any offset."""
    choices = (MAGIC, MAGIC[:1], MAGIC[:2], MAGIC[:3], MAGIC[1:], MAGIC[2:], MAGIC[3:], rng.randbytes(1), bytes(4))
    return b"".join(rng.choice(choices) for _ in range(rng.randrange(24)))


def _letters(rng: random.Random) -> bytes:
    """Only bytes that stand in the magic: many near misses."""
    return bytes(rng.choices(MAGIC, k=rng.randrange(71)))


def _large(rng: random.Random) -> bytes:
    """Up to a quarter of a megabyte, with magics sprinkled over it, aligned or not, or none."""
    data = bytearray(rng.randbytes(rng.randrange(1 << 18)))
    for _ in range(rng.choice((0, 3, 40))):
        at = rng.randrange(len(data) + 1)
        data[at : at + 4] = MAGIC
    return bytes(data)


def _id(rng: random.Random) -> int:
    return rng.choice((rng.randrange(100), rng.randrange(1 << 32), rng.randrange(1 << 64), (1 << 64) - 1))


def _exact(rng: random.Random) -> int:
    """A whole number that float32 holds: up to 2^24, or even ones above."""
    return rng.choice((rng.randint(-(1 << 24), 1 << 24), 1 << 24, rng.randrange(1 << 24) << rng.randrange(60)))


def _real(rng: random.Random) -> float:
    """A double that float32 has to round, as small as denormals, or no number."""
    return rng.choice((rng.uniform(-1e7, 1e7), rng.random() * 10.0 ** rng.randint(-50, 6), -0.0, *_ODD))


def _float32(rng: random.Random) -> float:
    """Any of float32's own values."""
    (value,) = struct.unpack("<f", rng.randbytes(4))
    return value if value == value else 0.5  # a NaN's bits may change on its way through a double


_ODD = (float("inf"), float("-inf"), float("nan"))
LABELS = (
    _exact,
    _real,
    _float32,
    lambda rng: rng.random() < 0.5,
    lambda rng: np.float32(_float32(rng)),
    lambda rng: np.float64(_real(rng)),
    lambda rng: np.int64(_exact(rng) % (1 << 24)),
    lambda rng: np.uint8(rng.randrange(256)),
    lambda rng: np.bool_(rng.random() < 0.5),
    lambda rng: [rng.randrange(10**6), True],
    lambda rng: [_exact(rng) for _ in range(rng.randint(1, 40))],
    lambda rng: tuple(_real(rng) for _ in range(rng.randint(1, 40))),
    lambda rng: np.array([_float32(rng) for _ in range(rng.randint(1, 300))], np.float32),
    lambda rng: np.array([_real(rng) for _ in range(rng.randint(1, 9))]),
    lambda rng: np.array([_real(rng) for _ in range(12)], np.float32)[::-2],
    lambda rng: np.array([_exact(rng) % 1000 for _ in range(6)]).reshape(2, 3),
    lambda rng: np.array(_float32(rng), np.float32),
    lambda rng: np.frombuffer(MAGIC * rng.randint(1, 5), np.float32),  # labels that are magics cut the record
    lambda rng: ArrayLike([_real(rng) for _ in range(rng.randint(1, 9))]),
)
