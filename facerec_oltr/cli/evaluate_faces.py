"""`facerec evaluate-faces`: models side by side on people they were not trained on."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recordio_tools.door import data, progress_bar, say

if TYPE_CHECKING:
    from facerec_oltr.embedder import Embedder
    from facerec_oltr.report import RuleFigures, Summary

_FLOOR, _CEILING = "raw_pixels", "dlib"


def evaluate_faces(
    faces: Annotated[Path, typer.Option(help="The face set that the training set was cut from.")],
    open_people: Annotated[
        Path, typer.Option("--open", metavar="MANIFEST.json", help="The cut's; it lists the people left out.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="What was measured, for: facerec report.")],
    models: Annotated[
        list[str] | None, typer.Option("--model", metavar="RUN", help="A run folder (RUN or RUN:meta); repeatable.")
    ] = None,
    embedding: Annotated[
        str | None, typer.Option(help="direct, meta or all; each run's own choice if not given.")
    ] = None,
    floor: Annotated[bool, typer.Option(help="Compare with raw pixels.")] = True,
    ceiling: Annotated[bool, typer.Option(help="Compare with dlib's network (extra dlib).")] = False,
    enrolled: Annotated[int, typer.Option(help="People in the gallery.")] = 5,
    calibration: Annotated[int, typer.Option(help="People who choose the threshold.")] = 5,
    strangers: Annotated[int, typer.Option(help="People to be rejected.")] = 5,
    draws: Annotated[int, typer.Option(help="How often the parts are dealt anew.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    rules: Annotated[
        str,
        typer.Option(
            help="Score rules to compare, such as: cosine,nac,reachability:selector=1. See facerec_oltr.scoring."
        ),
    ] = "cosine",
    cache: Annotated[Path | None, typer.Option(help="A folder in which to keep embeddings for the next time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON on stdout.")] = False,
) -> None:
    """Measure how well models recognise people they were not trained on, and reject strangers.

    Another rule than the cosine is only worth its trouble where it wins on your people; with --rules
    nac,negative_cohort,extreme_value,reachability a third table has each beside the cosine.
    """
    from facerec_oltr.errors import DataError
    from facerec_oltr.evaluate import TEMPLATES, OpenPeople, write_evaluation
    from facerec_oltr.evaluate import evaluate as measure
    from facerec_oltr.protocols.draw import OpenSetRule
    from facerec_oltr.report import compare_rules, summarise
    from facerec_oltr.scoring.named import read_rules
    from recordio_tools import FaceSet

    chosen = read_rules(rules)
    parts = OpenSetRule(enrolled, calibration, strangers, templates=TEMPLATES, seed=seed)
    face_set = FaceSet(faces)
    people = OpenPeople.read(open_people, face_set)
    sources = [_FLOOR] * floor + [*(models or ())] + [_CEILING] * ceiling
    embedders = [embedder for source in dict.fromkeys(sources) for embedder in _open(source, embedding)]
    if not embedders:
        raise DataError("there is nothing to evaluate; give a --model, --floor or --ceiling")
    named = _by_name(embedders)
    of_source = {embedder.source: name for name, embedder in named.items()}
    with progress_bar("embedding photos") as progress:
        result = measure(
            named,
            face_set,
            people,
            parts,
            draws,
            floor=of_source.get(_FLOOR),
            ceiling=of_source.get(_CEILING),
            rules=chosen,
            cache=cache,
            on_progress=lambda name, done, total: progress(done, total),
        )
    write_evaluation(result, out)
    summary, compared = summarise([result]), compare_rules([result])
    if as_json:
        data({"out": str(out), "models": _figures(summary), "rules": [_rule(one) for one in compared]})
    else:
        print_tables(summary, compared)
    say(
        f"{out}: {draws} draws of {len(people.labels)} people; "
        f"make it readable with: facerec report {out} --out report.md"
    )


def _open(model: str, embedding: str | None) -> "list[Embedder]":
    """The embedders of a model: one, or with ``all`` every embedding that its head offers."""
    from facerec_oltr.errors import ConfigError
    from facerec_oltr.models import BUILT_IN, open_model

    if embedding is None or model in BUILT_IN:
        return [open_model(model)]
    if embedding != "all":
        return [open_model(f"{model}:{embedding}")]
    found = [open_model(f"{model}:direct")]  # every head has this one
    try:
        found.append(open_model(f"{model}:meta"))
    except ConfigError:  # a head without a memory
        say(f"{model}: has no embedding with a memory; only the direct one is measured")
    return found


def _by_name(embedders: "list[Embedder]") -> "dict[str, Embedder]":
    """Under their names; where two have the same, the second gets a number."""
    named: dict[str, Embedder] = {}
    for embedder in embedders:
        name, number = embedder.name, 2
        while name in named:
            name, number = f"{embedder.name} #{number}", number + 1
        named[name] = embedder
    return named


def _figures(summary: "Summary") -> dict[str, Any]:
    """Means over the draws, by model."""
    from facerec_oltr.report.summary import AUROC, CALIBRATED, RANK_1, calibrated, own_tpir

    targets = [(place, f"{target:g}") for place, target in enumerate(summary.targets)]
    return {
        model.name: {
            "rank_1": model.figures[RANK_1].mean,
            "auroc": model.figures[AUROC].mean,
            "tpir_at_fpir": {target: model.figures[own_tpir(place)].mean for place, target in targets},
            "calibrated": {
                target: {figure: model.figures[calibrated(place, figure)].mean for figure in CALIBRATED}
                for place, target in targets
            },
        }
        for model in summary.models
    }


def _rule(one: "RuleFigures") -> dict[str, Any]:
    """A rule's figures, each with its bounds."""
    return {**asdict(one), "people": dict(zip(("enrolled", "strangers"), one.people, strict=True))} | {
        "recommended": one.recommended
    }


def print_tables(summary: "Summary", rules: "Sequence[RuleFigures]" = ()) -> None:
    """The tables of figures, as the report has them."""
    from rich.table import Table

    from facerec_oltr.cli._console import console
    from facerec_oltr.report.rules import rule_notes
    from facerec_oltr.report.tables import best_case_cells, rule_cells, users_case_cells

    tables = [
        ("threshold set on the test strangers themselves: what the scores can do", best_case_cells(summary)),
        ("threshold chosen by other people: what a user gets", users_case_cells(summary)),
    ]
    if rules:
        tables.append(("other rules than the cosine, threshold chosen by other people", rule_cells(rules)))
    for title, (head, *rows) in tables:
        table = Table(title=title, title_justify="left")
        for place, heading in enumerate(head):
            table.add_column(heading, justify="right" if place else "left", no_wrap=not place, overflow="fold")
        for row in rows:
            table.add_row(*(cell.replace(" [", "\n[") for cell in row))
        console().print(table)
    for note in rule_notes(rules):
        say(note.replace("*", ""))
