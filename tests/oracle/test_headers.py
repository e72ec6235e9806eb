"""Image headers: our pack gives the bytes of real mxnet's, and each takes the other's apart to the same numbers."""

import random
import struct
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from recordio_tools import Header, pack, unpack
from recordio_tools.errors import LimitError
from tests.oracle.generated import LABELS, headers
from tests.oracle.real_mxnet import recordio


def test_we_pack_and_unpack_as_mxnet_does() -> None:
    rng = random.Random(1)
    kinds = set()
    for flag, label, key, key2 in headers(0, 300 * len(LABELS)):
        image = rng.randbytes(rng.randrange(70))
        theirs = recordio.pack(recordio.IRHeader(flag, label, key, key2), image)
        assert pack(Header(flag, label, key, key2), image) == theirs, (flag, label, key, key2)
        expected, theirs_image = recordio.unpack(theirs)
        found, ours_image = unpack(theirs)
        assert ours_image == theirs_image == image
        assert (found.flag, found.id, found.id2) == (expected.flag, expected.id, expected.id2)
        labels, their_labels = np.asarray(found.label, np.float32), np.asarray(expected.label, np.float32)
        assert labels.tobytes() == their_labels.tobytes(), (found.label, expected.label)
        assert labels.shape == their_labels.shape
        kinds.add((type(label).__name__, found.flag == 0))
    # scalars of every type write flag 0; np.bool_ and arrays without dimensions are no numbers.Number and write 1
    assert {kind for kind, scalar in kinds if scalar} == {
        "int",
        "float",
        "bool",
        "float32",
        "float64",
        "int64",
        "uint8",
    }
    assert {kind for kind, scalar in kinds if not scalar} >= {"list", "tuple", "ndarray", "ArrayLike"}


@pytest.mark.parametrize("label", [Fraction(1, 3), Decimal("0.1"), [Fraction(1, 3), Decimal(2)]])
def test_numbers_of_other_kinds(label: Any) -> None:
    assert pack(Header(0, label, 1), b"x") == recordio.pack(recordio.IRHeader(0, label, 1, 0), b"x")


# What mxnet writes although it reads back as something else; (label, what mxnet reads back, what we say)
REFUSED = {
    "an odd number above 2^24": (16777217, 16777216.0, "label 16,777,217 .* would store 16,777,216"),
    "the image count of Glint360K in an array": ([17091657.0, 1.0], [17091656.0, 1.0], "would store 17,091,656"),
    "no label at all": ([], 0.0, "an empty array of labels"),
    "a double above float32's largest": (1e39, float("inf"), "would store inf"),
    "the same in an array": ([1e39], [float("inf")], "would store inf"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_mxnet_rounds_in_silence_is_refused(name: str) -> None:
    label, back, said = REFUSED[name]
    with np.errstate(over="ignore"):
        packed = recordio.pack(recordio.IRHeader(0, label, 1, 0), b"")
    assert np.array_equal(recordio.unpack(packed)[0].label, back)
    with pytest.raises(LimitError, match=said):
        pack(Header(0, label, 1), b"")


@pytest.mark.parametrize(("key", "key2"), [(-1, 0), (1 << 64, 0), (0, -1), (0, 1 << 64)])
def test_ids_outside_64_bits_are_errors_in_both(key: int, key2: int) -> None:
    with pytest.raises(struct.error):
        recordio.pack(recordio.IRHeader(0, 1.0, key, key2), b"")
    with pytest.raises(LimitError, match="expected 0 to 2"):
        pack(Header(0, 1.0, key, key2), b"")
