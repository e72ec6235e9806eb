"""The report as Markdown, written for somebody who has never measured face recognition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facerec_oltr.report.results import Evaluation
from facerec_oltr.report.rules import compare_rules, rule_notes
from facerec_oltr.report.sentences import extent, percent, plural, verdicts
from facerec_oltr.report.summary import ENOUGH_SPLITS, ModelSummary, Summary, calibrated, own_tpir
from facerec_oltr.report.tables import best_case_cells, difference_cells, markdown_table, rule_cells, users_case_cells

_FEW_PEOPLE = 1000  # fewer to learn from, and a report says what cannot be expected
_FEW_SEARCHES = 1000  # fewer to choose a threshold by, and it says how sure that is

_READ = """## How to read the figures

- **Rank-1**: of the photos of enrolled people, how many look most like the right person. Strangers play no part.
- **FPIR** (false positive identification rate): of the photos of strangers, how many are taken for somebody enrolled.
  A higher threshold lowers it.
- **TPIR** (true positive identification rate): of the photos of enrolled people, how many are accepted under the right
  name. It depends on the threshold, so it is always given at an FPIR. FNIR = 100 % − TPIR is what is missed.
- **AUROC**: how often a photo of an enrolled person scores higher than one of a stranger: 0.5 is chance, 1 perfect."""

_MS1M = """## The same commands on a large set

With MS1M (5.8 million photos of 85,742 people) in `/data/ms1m`, as InsightFace distributes it:

    recordio build-lt /data/ms1m ms1m-lt --identities 74500 --images 887500 --seed 0
    facerec train oltr --on att_lt --set data.path=ms1m-lt --set data.size=112 --out ms1m-run
    facerec evaluate-faces --model ms1m-run --faces /data/ms1m --open ms1m-lt/manifest.json \\
        --enrolled 1000 --calibration 1000 --strangers 1000 --out ms1m.json
    facerec report ms1m.json --out ms1m-report.md

Such a set wants a GPU, a larger network and fewer epochs: copy `configs/datasets/att_lt.toml`, change what differs, and
give its path to `--on`."""


@dataclass(frozen=True)
class Link:
    """A picture beside the report: its file name, and what to see in it."""

    file: str
    caption: str


def markdown(
    summary: Summary,
    results: Sequence[Evaluation],
    *,
    det: Link,
    examples: Link | None = None,
    pictures: Sequence[Link] = (),
    facts: Sequence[str] = (),
    credits: Sequence[str] = (),
) -> str:
    """The report's text.

    Args:
        summary: of the results.
        results: for what was trained on and who was left out.
        det: the DET curves.
        examples: the example decisions, if they were drawn.
        pictures: further ones, shown where the data are described.
        facts: further sentences on what was done, one a bullet.
        credits: whom the photos are owed to, one a bullet.
    """
    sections = [
        "# Recognising people the network has never seen",
        *verdicts(summary),
        _done(summary, results, facts),
        *map(_picture, pictures),
        f"{_READ}\n- {_spread(summary)}",
        _best_case(summary),
        _users_case(summary),
        _against_floor(summary),
        _rules(results),
        f"## Every threshold at once\n\n{_picture(det)}",
        f"## Example decisions\n\n{_picture(examples)}" if examples else "",
        _trust(summary, results),
        _MS1M,
        f"## Credits\n\n{_bullets(credits)}" if credits else "",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _done(summary: Summary, results: Sequence[Evaluation], facts: Sequence[str]) -> str:
    face_set = results[0]["face_set"]
    lines = [
        f"The face set has {face_set['images']:,} photos of {face_set['identities']:,} people.",
        _training(summary, results),
        _parts(summary, results[0]["protocol"]),
        *(_role(model, summary) for model in summary.models),
        *facts,
    ]
    return f"## What was done\n\n{_bullets(lines)}"


def _training(summary: Summary, results: Sequence[Evaluation]) -> str:
    unseen = extent([len(result["open"]) for result in results])
    people = [result["trained_on"]["identities"] for result in results]
    photos = [result["trained_on"]["images"] for result in results]
    if None in people or None in photos:
        return f"It was measured on {unseen} people that no network here was trained on."
    splits = f"In each of {summary.splits} training splits" if summary.splits > 1 else "In the one training split"
    return (
        f"{splits}, a network learns from {extent(photos)} photos of {extent(people)} people and is measured on "
        f"{unseen} others."
    )


def _parts(summary: Summary, protocol: Mapping[str, Any]) -> str:
    return (
        f"Of the unseen people, {protocol['enrolled']} are enrolled, with {_list(protocol['templates'])} photos in "
        f"turn; {protocol['calibration']} only help to choose the threshold; {protocol['strangers']} are strangers who "
        f"are to be rejected. The parts are dealt anew {plural(summary.draws, 'time')} a split, the same for every "
        f"model. A draw searches {extent(summary.mated_photos)} other photos of the enrolled people and "
        f"{extent(summary.stranger_photos)} photos of strangers."
    )


def _role(model: ModelSummary, summary: Summary) -> str:
    if model.role == "floor":
        return f"**{model.name}** is the floor: photos compared pixel by pixel, nothing is learned."
    if model.role == "trained":
        return f"**{model.name}** is a network trained here."
    missed = (
        f" Its detector found no face in {model.faces_not_found} of {summary.open_photos:,} photos; there it took the "
        "whole photo as the face."
        if model.faces_not_found
        else ""
    )
    return f"**{model.name}** is the ceiling: a network that others trained on millions of photos.{missed}"


def _spread(summary: Summary) -> str:
    if summary.splits == 1:
        return "There is one training split, so there is no ±: how much chance is in a figure is not known."
    return (
        f"**±** is the standard deviation over the {summary.splits} training splits. The splits share people, so it "
        "is rather too small."
    )


def _best_case(summary: Summary) -> str:
    limits = [
        f"FPIR {target:g} is less than one photo in {summary.stranger_photos[0]}. One draw cannot measure it: it means "
        "*no false alarm among these*."
        for target in summary.unmeasurable
    ]
    text = (
        "The threshold is set on the test strangers themselves, which nobody can do in life. This compares what the "
        "models know, not what a user gets."
    )
    return "\n\n".join(
        ["## (a) What the scores can do", " ".join([text, *limits]), markdown_table(best_case_cells(summary))]
    )


def _users_case(summary: Summary) -> str:
    few = summary.calibration_photos[0]
    text = (
        f"The threshold is chosen by {extent(summary.calibration_photos)} photos of people who are neither enrolled "
        "nor test strangers, as it must be in life. *Realised FPIR* is how many of the test strangers' photos then got "
        "in, against the wanted FPIR; *in 1 of 10 above* is what it exceeds in one draw of ten; *wrong name* is the "
        "share of enrolled people's photos accepted as somebody else."
    )
    limits = (
        f"With {few:,} photos to choose by, the realised FPIR can lie far from the wanted one: to promise an FPIR of "
        "1 % takes some 300 searches by many different strangers."
        if few < _FEW_SEARCHES
        else ""
    )
    return "\n\n".join(
        ["## (b) What a user gets", f"{text} {limits}".strip(), markdown_table(users_case_cells(summary))]
    )


def _against_floor(summary: Summary) -> str:
    if summary.floor is None or len(summary.models) < 2:
        return ""
    text = (
        f"Each model minus {summary.floor.name} on the same split and draws, from table (a): rates in percentage "
        "points, AUROC as it is; in brackets, in how many splits the model is ahead. A model counts as *clearly above* "
        f"if it is ahead in every split, of {ENOUGH_SPLITS} or more, and by more than the spread."
    )
    return "\n\n".join([f"## Against {summary.floor.name}", text, markdown_table(difference_cells(summary))])


def _rules(results: Sequence[Evaluation]) -> str:
    figures = compare_rules(results)
    if not figures:
        return ""
    return "\n\n".join(["## Other rules than the cosine", *rule_notes(figures), markdown_table(rule_cells(figures))])


def _trust(summary: Summary, results: Sequence[Evaluation]) -> str:
    images, identities = results[0]["face_set"]["images"], results[0]["face_set"]["identities"]
    strangers = plural(results[0]["protocol"]["strangers"], "stranger")
    people = [result["trained_on"]["identities"] for result in results]
    paragraphs = []
    if identities < _FEW_PEOPLE:
        paragraphs.append(
            f"{images:,} photos of {identities:,} people are few. Every draw rests on {strangers}, and photos of one "
            "person resemble each other, so who happens to be drawn moves every figure. Read the differences on the "
            "same draws, not the digits."
        )
    if None not in people and max(people) < _FEW_PEOPLE:
        paragraphs.append(
            f"{extent(people)} people are very few to learn from. A network trained on them can learn what changes "
            "within this kind of photo (light, a turn of the head, a smile) and so tell apart people photographed in "
            "the same way. It cannot learn what sets faces apart in general, for it has not seen enough of them; on "
            "other cameras, ages or lighting expect it to fail. Do not use it to decide about real people."
        )
    paragraphs += [_ceiling(model, summary) for model in summary.models if model.role == "ceiling"]
    return "\n\n".join(["## How far to trust this", *paragraphs]) if paragraphs else ""


def _ceiling(model: ModelSummary, summary: Summary) -> str:
    return (
        f"{model.name} reaches {percent(model.figures[own_tpir(0)])} TPIR at FPIR {summary.targets[0]:g} because it "
        "was trained on millions of photos of thousands of people: so much data is what a network trained here lacks "
        "most. Even its threshold must be calibrated with enough strangers: in table (b) the wanted FPIR of "
        f"{100 * summary.targets[0]:g} % became {percent(model.figures[calibrated(0, 'fpir')])}."
    )


def _picture(link: Link) -> str:
    return f"![{link.caption.partition('. ')[0]}]({link.file})\n\n{link.caption}"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:-1])) + " and " + str(numbers[-1]) if len(numbers) > 1 else str(numbers[0])
