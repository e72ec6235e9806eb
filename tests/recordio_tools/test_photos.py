import os
import shutil
from pathlib import Path

import pytest

from recordio_tools.errors import FaceSetError, RecordIOError, SourceError
from recordio_tools.photos import ChangedError, photos_in_folder, photos_in_listing


@pytest.fixture
def room(photos: Path, tmp_path: Path) -> Path:
    """A copy of the photos under `photos`, a secret beside it, and a list to write."""
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "secret").mkdir()
    shutil.copy(photos / "p1" / "1.png", tmp_path / "secret" / "1.png")
    return tmp_path


def listed(room: Path, text: str) -> Path:
    path = room / "faces.lst"
    path.write_bytes(text.encode(errors="surrogateescape"))
    return path


def test_a_folder_in_natural_order(room: Path) -> None:
    found = photos_in_folder(room / "photos")
    assert found.sources[:7] == [*(f"p1/{number}.png" for number in range(1, 7)), "p2/1.png"]
    assert found.labels.tolist() == [0] * 6 + [1] * 5 + [2] * 4 + [3] * 3 + [4] * 2
    assert found.stamps[0].tolist() == [
        (room / "photos" / "p1" / "1.png").stat().st_size,
        (room / "photos" / "p1" / "1.png").stat().st_mtime_ns,
    ]
    assert found.read(3) == (room / "photos" / "p1" / "4.png").read_bytes()


def test_both_dialects_give_the_same_photos(room: Path) -> None:
    faces = photos_in_listing(
        listed(room, "1\tp2/1.png\t0\n1\tp1/2.png\t1\t3\t4\t90\t99\n1\tp1/1.png\t1\r\n"), room / "photos"
    )
    im2rec = photos_in_listing(listed(room, "9\t0\tp2/1.png\n2\t1.0\t7\tp1/2.png\n5\t1\tp1/1.png"), room / "photos")
    for found in (faces, im2rec):
        assert found.sources == ["p2/1.png", "p1/2.png", "p1/1.png"]
        assert found.labels.tolist() == [0, 1, 1]
        assert found.source_labels.tolist() == [0, 1]


def test_gaps_close_up_and_scattered_identities_come_together(room: Path) -> None:
    text = "1\tp3/2.png\t70\n1\tp1/1.png\t5\n1\tp3/1.png\t70\n1\tp2/1.png\t6\n1\tp1/2.png\t5\n"
    found = photos_in_listing(listed(room, text), room / "photos")
    assert found.sources == ["p1/1.png", "p1/2.png", "p2/1.png", "p3/2.png", "p3/1.png"]
    assert found.labels.tolist() == [0, 0, 1, 2, 2]
    assert found.source_labels.tolist() == [5, 6, 70]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1\t../secret/1.png\t0", "leads out of"),
        ("1\tp1/../../secret/1.png\t0", "leads out of"),
        ("1\tp1/../p2/1.png\t0", "leads out of"),
        ("7\t0\t../secret/1.png", "leads out of"),
        ("1\t{room}/secret/1.png\t0", "leads out of"),
        ("1\t{room}/photos/p1/1.png\t0", "leads out of"),
        ("1\tout/1.png\t0", "leads out of"),  # a folder that is a link
        ("1\tp2/out.png\t0", "leads out of"),  # a file that is a link
        ("1\tp2/chain.png\t0", "leads out of"),  # a link to a link
        ("1\tout/deeper/none.png\t0", "leads out of"),
        ("1\tp9/1.png\t0", "is not a file"),
        ("1\tp1\t0", "is not a file"),
        ("1\t\t0", "is not a file"),
        ("1\tp1/pipe.png\t0", "is not a file"),
        ("1\tp1/1.png/x\t0", "is not a file"),
        ("1\tp1/2.png\t0", "is line 1 again"),
        ("1\t./p1//2.png\t4", "is line 1 again"),
        ("0\tp1/1.png\t0", "not aligned"),
        ("1\tp1/\0.png\t0", "zero byte"),
        ("1\tp1/\r1.png\t0", "line break"),
    ],
)
def test_lines_that_are_refused(room: Path, line: str, said: str) -> None:
    (room / "photos" / "out").symlink_to(room / "secret")
    (room / "photos" / "p2" / "out.png").symlink_to(room / "secret" / "1.png")
    (room / "photos" / "p2" / "chain.png").symlink_to("out.png")
    os.mkfifo(room / "photos" / "p1" / "pipe.png")
    listing = listed(room, "1\tp1/2.png\t0\n" + line.format(room=room) + "\n")
    with pytest.raises(SourceError, match=rf"faces\.lst: line 2: .*{said}") as caught:
        photos_in_listing(listing, room / "photos")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["", "1\tp1/1.png", "p1/1.png 0", "1\tp1/1.png\t-1", "1\tp1/1.png\t0.5", "\0" * 99])
def test_lines_of_neither_dialect(room: Path, line: str) -> None:
    with pytest.raises(FaceSetError, match=r"faces\.lst: line 2: found"):
        photos_in_listing(listed(room, f"1\tp1/2.png\t0\n{line}\n"), room / "photos")


def test_a_file_that_is_no_list_is_not_read_whole(room: Path) -> None:
    with (room / "faces.lst").open("wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(FaceSetError, match=r"faces\.lst: line 1: found"):
        photos_in_listing(room / "faces.lst", room / "photos")


def test_lists_that_are_not_there_or_empty(room: Path) -> None:
    for listing, root, said in (
        (room / "no.lst", room, "cannot be read"),
        (room / "photos", room, "cannot be read"),
        (listed(room, ""), room, "no line in it"),
        (listed(room, ""), room / "no", "no: not a folder"),
    ):
        with pytest.raises(SourceError, match=said):
            photos_in_listing(listing, root)


def test_links_within_the_root_are_followed(room: Path) -> None:
    (room / "photos" / "p2" / "again.png").symlink_to("../p1/1.png")
    (room / "photos" / "p4").symlink_to("p3")
    (room / "root").symlink_to("photos")
    found = photos_in_listing(listed(room, "1\tp2/again.png\t0\n1\tp4/1.png\t1\n"), room / "root")
    assert found.read(0) == (room / "photos" / "p1" / "1.png").read_bytes()
    assert found.read(1) == (room / "photos" / "p3" / "1.png").read_bytes()


def test_missing_photos_can_be_kept_to_be_told_later(room: Path) -> None:
    found = photos_in_listing(listed(room, "1\tp1/1.png\t0\n1\tp1/none.png\t0\n"), room / "photos", missing_too=True)
    assert len(found) == 2
    with pytest.raises(SourceError, match=r"none\.png: cannot be read \(No such file"):
        found.read(1)


def test_names_of_every_kind(room: Path) -> None:
    home = room / "photos" / "Žofie 李"
    home.mkdir()
    odd = os.fsdecode(b"\xff\xfe 1.png")
    for name in ("ü 1.png", odd):
        (home / name).write_bytes(b"x")
    found = photos_in_folder(room / "photos")
    assert found.sources[-2:] == [f"Žofie 李/{name}" for name in ("ü 1.png", odd)]
    again = photos_in_listing(listed(room, f"1\tŽofie 李/{odd}\t0\n"), room / "photos")
    assert again.read(0) == b"x"
    (home / "a\tb.png").touch()
    with pytest.raises(SourceError, match="tab or line break"):
        photos_in_folder(room / "photos")


def test_links_in_a_folder_are_followed_and_none_is_passed_over(room: Path) -> None:
    (room / "photos" / "p4").symlink_to(room / "secret")
    (room / "photos" / "p1" / "9.png").symlink_to("nowhere.png")
    found = photos_in_folder(room / "photos")
    assert found.sources[16:18] == ["p4/1.png", "p10/1.png"]
    place = found.sources.index("p1/9.png")
    with pytest.raises(SourceError, match=r"9\.png: cannot be read"):
        found.read(place)
    (room / "photos" / "p5").symlink_to("nobody")
    with pytest.raises(SourceError, match="p5: a link that leads nowhere"):
        photos_in_folder(room / "photos")


def test_a_photo_that_changes_is_noticed(room: Path, photos: Path) -> None:
    found = photos_in_folder(room / "photos")
    path = room / "photos" / "p1" / "2.png"
    before = path.stat()
    path.write_bytes((photos / "p1" / "3.png").read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(ChangedError, match=r"2\.png: changed while"):
        found.read(1)
    assert issubclass(ChangedError, RecordIOError)


def test_how_a_class_is_named(room: Path) -> None:
    assert photos_in_folder(room / "photos").whose(3) == str(room / "photos" / "p10")
    found = photos_in_listing(listed(room, "1\tp1/1.png\t5\n1\tp2/1.png\t7000\n"), room / "photos")
    assert found.whose(1) == f"label 7,000 ({room / 'photos' / 'p2' / '1.png'} …)"


def test_the_suffix_alone_says_what_is_a_photo(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "a" / "folder.png").mkdir()
    os.mkfifo(tmp_path / "a" / "pipe.png")
    assert photos_in_folder(tmp_path).sources == ["a/1.png"]
