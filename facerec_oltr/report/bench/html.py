"""A report as one HTML file that needs nothing else: no script, no network, pictures inside."""

import base64
import re
from html import escape

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
from facerec_oltr.report.bench.style import COLOURS, CSS
from facerec_oltr.report.drawing import svg

_JPEG_QUALITY = 88
_BOUNDS = re.compile(r"^(\S+) (\[.*\])( \S)?$")  # value, bounds, and a mark that belongs to the value


def html_page(document: Document) -> str:
    """The whole file; the same document gives the same text."""
    title = _text(document.title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        + "\n".join(map(_section, document.sections))
        + "\n</main>\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    head = f"<h{section.level}>{_text(section.title)}</h{section.level}>"
    body = "\n".join(map(_block, section.blocks))
    if section.folded:
        return f"<section>\n<details>\n<summary>{head}</summary>\n{body}\n</details>\n</section>"
    return f"<section>\n{head}\n{body}\n</section>"


def _block(block: Block) -> str:
    match block:
        case Text(text):
            return f"<p>{_text(text)}</p>"
        case Bullets(lines):
            return "<ul>\n" + "\n".join(f"<li>{_text(line)}</li>" for line in lines) + "\n</ul>"
        case Table():
            return _table(block)
        case Picture(name, alt, caption, draw):
            drawn = svg(draw(), name, plain(alt), COLOURS)
            return f"<figure>\n{drawn}\n<figcaption>{_text(caption)}</figcaption>\n</figure>"
        case Photos(_, caption, photos):
            shown = "\n".join(map(_photo, photos))
            return f'<div class="photos">\n<p>{_text(caption)}</p>\n{shown}\n</div>'


def _table(table: Table) -> str:
    """Wide tables scroll inside their frame; a keyboard reaches it."""
    caption = _text(table.caption)
    lines = [f'<div class="wide" role="region" tabindex="0" aria-label="{caption}">', "<table>"]
    lines.append(f"<caption><span>{caption}</span></caption>\n<thead>")
    deep = ' rowspan="2"' if table.groups else ""
    names = [f'<th scope="col" class="name"{deep}>{_text(head)}</th>' for head in table.columns[: table.names]]
    heads = [f'<th scope="col">{_text(head)}</th>' for head in table.columns[table.names :]]
    if table.groups:
        above = [f'<th scope="colgroup" colspan="{width}">{_text(head)}</th>' for head, width in table.groups]
        lines.append(f"<tr>{''.join([*names, *above])}</tr>")
    else:
        heads = [*names, *heads]
    lines.append(f"<tr>{''.join(heads)}</tr>\n</thead>\n<tbody>")
    for number, row in enumerate(table.rows):
        cells = [f'<th scope="row">{_text(cell)}</th>' for cell in row[: table.names]]
        for column, cell in enumerate(row[table.names :], table.names):
            marked = ' class="marked"' if (number, column) in table.marks else ""
            cells.append(f"<td{marked}>{_figure(cell)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody>\n</table>\n</div>"])


def _photo(photo: Photo) -> str:
    height, width = photo.pixels.shape[:2]
    done, encoded = cv2.imencode(".jpg", photo.pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    data = base64.b64encode(encoded.tobytes()).decode()
    return (
        f'<figure class="photo"><img width="{width}" height="{height}" alt="{_text(photo.alt)}" '
        f'src="data:image/jpeg;base64,{data}"><figcaption>{_text(photo.words)}</figcaption></figure>'
    )


def _figure(cell: str) -> str:
    """A figure with its bounds below it, so that a table of many columns stays narrow."""
    found = _BOUNDS.match(cell)
    if found is None:
        return _text(cell)
    return f'{_text(found[1] + (found[3] or ""))} <span class="bounds">{_text(found[2])}</span>'


def _text(text: str) -> str:
    return escape(plain(text))
