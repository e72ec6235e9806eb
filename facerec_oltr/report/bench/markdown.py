"""A report as Markdown, and the pictures that stand beside it."""

import re

import cv2

from facerec_oltr.report.bench.blocks import (
    Block,
    Bullets,
    Document,
    Photo,
    Photos,
    Picture,
    Section,
    Table,
    Text,
    plain,
)
from facerec_oltr.report.drawing import png
from facerec_oltr.report.tables import markdown_table

_SPECIAL = re.compile(
    r"[\\`*|~$]|(?<![^\W_])_|_(?![^\W_])"  # an underscore inside a word means nothing
    r"|(?<=\])[\[(:]"  # nor does a bracket, unless a link's other half follows
)
PHOTO = "photo"  # part of the file names of photos, and of no other picture


def markdown_files(document: Document, stem: str) -> tuple[str, dict[str, bytes]]:
    """The text, and its pictures by file name; the same document gives the same bytes.

    Args:
        document: the report.
        stem: how the pictures' names begin.
    """
    files: dict[str, bytes] = {}
    sections = [_section(section, stem, files) for section in document.sections]
    return "\n\n".join([f"# {_text(document.title)}", *sections]) + "\n", files


def _section(section: Section, stem: str, files: dict[str, bytes]) -> str:
    head = f"{'#' * section.level} {_text(section.title)}"
    return "\n\n".join([head, *(_block(block, stem, files) for block in section.blocks)])


def _block(block: Block, stem: str, files: dict[str, bytes]) -> str:
    match block:
        case Text(text):
            return _text(text)
        case Bullets(lines):
            return "\n".join(f"- {_text(line)}" for line in lines)
        case Table():
            return f"{_text(block.caption)}\n\n{markdown_table(_cells(block))}"
        case Picture(name, alt, caption, draw):
            return f"{_image(f'{stem}-{name}.png', alt, png(draw()), files)}\n\n{_text(caption)}"
        case Photos(name, caption, photos):
            rows = [
                [_text(photo.words), _image(f"{stem}-{PHOTO}-{name}-{number}.png", photo.alt, _encoded(photo), files)]
                for number, photo in enumerate(photos, 1)
            ]
            return f"{_text(caption)}\n\n{markdown_table([['decision', 'photos'], *rows])}"


def _cells(table: Table) -> list[list[str]]:
    """One line of heads: Markdown has no column groups."""
    above = [""] * table.names + [f"{title}: " for title, width in table.groups for _ in range(width)]
    above += [""] * (len(table.columns) - len(above))
    heads = [_text(group + head) for group, head in zip(above, table.columns, strict=True)]
    return [heads, *([_text(cell) for cell in row] for row in table.rows)]


def _image(name: str, alt: str, data: bytes, files: dict[str, bytes]) -> str:
    assert name not in files
    files[name] = data
    return f"![{_text(alt)}](<{name}>)"


def _encoded(photo: Photo) -> bytes:
    done, encoded = cv2.imencode(".png", photo.pixels[..., ::-1])
    assert done
    return encoded.tobytes()


def _text(text: str) -> str:
    escaped = _SPECIAL.sub(lambda found: "\\" + found[0], plain(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
