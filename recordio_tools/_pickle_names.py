"""The few names that a verification pack's pickle may mention, and the plain values that stand in for them.

A pickle rebuilds arrays by naming functions of numpy and calling them. Here a name is only a word: what it would
have made is made by this module, from bytes that lie in the file, and checked against their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from recordio_tools.errors import DamageError

_NAMES = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # Python 3 writes bytes so in the protocols that Python 2 can read
} | {
    (f"numpy.{core}.{module}", name): name
    for core in ("core", "_core")  # numpy 1, numpy 2
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}
_ITEM_SIZES = {"b1": 1, "u1": 1, "i8": 8}


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the list above."""

    word: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Stands for a numpy dtype: b1, u1 or i8."""

    code: str


@dataclass(slots=True)
class Array:
    """Stands for a numpy array of one dimension, as OpenCV's (N, 1), or with the shape () for one number.

    Attributes:
        code: Of its kind.
        shape: At most one of its sides is not 1.
        data: The items, little-endian.
    """

    code: str = "u1"
    shape: tuple[int, ...] = (0,)
    data: bytes = b""

    def numbers(self) -> list[int]:
        """The items as whole numbers."""
        size = _ITEM_SIZES[self.code]
        items = (self.data[at : at + size] for at in range(0, len(self.data), size))
        return [int.from_bytes(item, "little", signed=size > 1) for item in items]


def find(module: str, name: str) -> Name:
    """The name, if a pack may mention it.

    Raises:
        DamageError: Any other name: what a pickle that runs a program has to do first.
    """
    word = _NAMES.get((module, name))
    if word is None:
        raise DamageError.of(f"the name {f'{module}.{name}'[:80]!r}", "the names that bytes and numpy arrays need")
    return Name(word)


def call(name: object, arguments: object) -> object:
    """What calling `name` would have made, in our own values.

    Raises:
        DamageError: `name` is no function of the list, or `arguments` are not those with which packs call it.
    """
    match name, arguments if isinstance(arguments, tuple) else ():  # a pattern would take a list for a tuple
        case Name("encode"), (str(text), "latin1" | "latin-1"):
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                raise DamageError.of("text with characters above U+00FF", "bytes written as text") from None
        case Name("dtype"), (code, 0 | 1, 0 | 1) if plain_text(code) in _ITEM_SIZES:
            return Kind(plain_text(code))
        case Name("_reconstruct"), (Name("ndarray"), (0,), b"b"):
            return Array()
        case Name("scalar"), (Kind(code), bytes(data)):
            return _array(code, (), data)
        case Name("_frombuffer"), (bytes(data), Kind(code), tuple(shape), "C" | "F"):
            return _array(code, shape, data)
    raise DamageError.of(
        f"a call of {name.word if isinstance(name, Name) else type(name).__name__} with arguments of its own",
        "the calls that make bytes and arrays of them",
    )


def set_state(target: object, state: object) -> None:
    """Give `target` the `state` that numpy pickles apart from the call that makes it.

    Raises:
        DamageError: Anything else than the contents of an array or the byte order of a kind.
    """
    match target, state if isinstance(state, tuple) else ():
        case Array(), (1, tuple(shape), Kind(code), 0 | 1, bytes(data)):
            made = _array(code, shape, data)
            target.code, target.shape, target.data = made.code, made.shape, made.data
        case Kind(), (3, order, None, None, None, -1, -1, 0) if plain_text(order) in ("|", "<"):
            pass
        case _:
            raise DamageError.of(f"a state for {type(target).__name__}", "the contents of an array of bytes")


def plain_text(value: object) -> str:
    """Text, or the bytes by which Python 2 writes it; empty for anything else."""
    if isinstance(value, bytes) and len(value) < 9:
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else ""


def _array(code: str, shape: Sequence[Any], data: bytes) -> Array:
    sides = [side for side in shape if type(side) is int]
    if len(sides) != len(shape) or len(shape) > 2 or sum(side != 1 for side in sides) > 1:
        raise DamageError.of("an array of another shape", "an encoded image's bytes, or one flag a pair, in a row")
    if prod(sides) * _ITEM_SIZES[code] != len(data):
        shown = " x ".join(str(side)[:20] for side in sides)
        raise DamageError.of(f"an array of {shown} items in {len(data):,} byte(s)", "as many items as its bytes hold")
    return Array(code, tuple(sides), data)
