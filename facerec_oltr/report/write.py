"""The report on the disk: Markdown and the pictures beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facerec_oltr.errors import DataError
from facerec_oltr.report.det_plot import det_png
from facerec_oltr.report.examples_plot import examples_png, gather_examples
from facerec_oltr.report.results import Evaluation
from facerec_oltr.report.summary import summarise
from facerec_oltr.report.text import Link, markdown
from recordio_tools import FaceSet
from recordio_tools.whole import write_whole

_DET = (
    "Each line goes through all thresholds. Further right, more strangers get in; further down, fewer enrolled people "
    "are missed. The band reaches from the best training split to the worst. In the hatched area a draw has too "
    "few strangers to measure the FPIR."
)


@dataclass(frozen=True)
class Picture:
    """A PNG of the caller's to show in the report; it is copied beside it."""

    path: Path
    caption: str


def write_report(
    results: Sequence[Evaluation],
    out: Path,
    *,
    faces: FaceSet | None = None,
    pictures: Sequence[Picture] = (),
    facts: Sequence[str] = (),
    credits: Sequence[str] = (),
    examples_of: str | None = None,
) -> list[Path]:
    """Write a report of evaluations that were made alike, see ``read_evaluations``.

    Pictures are written first, each whole, and the text last: a text that is there has its pictures.

    Args:
        results: one a training split.
        out: the Markdown file; ``NAME-det.png`` and others appear beside it.
        faces: the set that was evaluated, for example decisions with photos; without it there are none.
        pictures: more to show, such as the images per identity.
        facts: further sentences on what was done.
        credits: whom the photos are owed to.
        examples_of: the model whose decisions are shown; the last trained one if not given.

    Returns:
        The files written, the report first.

    Raises:
        DataError: ``out`` is a folder, ``faces`` is another set, a picture cannot be read, no such model.
        RecordIOError: a photo of the set is damaged.
    """
    if out.is_dir():
        raise DataError(f"{out}: is a folder, expected a file name such as {out / 'report.md'}")
    summary = summarise(results)
    files: dict[str, bytes] = {}
    links = [_copied(picture, number, out, files) for number, picture in enumerate(pictures, 1)]
    det = _added(f"{out.stem}-det.png", det_png(summary), _DET, files)
    examples = None if faces is None else _examples(results, faces, examples_of, out, files)
    text = markdown(summary, results, det=det, examples=examples, pictures=links, facts=facts, credits=credits)
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_whole(out.with_name(name), data)
    write_whole(out, text.encode())
    return [out, *(out.with_name(name) for name in files)]


def _examples(
    results: Sequence[Evaluation], faces: FaceSet, wanted: str | None, out: Path, files: dict[str, bytes]
) -> Link:
    if faces.fingerprint != results[0]["face_set"]["fingerprint"]:
        raise DataError(
            f"{faces.path}: is another face set than was evaluated; give the one given to: facerec evaluate-faces"
        )
    models = results[0]["models"]
    model = wanted or [name for name in models if models[name]["role"] == "trained" or name == next(iter(models))][-1]
    if model not in models:
        raise DataError(f"no model {model!r} was evaluated, only {', '.join(models)}")
    target = f"{100 * results[0]['targets'][0]:g} %"
    title = f"Decisions of {model}, threshold calibrated on other people for an FPIR of {target}"
    caption = (
        f"{title}. In each pair the probe is on the left, and on the right the enrolled photo most like it. They are "
        "the first of their kind, one a person and split, not picked by hand; how often each kind happens stands in "
        "table (b)."
    )
    drawn = examples_png(gather_examples(results, model), faces.image, title)
    return _added(f"{out.stem}-examples.png", drawn, caption, files)


def _copied(picture: Picture, number: int, out: Path, files: dict[str, bytes]) -> Link:
    try:
        data = picture.path.read_bytes()
    except OSError as error:
        raise DataError(f"{picture.path}: cannot be read ({error.strerror}); expected a picture") from error
    return _added(f"{out.stem}-{number}-{picture.path.name}", data, picture.caption, files)


def _added(name: str, data: bytes, caption: str, files: dict[str, bytes]) -> Link:
    files[name] = data
    return Link(name, caption)
