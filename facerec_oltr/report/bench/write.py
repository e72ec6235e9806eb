"""The report of a benchmark on the disk: one HTML file, or Markdown and its pictures."""

from collections.abc import Sequence
from pathlib import Path

from facerec_oltr.errors import DataError
from facerec_oltr.report.bench.document import document
from facerec_oltr.report.bench.html import html_page
from facerec_oltr.report.bench.joined import Joined, read_joined
from facerec_oltr.report.bench.markdown import PHOTO, markdown_files
from facerec_oltr.report.bench.photos import Reader, photo_reader
from recordio_tools.whole import write_whole

PAGES = (".html", ".htm")


def write_bench_report(
    results: Sequence[Path], out: Path, *, images: Path | None = None, faces: bool = True
) -> list[Path]:
    """Write a report of what ``facerec bench`` found; everything is made before anything is written.

    Args:
        results: folders that it made, or their ``results.json``; they must have been made alike.
        out: ``.html`` for one file with all in it; ``.md`` for Markdown, with its pictures beside it.
        images: the folder or face set that was measured, to show the worst errors.
        faces: False keeps every photo, image key and person's name out, whatever else is given.

    Returns:
        The files written, the report first.

    Raises:
        DataError: a result cannot be read or does not belong to the others, `out` is no such name, an image is missing.
        RecordIOError: a photo is damaged.
    """
    _check_name(out, faces)
    shown = faces and images is not None
    joined = read_joined(results, examples=shown)
    made = document(joined, _readers(joined, images) if shown and images is not None else None)
    files: dict[str, bytes] = {}
    if out.suffix.lower() in PAGES:
        text = html_page(made)
    else:
        text, files = markdown_files(made, out.stem)
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_whole(out.with_name(name), data)
    write_whole(out, text.encode())
    return [out, *(out.with_name(name) for name in files)]


def _check_name(out: Path, faces: bool) -> None:
    if out.is_dir():
        raise DataError(f"{out}: is a folder, expected a file name such as {out / 'report.html'}")
    if out.suffix.lower() not in (*PAGES, ".md"):
        raise DataError(f"{out}: expected a name that ends in .html, for one page, or .md, for Markdown and pictures")
    if not faces and out.suffix.lower() == ".md":
        left = sorted(path.name for path in out.parent.glob("*.png") if path.name.startswith(f"{out.stem}-{PHOTO}-"))
        if left:
            raise DataError(
                f"{out.with_name(left[0])}: faces of an earlier report are still beside it; remove "
                f"{out.stem}-{PHOTO}-*.png or give another name"
            )


def _readers(joined: Joined, images: Path) -> dict[str, Reader]:
    if not joined.examples:
        raise DataError("no examples.json is beside the results, so there is no error to show; leave --images out")
    names = dict.fromkeys(one.protocol for one in joined.examples)
    if unknown := [name for name in names if name not in joined.protocols]:
        raise DataError(
            f"an example is of the protocol {unknown[0]!r}, of which there is no result; run facerec bench again"
        )
    return {name: photo_reader(images, joined, name) for name in names}
