"""Pickles of every kind against Python's own unpickler, and pickles that mean harm."""

import contextlib
import io
import os
import pickle
import random
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordio_tools._pickle_names import Array
from recordio_tools._pickle_reader import read_pickle
from recordio_tools.errors import DamageError, RecordIOError
from recordio_tools.pairs import open_pack

ENTRIES = [b"\xff\xd8'\"\\\n\r\0\x1a\t\x80", b"x", bytes(range(256)), b"\xff\xd8'\"\\\n\r\0\x1a\t\x80"]
PROTOCOLS = range(6)

# what Python 2.7's cPickle writes, after the description of the operations in `pickletools`: SHORT_BINSTRING for
# less than 256 bytes, BINSTRING from there; protocol 0 writes a string's repr
PYTHON2 = b"".join(
    [
        b"\x80\x02]q\x01(",
        b"U\x0b" + ENTRIES[0] + b"q\x02U\x01xq\x03T\x00\x01\x00\x00" + ENTRIES[2] + b"q\x04h\x02",
        b"e]q\x05(\x88\x89e\x86q\x06.",
    ]
)
PYTHON2_TEXT = b"""((lp0
S'\\xff\\xd8\\'"\\\\\\n\\r\\x00\\x1a\\t\\x80'
p1
aS"it's"
p2
aS'x'
p3
ag1
a(lp4
I01
aI00
atp5
."""
PYTHON2_ARRAY = b"".join(
    [
        b"\x80\x02]q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06R",
        b"q\x07(K\x01K\x03K\x01\x86q\x08cnumpy\ndtype\nq\tU\x02u1q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|q\rNNN",
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U\x03\xff\xd8\x00q\x0ftq\x10bah\x07a]q\x11\x88a\x86q\x12.",
    ]
)


class Trusting(pickle._Unpickler):
    """Python's unpickler, the one written in Python, with the list of names that the project's dossier tried out."""

    # that one minds where a frame ends, the one in C and ours do not
    dispatch = pickle._Unpickler.dispatch | {pickle.FRAME[0]: lambda self: self.read(8)}

    def find_class(self, module: str, name: str) -> Any:
        allowed = {"_reconstruct", "scalar", "_frombuffer", "ndarray", "dtype", "encode"}
        if name not in allowed or not re.fullmatch(r"_codecs|numpy(\._?core\.(multiarray|numeric))?", module):
            raise pickle.UnpicklingError(module)
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def trusted(data: bytes) -> Any:
    return Trusting(io.BytesIO(data), encoding="bytes").load()


def plain(value: Any) -> Any:
    """Our arrays, and numpy's, as (kind, shape, bytes)."""
    if isinstance(value, Array):
        return value.code, value.shape, value.data
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.str[1:], value.shape, value.tobytes()
    if isinstance(value, bytearray):
        return bytes(value)
    return type(value)(map(plain, value)) if isinstance(value, list | tuple) else value


def packs() -> dict[str, bytes]:
    """Packs by the way in which they were written."""
    rows = [np.frombuffer(entry, np.uint8).copy() for entry in ENTRIES]
    values = {
        "bytes": (ENTRIES, [True, False]),
        "rows": (rows, [np.bool_(True), np.bool_(False)]),
        "columns": ([row.reshape(-1, 1) for row in rows], np.array([True, False])),
        "numbers": (ENTRIES, [1, np.int64(0)]),
        "array of numbers": (tuple(ENTRIES), np.array([1, 0])),
        "text": ("\u20ac \U0001f600 \ud800 \\u0041", [-1, 300, 70_000, -(2**31), 2**40, -(2**59), None, [], ()]),
    }
    made = {
        f"{name}, protocol {protocol}": pickle.dumps(value, protocol)
        for name, value in values.items()
        for protocol in PROTOCOLS
    }
    old = {
        f"{name}, numpy 1": data.replace(b"cnumpy._core.", b"cnumpy.core.")
        for name, data in made.items()
        if b"cnumpy._core." in data
    }
    assert len(old) == 4 * 4  # in protocols 0 to 3 a module's name is a line
    return made | old | {"python 2": PYTHON2, "python 2, text": PYTHON2_TEXT, "python 2, array": PYTHON2_ARRAY}


PACKS = packs()


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Any]:
    path = tmp_path / "pack.bin"

    def read(data: bytes) -> Any:
        path.write_bytes(data)
        return read_pickle(path)

    return read


@pytest.mark.parametrize("name", PACKS)
def test_reads_what_python_reads(read: Callable[[bytes], Any], name: str) -> None:
    assert plain(read(PACKS[name])) == plain(trusted(PACKS[name]))


def test_python_2_by_hand(read: Callable[[bytes], Any]) -> None:
    assert read(PYTHON2) == (ENTRIES, [True, False])
    assert read(PYTHON2_TEXT) == ([ENTRIES[0], b"it's", b"x", ENTRIES[0]], [True, False])
    entries, flags = read(PYTHON2_ARRAY)
    assert [plain(entry) for entry in entries] == [("u1", (3, 1), b"\xff\xd8\0")] * 2
    assert flags == [True]


def test_counts_and_names_as_long_as_they_come(read: Callable[[bytes], Any]) -> None:
    # BINBYTES8 and BINUNICODE8 are only written for 4 GiB and more, and may stand for less
    long = b"\x80\x04\x8e" + struct.pack("<Q", 3) + b"abc\x8d" + struct.pack("<Q", 2) + b"de\x86."
    assert read(long) == trusted(long) == (b"abc", "de")
    assert read(b"\x80\x02L123456789012345678L\n.") == 123456789012345678
    value = [b"%064d" % number for number in range(70_000)]  # a memo of more than 2^16 entries, in groups of 1,000
    for protocol in PROTOCOLS[3:]:
        assert read(pickle.dumps(value + value, protocol)) == value + value


@pytest.mark.parametrize("name", [name for name in PACKS if "numpy 1" not in name])
def test_cut_short_anywhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pack.bin"
    path.write_bytes(PACKS[name])
    for end in reversed(range(len(PACKS[name]))):
        os.truncate(path, end)
        with pytest.raises(DamageError):
            read_pickle(path)


class Evil:
    """Pickled, it runs a command that makes a file."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.sentinel}",)


def hostile(command: bytes) -> dict[str, tuple[bytes, str]]:
    """Pickles by what they try, and what the error must say."""
    core = b"cnumpy._core.multiarray\n"
    kind = b"cnumpy\ndtype\n(C\x02u1K\x00K\x01tR"
    row = core + b"_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    text = b"S'" + command + b"'\n"
    return {
        "eval": (b"cbuiltins\neval\n(" + text + b"tR.", "'builtins.eval'"),
        "exec of python 2": (b"c__builtin__\nexec\n(" + text + b"tR.", "'__builtin__.exec'"),
        "name from the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93(" + text + b"tR.", "'os.system'"),
        "name with a path": (b"\x80\x04\x8c\x05numpy\x8c\x0bf2py.os.sys\x93.", "'numpy.f2py.os.sys'"),
        "name that is no text": (b"\x80\x04K\x01\x8c\x06system\x93.", "a name that is not text"),
        "other name of numpy": (b"cnumpy\nfromfile\n(" + text + b"tR.", "'numpy.fromfile'"),
        "endless name": (b"c" + b"a" * 400 + b"\nb\n.", "no end of line in 256"),
        "INST": (b"(" + text + b"ios\nsystem\n.", "operation INST"),
        "OBJ": (b"(cnumpy\ndtype\n" + text + b"o.", "operation OBJ"),
        "NEWOBJ": (b"\x80\x02cnumpy\ndtype\n)\x81.", "operation NEWOBJ"),
        "NEWOBJ_EX": (b"\x80\x04cnumpy\ndtype\n)}\x92.", "operation"),
        "persistent id": (b"Pother\n.", "operation PERSID"),
        "persistent id of the stack": (b"K\x01Q.", "operation BINPERSID"),
        "extension": (b"\x82\x01.", "operation EXT1"),
        "buffer from elsewhere": (b"\x80\x05\x97.", "operation NEXT_BUFFER"),
        "no operation": (b"\xff\xd8\xff\xe0", "the byte 0xff"),
        "call of a value": (b"K\x01)R.", "a call of int"),
        "call with a list": (b"c_codecs\nencode\n](X\x01\0\0\0aX\x06\0\0\0latin1eR.", "a call of encode"),
        "other codec": (b"c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0ziptR.", "a call of encode"),
        "text beyond latin-1": (b"c_codecs\nencode\n(V\\u20ac\nVlatin1\ntR.", "above U+00FF"),
        "object kind": (b"cnumpy\ndtype\n(C\x02O8K\x00K\x01tR.", "a call of dtype"),
        "wide kind": (b"cnumpy\ndtype\n(V(1000000000,)u1\nK\x00K\x01tR.", "a call of dtype"),
        "kind with metadata": (kind + b"(K\x04C\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00Ntb.", "state for Kind"),
        "kind with fields": (kind + b"(K\x03C\x01|N(tNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.", "state for Kind"),
        "room for an array": (core + b"_reconstruct\n(cnumpy\nndarray\nJ\0\0\0\x7f\x85C\x01btR.", "a call of _reco"),
        "subclass": (core + b"_reconstruct\n(cnumpy\ndtype\nK\x00\x85C\x01btR.", "a call of _reconstruct"),
        "giant array": (row + b"(K\x01J\0\0\0\x7f\x85" + kind + b"\x89C\x03abctb.", "2130706432 items in 3 byte"),
        "two sides": (row + b"(K\x01K\x02K\x02\x86" + kind + b"\x89C\x04abcdtb.", "an array of another shape"),
        "negative sides": (row + b"(K\x01J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86" + kind + b"\x89C\x01atb.", "another"),
        "flag for a side": (row + b"(K\x01\x88\x85" + kind + b"\x89C\x01atb.", "another shape"),
        "array of objects": (row + b"(K\x01K\x01\x85" + kind + b"\x89](K\x01etb.", "a state for Array"),
        "state for a list": (b"])b.", "a state for list"),
        "length of 4 GB": (b"B\xff\xff\xff\xffabc.", "4,294,967,295 more"),
        "length of 4 GB of python 2": (b"T\xff\xff\xff\xffabc.", "4,294,967,295 more"),
        "text of 4 GB": (b"X\xff\xff\xff\xffabc.", "4,294,967,295 more"),
        "length of 2^63": (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "9,223,372,036,854,775,807 more"),
        "text of 2^64": (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.", "18,446,744,073,709,551,615 more"),
        "bytearray of 2^64": (b"\x96\xff\xff\xff\xff\xff\xff\xff\xffabc.", "18,446,744,073,709,551,615 more"),
        "frame of 2^64": (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "18,446,744,073,709,551,615 of a frame"),
        "number of 255 bytes": (b"\x8a\xff" + b"\x01" * 255 + b".", "a number of 255 bytes"),
        "number of 2^31 bytes": (b"\x8b\xff\xff\xff\x7f\x01.", "operation LONG4"),
        "number of many digits": (b"I" + b"9" * 10_000 + b"\n.", "no end of line in 24"),
        "no number": (b"I1_0\n.", "b'1_0'"),
        "number in base 8": (b"I010\n.", "b'010'"),
        "newer protocol": (b"\x80\x06N.", "protocol 6"),
        "text that is not UTF-8": (b"X\x01\0\0\0\xff.", "not UTF-8"),
        "broken escape": (b"V\\u12\n.", "a broken escape"),
        "string without quotes": (b"Sabc\n.", "a line that is no string"),
        "string of one quote": (b"S'\n.", "a line that is no string"),
        "string with another escape": (b"S'\\N{BELL}'\n.", "a line that is no string"),
        "string of raw bytes": (b"S'\xff'\n.", "a line that is no string"),
        "nothing to end with": (b".", "a value that is not there"),
        "nothing to pop": (b"\x85.", "a value that is not there"),
        "nothing above a mark": (b"K\x01(\x85.", "a value that is not there"),
        "group never begun": (b"]e.", "a group that was not begun"),
        "mark left over": (b"(K\x01.", "values left over"),
        "value left over": (b"NN.", "values left over"),
        "append to a number": (b"K\x01K\x02a.", "an append to int"),
        "remembered below 0": (b"Np-1\n.", "memo number -1"),
        "never remembered": (b"h\x05.", "remembered as 5"),
        "something after the end": (b"N.N", "1 byte(s) after the pickle's end"),
        "nothing": (b"", "0 byte(s) before the end"),
        "no end": (b"N", "0 byte(s) before the end"),
    }


HOSTILE = list(hostile(b""))


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses(read: Callable[[bytes], Any], tmp_path: Path, name: str) -> None:
    data, said = hostile(f"touch {tmp_path / 'ran'}".encode())[name]
    with pytest.raises(DamageError) as caught:
        read(data)
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))}/pack\.bin: byte [0-9,]+: found .+, expected .+; nothing in it was run; .+",
        str(caught.value),
    )
    assert said in str(caught.value)
    assert caught.value.offset is not None
    assert caught.value.offset <= len(data)
    assert list(tmp_path.iterdir()) == [tmp_path / "pack.bin"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_runs_nothing(read: Callable[[bytes], Any], tmp_path: Path, protocol: int) -> None:
    ran = tmp_path / "ran"
    for value in (Evil(ran), (ENTRIES, [True, Evil(ran)]), ([Evil(ran)] * 2, [True])):
        data = pickle.dumps(value, protocol)
        with pytest.raises(DamageError, match=r"posix\.system|nt\.system"):
            read(data)
    assert not ran.exists()
    pickle.loads(data)  # it would have
    assert ran.exists()


def peak(action: Callable[[], Any]) -> int:
    """The most memory that `action` takes, in bytes; damage may end it."""
    tracemalloc.start()
    try:
        action()
    except DamageError:
        pass
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return most


def test_a_memo_number_of_a_billion_takes_no_room(read: Callable[[bytes], Any]) -> None:
    data = b"]r\xff\xff\xff\x7fp999999999999\n(j\xff\xff\xff\x7fg999999999999\nl\x86."
    made: list[Any] = []
    assert peak(lambda: made.append(read(data))) < 100_000
    assert made == [([], [[], []])]


BOMBS = {
    "tuples in tuples": b")" + b"\x85" * 150_000 + b".",
    "laughs": b")" + b"q\x00h\x00\x86" * 40_000 + b".",
    "lists": b"]\x94" * 75_000 + b".",
    "marks": b"(" * 150_000,
    "names": b"cnumpy\ndtype\n\x94" * 30_000,
    "text made bytes again and again": b"X\0\0\4\0" + b"a" * 262_144 + b"q\x00X\6\0\0\0latin1q\1c_codecs\nencode\nq\2("
    + b"h\2h\0h\1\x86R" * 5_000,
    "text of wide letters": b"X\1\0\4\0" + "\U0001f600".encode() + b"a" * 262_141 + b".",
    "quotes": b"S'" + b"\\x00'\\n" * 60_000 + b"\n",
    "backslashes": b"S'" + b"\\" * 400_001 + b"'\n",
    "no newline": b"V" + b"\\u0061" * 60_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_within_a_few_times_the_file(read: Callable[[bytes], Any], name: str) -> None:
    # 100,000 operations are free; each can make a small object and a place in the memo
    assert peak(lambda: read(BOMBS[name])) < 100_000 * 100 + 8 * len(BOMBS[name])


def test_the_value_of_a_bomb_can_be_let_go(read: Callable[[bytes], Any]) -> None:
    value = read(b")" + b"\x85" * 90_000 + b".")
    assert len(value) == 1
    with pytest.raises(DamageError, match="more than 104,687 operations"):
        read(BOMBS["tuples in tuples"])


def damage(data: bytes, rng: random.Random) -> bytes:
    """`data` with one to four changes: a byte, another operation, a cut, bytes put in or taken out, a length."""
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(raw) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            raw[at : at + 1] = rng.randbytes(1)
        elif kind == 1:
            raw[at : at + 1] = bytes([rng.choice(pickle_operations)])
        elif kind == 2:
            del raw[at:]
        elif kind == 3:
            raw[at:at] = rng.choice([rng.randbytes(3), b"h\x00", b"cos\nsystem\n", b"R", b"b", b"0", b"2", b"\x85"])
        elif kind == 4:
            del raw[at : at + rng.randrange(1, 9)]
        else:
            raw[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\0\0\0\x7f", b"\0\0\0\x80"])
    return bytes(raw)


pickle_operations = b"".join(
    getattr(pickle, name) for name in pickle.__all__ if name.isupper() and isinstance(getattr(pickle, name), bytes)
)


def fuzz(folder: Path, rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    evil = [pickle.dumps((ENTRIES, [Evil(folder / "ran")]), protocol) for protocol in PROTOCOLS]
    originals = [*PACKS.values(), *evil]
    path, accepted = folder / "pack.bin", 0
    for _ in range(rounds):
        data = damage(rng.choice(originals), rng)
        path.write_bytes(data)
        tracemalloc.start()
        try:
            made = open_pack(path)
        except RecordIOError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
        else:
            accepted += 1
            images = [made.images[number] for number in made.pairs.ravel()]
            with contextlib.suppress(TypeError, np.exceptions.VisibleDeprecationWarning):  # numpy wants True for 1
                assert (images, made.same.tolist()) == trusted_pack(data)
        assert tracemalloc.get_traced_memory()[1] < 200_000 + 200 * len(data)
        tracemalloc.stop()
    assert rounds / 20 < accepted < rounds / 2  # both outcomes were tried
    assert list(folder.iterdir()) == [path]


def trusted_pack(data: bytes) -> tuple[list[bytes], list[bool]]:
    entries, flags = trusted(data)
    return [entry.tobytes() if isinstance(entry, np.ndarray) else bytes(entry) for entry in entries], list(
        map(bool, flags)
    )


def test_damaged_pickles(tmp_path: Path) -> None:
    fuzz(tmp_path, rounds=2_000, seed=0)


@pytest.mark.slow
def test_many_damaged_pickles(tmp_path: Path) -> None:
    fuzz(tmp_path, rounds=200_000, seed=1)
