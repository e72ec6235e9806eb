import random

import pytest

from recordio_tools._digits import parse_even_lines


@pytest.mark.parametrize("left", [1, 7, 8, 9, 16, 17, 18])
@pytest.mark.parametrize("right", [1, 2, 8, 11, 16, 18])
def test_numbers_of_every_width_are_what_int_makes_of_them(left: int, right: int) -> None:
    rng = random.Random(left * 100 + right)
    rows = [
        ("".join(rng.choices("0123456789", k=left)), "".join(rng.choices("0123456789", k=right))) for _ in range(50)
    ]
    rows += [("0" * left, "9" * right), ("9" * left, "0" * right)]
    columns = parse_even_lines("".join(f"{a}\t{b}\n" for a, b in rows).encode())
    assert columns is not None
    assert columns.dtype == "int64"
    assert columns.T.tolist() == [[int(a), int(b)] for a, b in rows]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"1\t2",
        b"12\n",
        b"1\t\n",
        b"\t2\n",
        b"1\t2\n3\t4",
        b"1\t2\n10\t4\n",
        b"12\t3\n1\t23\n",  # lines of one length, a tab that moves
        b"12\t3\n4\t56\n",
        b"1\t2\n3 4\n",
        b"1\t2\n3\n4\n",
        b"1\t2\n\t34\n",
        b"1\t2\n:\t4\n",  # the byte after 9
        b"1\t2\n3\t/\n",  # the byte before 0
        b"1\t2\n3\t\xff\n",
        b"1\t2\n-\t4\n",
        b"1\t22\n3\t4\r\n",
        b"1" * 19 + b"\t2\n",
        b"1\t" + b"2" * 19 + b"\n",
    ],
    ids=repr,
)
def test_anything_else_is_left_to_others(data: bytes) -> None:
    assert parse_even_lines(data) is None
