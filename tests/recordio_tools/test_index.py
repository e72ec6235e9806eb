import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordio_tools import Header, Reader, Writer, index, pack
from recordio_tools.errors import DamageError, IndexMismatchError, MissingKeyError, SourceError
from recordio_tools.framing import MAGIC, MAX_LENGTH
from recordio_tools.index import Index
from recordio_tools.rebuild import rebuild


def load(tmp_path: Path, text: bytes) -> Index:
    (tmp_path / "a.idx").write_bytes(text)
    return Index.load(tmp_path / "a.idx")


def pairs(made: Index) -> list[tuple[int, int]]:
    return list(zip(made.keys.tolist(), made.offsets.tolist(), strict=True))


@given(st.dictionaries(st.integers(0, 10**18 - 1), st.integers(0, 10**17).map(lambda n: 4 * n)))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, table: dict[int, int]) -> None:
    path = tmp_path_factory.mktemp("index") / "a.idx"
    Index(np.array(list(table), np.int64), np.array(list(table.values()), np.int64), path).save(path)
    assert path.read_text() == "".join(f"{key}\t{offset}\n" for key, offset in table.items())
    made = Index.load(path)
    assert pairs(made) == list(table.items())
    keys = np.array([*table, 123456789], np.int64)
    assert [made.position(key) for key in table] == list(range(len(table)))
    assert made.positions(keys).tolist()[:-1] == list(range(len(table)))
    if 123456789 not in table:
        assert made.positions(keys)[-1] == -1


def test_pieces_of_the_file_meet_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = [(key, key * 400) for key in range(300)]
    text = "".join(f"{key}\t{offset}\n" for key, offset in table).encode()
    for size in (40, 41, 64, 1000):
        monkeypatch.setattr(index, "_CHUNK", size)
        assert pairs(load(tmp_path, text)) == table


@pytest.mark.parametrize("text", [b"1\t0\n0\t8", b"1\t0\r\n0\t8\r\n", b"1\t0\r\n0\t8\r", b"01\t00\n0\t8\n"], ids=repr)
def test_harmless_forms_are_read(tmp_path: Path, text: bytes) -> None:
    assert pairs(load(tmp_path, text)) == [(1, 0), (0, 8)]


GARBAGE = {
    "text": (b"1\t0\nhello\n", "line 2"),
    "text without end": (b"1\t0\nhello", "line 2"),
    "spaces": (b"1 0\n", "line 1"),
    "three columns": (b"1\t0\t4\n", "line 1"),
    "one column": (b"1\n", "line 1"),
    "two lines that pair up": (b"1\n2\n3\t4\t5\t6\n", "line 1"),
    "empty line": (b"1\t0\n\n2\t8\n", "line 2"),
    "empty key": (b"\t0\n", "line 1"),
    "negative": (b"-1\t0\n", "line 1"),
    "fraction": (b"1\t0.5\n", "line 1"),
    "too large for int64": (b"1\t99999999999999999999\n", "line 1"),
    "bytes of a record file": (b"\x0a\x23\xd7\xce" * 30, "line 1"),
    "one endless line": (b"7" * 100_000, "line 1"),
    "word as key": (b"0\t0\nface\t8\n", "line 2"),
    "offset that is not aligned": (b"0\t0\n1\t6\n", "line 2"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_names_its_file_and_line(tmp_path: Path, name: str) -> None:
    text, place = GARBAGE[name]
    with pytest.raises(IndexMismatchError, match=rf"a\.idx: {place}.*expected.*recordio index"):
        load(tmp_path, text)


@pytest.mark.parametrize("text", [b"5\t0\n5\t8\n", b"1\t0\n0\t8\n1\t16\n"])
def test_a_key_twice_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(IndexMismatchError, match=r"a\.idx: key \d stands more than once"):
        load(tmp_path, text)


def test_a_missing_index_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"train\.idx: not there.*recordio index .*train\.rec"):
        Index.load(tmp_path / "train.idx")


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"", "it is empty"), (b"3\t0\n1\t8\n", "2 keys from 1 to 3"), (b"900000\t0\n5\t8\n", "from 5 to 900000")],
)
def test_a_missing_key_says_which_there_are(tmp_path: Path, text: bytes, said: str) -> None:
    made = load(tmp_path, text)
    for key in (2, -1, 10**30):
        with pytest.raises(MissingKeyError, match=said):
            made.position(key)
    with pytest.raises(KeyError):
        made.position(2)
    assert made.positions(np.array([2, -1, 10**17])).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("text", [b"3\t0\n1\t8\n", b"900000\t0\n5\t8\n"])
def test_pickles_without_its_lookup_table(tmp_path: Path, text: bytes) -> None:
    made = load(tmp_path, text)
    made.position(int(made.keys[0]))
    copy = pickle.loads(pickle.dumps(made))
    assert pairs(copy) == pairs(made)
    assert copy.position(int(made.keys[1])) == 1


def test_rebuild_takes_keys_from_the_headers(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        for key in (5, 6, 0, 7):
            writer.write(key, pack(Header(0, 1.0, key), b"image"))
    made, damages = rebuild(tmp_path / "a.rec")
    assert pairs(made) == pairs(Index.load(tmp_path / "a.idx"))
    assert not damages


@pytest.mark.parametrize(
    "payloads",
    [
        [b"no header", b""],
        [pack(Header(0, 1.0, 3), b""), b"no header"],
        [pack(Header(0, 1.0, 3), b"")] * 2,
        [pack(Header(0, 1.0, 2**63), b"")],
        [],
    ],
)
def test_rebuild_counts_where_headers_give_no_keys(tmp_path: Path, payloads: list[bytes]) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        for number, payload in enumerate(payloads):
            writer.write(number, payload)
    made, _ = rebuild(tmp_path / "a.rec")
    assert pairs(made) == pairs(Index.load(tmp_path / "a.idx"))


def test_rebuild_passes_damage_when_asked(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.rec") as writer:
        for key in range(4):
            writer.write(key, pack(Header(0, 1.0, key), b"image"))
    raw = bytearray((tmp_path / "a.rec").read_bytes())
    raw[40] ^= 255  # the magic of record 1
    (tmp_path / "a.rec").write_bytes(raw + b"tail")
    with pytest.raises(DamageError, match=r"a\.rec: byte 40: .*--past-damage"):
        rebuild(tmp_path / "a.rec")
    made, damages = rebuild(tmp_path / "a.rec", past_damage=True)
    assert pairs(made) == [(0, 0), (2, 80), (3, 120)]
    assert [damage.offset for damage in damages] == [40, 160]
    assert Reader(tmp_path / "a.rec", made).read(2).endswith(b"image")


def test_rebuild_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.rec: not there"):
        rebuild(tmp_path / "a.rec")
    with pytest.raises(SourceError, match="is a folder"):
        rebuild(tmp_path)


def damages_of(data: bytes, offsets: list[int]) -> Iterator[tuple[str, bytes, int]]:
    """Each way to damage one record of `data`: its name, the bytes, and the position of the damaged record."""
    for position, at in enumerate(offsets):
        (word,) = struct.unpack("<I", data[at + 4 : at + 8])

        def put(new: bytes, to: int) -> bytes:
            return data[:to] + new + data[to + len(new) :]

        yield "magic", put(b"\1", at), position
        for flag in (2, 3, 4, 7):
            yield f"flag {flag}", put(struct.pack("<I", flag << 29 | word & MAX_LENGTH), at + 4), position
        for length in (0, 4, 24, 60, 100, 1000, 1 << 20, MAX_LENGTH):
            if length != word & MAX_LENGTH:
                yield f"length {length}", put(struct.pack("<I", length), at + 4), position


def test_past_any_damage_all_other_records_are_recovered_and_nothing_else(tmp_path: Path) -> None:
    rec = tmp_path / "a.rec"
    payloads = [pack(Header(0, float(key), key), b"%d" % key * key) for key in range(1, 9)]
    payloads[4] += b"\0" * (-len(payloads[4]) % 4) + MAGIC * 2 + b"tail"  # one of several parts
    with Writer(rec) as writer:
        for key, payload in enumerate(payloads, 1):
            writer.write(key, payload)
    offsets = Index.load(tmp_path / "a.idx").offsets.tolist()
    sound, tried = rec.read_bytes(), 0
    for name, data, position in damages_of(sound, offsets):
        rec.write_bytes(data)
        made, damages = rebuild(rec, past_damage=True)
        found = [payload for _, payload in Reader(rec, made)]
        others = [payload for place, payload in enumerate(payloads) if place != position]
        assert [payload for payload in found if payload in others] == others, (name, position)
        strangers = [payload for payload in found if payload not in payloads]
        assert len(strangers) <= 1, (name, position)  # the damaged record itself, shortened
        assert damages, (name, position)
        assert damages.total == len(damages)
        tried += 1
    assert tried > 80


def test_a_file_of_damage_alone_is_counted_and_does_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes((MAGIC + struct.pack("<I", MAX_LENGTH)) * 5000)
    told: list[tuple[int, int]] = []
    made, damages = rebuild(tmp_path / "a.rec", past_damage=True, progress=lambda *at: told.append(at))
    assert len(made) == 0
    assert (damages.total, len(damages)) == (5000, 1000)
    assert told == [(40_000, 40_000)]


def test_rebuild_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recordio_tools.rebuild._BETWEEN_REPORTS", 100)
    with Writer(tmp_path / "a.rec") as writer:
        for key in range(6):
            writer.write(key, b"x" * 52)  # 60 bytes each
    told: list[tuple[int, int]] = []
    rebuild(tmp_path / "a.rec", progress=lambda *at: told.append(at))
    assert told == [(120, 360), (240, 360), (360, 360), (360, 360)]
