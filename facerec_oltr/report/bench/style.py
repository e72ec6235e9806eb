"""How the page looks: in the light, in the dark, on a phone and on paper; and the colours and shapes of its lines.

The colours are Okabe and Ito's (2008), made to be told apart by the colour-blind; each line has a dash pattern and a
marker too, so that a grey print will do.
"""

from typing import NamedTuple

from facerec_oltr.report.drawing import FAINT, GRID, INK, PAPER


class Style(NamedTuple):
    """How one line is drawn: matplotlib's words."""

    colour: str
    dashes: tuple[float, ...] | str
    marker: str


STYLES = (
    Style("#0060a8", "-", "o"),
    Style("#c24e00", (5, 1.6), "s"),
    Style("#007d5c", (1.2, 1.4), "^"),
    Style("#a8427f", (6, 1.4, 1.2, 1.4), "D"),
    Style("#6b5b00", (3, 1.2, 1.2, 1.2, 1.2, 1.2), "v"),
    Style("#4a4a4a", (9, 2.5), "P"),
)
SHADE = "#eeeeee"  # where nothing can be measured
_NAMED = {INK: "ink", FAINT: "faint", GRID: "grid", PAPER: "paper", SHADE: "shade"}
_DARK_LINES = ("#6db6f0", "#f39a5a", "#45c9a2", "#e596c6", "#d8c24a", "#c4c4c4")
COLOURS = {style.colour: f"line{number}" for number, style in enumerate(STYLES)} | _NAMED

_LIGHT = {**{f"line{number}": style.colour for number, style in enumerate(STYLES)}, **{v: k for k, v in _NAMED.items()}}
_DARK = {
    **{f"line{number}": colour for number, colour in enumerate(_DARK_LINES)},
    "ink": "#e8e8e8", "faint": "#a8a8a8", "grid": "#3a3f45", "paper": "#16191d", "shade": "#24282d",
}  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


CSS = f"""\
:root {{ color-scheme: light; {_variables(_LIGHT)} --warn: #fff0d6; }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ color-scheme: dark; {_variables(_DARK)} --warn: #4a3410; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 70rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; }}
h2 {{ font-size: 1.3rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid var(--grid); }}
h3 {{ font-size: 1.08rem; margin: 1.5rem 0 .4rem; }}
p, ul, figcaption {{ max-width: 46rem; }}
li {{ margin: .3rem 0; }}
ul {{ padding-left: 1.2rem; }}
.wide {{ overflow-x: auto; margin: .8rem 0 1.2rem; }}
table {{ border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }}
caption {{ text-align: left; padding: 0 0 .4rem; color: var(--faint); }}
caption span {{ display: block; position: sticky; left: 0; width: min(46rem, 100vw - 2rem); overflow-wrap: anywhere; }}
th, td {{ padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }}
th {{ font-weight: 600; }}
th[scope=row] {{ text-align: left; font-weight: 500; white-space: normal; min-width: 5rem; max-width: 14rem;
  overflow-wrap: break-word; }}
thead th {{ vertical-align: bottom; white-space: normal; }}
thead th.name {{ text-align: left; }}
th[scope=colgroup] {{ text-align: center; border-left: 1px solid var(--grid); }}
.bounds {{ display: block; font-size: .85em; font-weight: 400; color: var(--faint); }}
tbody td, tbody th {{ vertical-align: top; }}
.marked {{ background: var(--warn); font-weight: 600; }}
figure {{ margin: 1rem 0 1.4rem; }}
figure > svg {{ display: block; width: 100%; max-width: 40rem; height: auto; }}
figure svg * {{ stroke-linejoin: round; stroke-linecap: butt; }}
figure text {{ font-family: Arial, Helvetica, "Liberation Sans", sans-serif !important; }}
figcaption {{ font-size: .9rem; color: var(--faint); }}
.photos {{ display: flex; flex-wrap: wrap; gap: .8rem; }}
.photos > p {{ flex-basis: 100%; margin-bottom: 0; }}
.photo {{ margin: 0; width: 25rem; max-width: 100%; }}
.photo img {{ display: block; max-width: 100%; height: auto; }}
summary h2, summary h3 {{ display: inline; border: 0; }}
details {{ margin-top: 2rem; }}
@media (max-width: 40rem) {{ table {{ font-size: .82rem; }} th, td {{ padding: .2rem .4rem; }} }}
@media print {{
  body {{ font-size: 10pt; }}
  main {{ max-width: none; padding: 0; }}
  figure, tr {{ break-inside: avoid; }}
  h2, h3 {{ break-after: avoid; }}
  .wide {{ overflow: visible; }}
  table {{ font-size: 7.5pt; }}
  th, td {{ padding: .1rem .25rem; }}
  figure > svg {{ max-width: 28rem; }}
  details::details-content {{ content-visibility: visible; block-size: auto; }}
}}
"""
