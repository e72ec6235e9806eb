"""Results of a benchmark as a document, in the order in which a person who decides something asks."""

from collections.abc import Mapping, Sequence
from typing import Any

from facerec_oltr.bench.results import ModelFacts, ProtocolFacts, SearchResult
from facerec_oltr.protocols.shots import RULES as SHOT_RULES
from facerec_oltr.protocols.shots import ShotRule
from facerec_oltr.report.bench.blocks import Block, Bullets, Document, Picture, Section, Table, Text
from facerec_oltr.report.bench.choice import (
    DRAWN,
    MOST_LINES,
    Line,
    group_point,
    headline_target,
    key_of,
    lines,
    mean_tpir,
    part,
    shots_by,
)
from facerec_oltr.report.bench.joined import Joined
from facerec_oltr.report.bench.photos import Reader, error_photos
from facerec_oltr.report.bench.plots.cmc import cmc_figure
from facerec_oltr.report.bench.plots.det import det_figure
from facerec_oltr.report.bench.plots.gains import gain_of, gains_figure
from facerec_oltr.report.bench.plots.groups import shots_figure, sizes_figure
from facerec_oltr.report.bench.plots.histogram import histogram_figure
from facerec_oltr.report.bench.tables import (
    NOTHING,
    by_set,
    chosen_by_strangers,
    further_table,
    gains_table,
    groups_table,
    main_table,
    pairs_table,
    per_cent,
    strangers_table,
)
from facerec_oltr.report.bench.words import (
    BOTH_SHOT_RULES,
    SIMILAR_TO_PROBE,
    behind,
    measured,
    not_shown,
    reading,
    shown,
)

Drawn = list[tuple[Line, SearchResult]]


def document(joined: Joined, readers: Mapping[str, Reader] | None = None) -> Document:
    """The report.

    Args:
        joined: the results.
        readers: where the photos of the worst errors are, by protocol; None for a report without faces.

    Raises:
        DataError: a photo of an example is missing or cannot be decoded.
    """
    protocols: dict[str, list[SearchResult]] = {}
    for search in joined.searches:
        protocols.setdefault(search.protocol, []).append(search)
    sections = [
        Section("What was measured", (Text(measured(joined)), *(Bullets(tuple(behind(s))) for s in protocols.values())))
    ]
    for number, (name, searches) in enumerate(protocols.items(), 1):
        prefix = f"{name}: " if len(protocols) > 1 else ""
        sections += _protocol(joined, searches, prefix, f"p{number}", name, readers)
    if joined.pairs:
        sections.append(Section("Pairs (1:1)", tuple(_pairs(joined))))
    return Document(f"Benchmark: {', '.join(joined.protocols)}", (*sections, _run(joined)))


def _protocol(
    joined: Joined,
    searches: Sequence[SearchResult],
    prefix: str,
    place: str,
    name: str,
    readers: Mapping[str, Reader] | None,
) -> list[Section]:
    target = headline_target(searches, joined.targets)
    drawn = lines(searches, target)
    result = [
        Section(f"{prefix}The result", (main_table(searches, target), *map(Text, reading(joined, target)))),
        Section(f"{prefix}What this shows", (Bullets(tuple(shown(searches, target))),)),
        Section(f"{prefix}What this does not show", (Bullets(tuple(not_shown(searches, joined.targets))),)),
        *_pictures(searches, drawn, joined.targets, target, prefix, place),
        *_groups(searches, drawn, target, prefix, place),
        *_gains(searches, target, prefix, place),
    ]
    if readers is not None:
        result += _errors(joined, searches, prefix, place, name, target, readers)
    others = [main_table(searches, other) for other in joined.targets if other != target]
    published = strangers_table(searches, joined.targets)
    tables = (*others, *((published,) if published else ()), further_table(searches, target))
    result.append(Section(f"{prefix}All other figures", tables))
    return [section for section in result if _filled(section)]


def _pictures(
    searches: Sequence[SearchResult],
    drawn: Sequence[Line],
    targets: Sequence[float],
    target: float,
    prefix: str,
    place: str,
) -> list[Section]:
    crowded = len(set(map(key_of, searches))) > MOST_LINES
    sections = [Section(f"{prefix}Pictures", (Text(DRAWN),))] if crowded else []
    for number, (name, of_set) in enumerate(by_set(searches).items(), 1):
        held = _of(drawn, of_set)
        ends = f"{place}-{number}"
        blocks: list[Block] = []
        if any(search.det.x for _, search in held):
            blocks.append(_det(held, targets, name, ends))
        if any(search.cmc.x for _, search in held):
            blocks.append(_cmc(held, name, ends))
        if any(search.histogram.edges for _, search in held):
            blocks.append(_histogram(held, target, name, ends))
        sections.append(Section(f"{prefix}{name}: every threshold at once", tuple(blocks)))
    return sections


def _det(held: Drawn, targets: Sequence[float], name: str, ends: str) -> Picture:
    wanted = ", ".join(map(per_cent, targets))
    return Picture(
        f"det-{ends}",
        f"DET curves of {name}: enrolled people missed against strangers let in, of {_names(held)}.",
        "Each line goes through all thresholds: further right more strangers get in, further down fewer people "
        "are missed, and nearer to the lower left corner is better. A mark stands where a threshold that other people "
        f"chose for an FPIR of {wanted} has landed, if they were enough to choose it: right of its dotted line it lets "
        "in more than was wanted. Bands hold 95 %.",
        lambda: det_figure(held, targets),
    )


def _cmc(held: Drawn, name: str, ends: str) -> Picture:
    return Picture(
        f"cmc-{ends}",
        f"CMC curves of {name}: share of searches whose own identity is among so many best, of {_names(held)}.",
        "How often the right person is among so many best of the list, whatever the score; strangers play no part. "
        "Bands hold 95 %.",
        lambda: cmc_figure(held),
    )


def _histogram(held: Drawn, target: float, name: str, ends: str) -> Picture:
    strangers = any(part(search, "strangers").templates for _, search in held)
    own = all(chosen_by_strangers([search], target) for _, search in held)
    caption = "Filled: searches of enrolled people by the score of the right person."
    if strangers:
        caption += " Dashed: searches of strangers by their best score."
    return Picture(
        f"scores-{ends}",
        f"Histograms of scores of {name}, enrolled people and strangers, of {_names(held)}.",
        f"{caption} The upright line is the threshold for an FPIR of {per_cent(target)}"
        f"{', chosen by these strangers' if own else ''}: what lies right of it is accepted. Each side is drawn as "
        "shares of its own searches; rules have scales of their own.",
        lambda: histogram_figure(held, target),
    )


def _groups(
    searches: Sequence[SearchResult], drawn: Sequence[Line], target: float, prefix: str, place: str
) -> list[Section]:
    sections = []
    for number, (name, of_set) in enumerate(by_set(searches).items(), 1):
        held = _of(drawn, of_set)
        shots, sizes = groups_table(of_set, target, "shots"), groups_table(of_set, target, "sizes")
        if shots is not None:
            blocks: list[Block] = [
                _shots(held, target, name, rule, f"{place}-{number}")
                for rule in SHOT_RULES
                if any(shots_by(search, rule) for _, search in held)
            ]
            words = [Text(BOTH_SHOT_RULES)] if len(blocks) > 1 else []
            sections.append(Section(f"{prefix}{name}: by number of training images", (*words, *blocks, shots)))
        if sizes is not None:
            blocks = [sizes]
            if any(search.sizes for _, search in held):
                blocks.insert(0, _sizes(held, target, name, f"{place}-{number}"))
            sections.append(Section(f"{prefix}{name}: by size of the gallery", tuple(blocks)))
    return sections


def _shots(held: Drawn, target: float, name: str, rule: ShotRule, ends: str) -> Picture:
    truly = rule == "true_counts"
    by = "how many images of them the network was trained on" if truly else SIMILAR_TO_PROBE
    return Picture(
        f"shots-{ends}" if truly else f"similar-{ends}",
        f"TPIR of {name} by number of training images, counted by {rule.replace('_', ' ')}, of {_names(held)}.",
        f"Enrolled people found at the threshold for FPIR {per_cent(target)}, by {by}. Bars hold 95 %; the thin lines "
        "only lead the eye.",
        lambda: shots_figure(held, target, rule),
    )


def _sizes(held: Drawn, target: float, name: str, ends: str) -> Picture:
    chosen = "was chosen once, for the whole gallery" if _held(held, target) else "was chosen anew for each size"
    return Picture(
        f"sizes-{ends}",
        f"TPIR and FPIR of {name} against the number of people in the gallery, of {_names(held)}.",
        f"Above, enrolled people found; below, strangers let in, at a threshold for FPIR {per_cent(target)} that "
        f"{chosen}. Each gallery is a part of the next. Bands hold 95 %.",
        lambda: sizes_figure(held, target),
    )


def _held(held: Drawn, target: float) -> bool:
    """Whether galleries of all sizes were searched with one threshold."""
    points = [[group_point(group, target) for group in search.sizes] for _, search in held]
    return all(len({point.threshold for point in of_line if point}) < 2 for of_line in points)


def _gains(searches: Sequence[SearchResult], target: float, prefix: str, place: str) -> list[Section]:
    table = gains_table(searches, target)
    if table is None:
        return []
    blocks: list[Block] = []
    for number, (name, of_set) in enumerate(by_set(searches).items(), 1):
        held = [s for s in of_set if gain_of(s, target, "calibration") or gain_of(s, target, "strangers")]
        if held:
            blocks.append(_gain(held, target, name, f"{place}-{number}"))
    return [Section(f"{prefix}Other rules than the cosine", (*blocks, table))]


def _gain(held: list[SearchResult], target: float, name: str, ends: str) -> Picture:
    return Picture(
        f"gains-{ends}",
        f"Differences in TPIR to the cosine with their intervals, {name}.",
        f"{name}: TPIR less the cosine's at FPIR {per_cent(target)}, with 95 %. A full mark is a difference beyond its "
        "interval, an open one may be chance. Where these strangers choose, both let in the same share of them, so no "
        "rule gains by letting in more.",
        lambda: gains_figure(held, target),
    )


def _errors(
    joined: Joined,
    searches: Sequence[SearchResult],
    prefix: str,
    place: str,
    name: str,
    target: float,
    readers: Mapping[str, Reader],
) -> list[Section]:
    """Of each search set the photos of the best model and rule that has any."""
    sections = []
    ranked = sorted(dict.fromkeys(map(key_of, searches)), key=lambda key: -mean_tpir(searches, key, target))
    for number, set_name in enumerate(by_set(searches), 1):
        for key in ranked:
            examples = [
                one for one in joined.examples
                if (one.protocol, one.search_set, one.model, one.rule) == (name, set_name, *key)
            ]  # fmt: skip
            if examples:
                photos = error_photos(examples, readers, f"{place}-{number}")
                head = f"Of {key[0]} by {key[1]}, the worst first."
                words = Text(f"{head} A pair that looks alike may be one person under two names.")
                sections.append(Section(f"{prefix}{set_name}: the worst errors", (words, *photos)))
                break
    return sections


def _pairs(joined: Joined) -> list[Table]:
    protocols = dict.fromkeys(pair.protocol for pair in joined.pairs)
    return [pairs_table([pair for pair in joined.pairs if pair.protocol == name]) for name in protocols]


def _run(joined: Joined) -> Section:
    """What somebody needs who wants to do it again."""
    facts = [
        f"Wanted FPIRs: {', '.join(map(per_cent, joined.targets))}.",
        f"Scores of an identity's templates became one by {joined.fusion}.",
        f"Replicates of the intervals: {joined.replicates:,}; seed {', '.join(map(str, joined.seeds))}.",
        *(f"Versions: {_choices(versions)}." for versions in joined.versions if versions),
        "A score is accepted from the threshold on; of equal scores the own one ranks last; no figure is interpolated.",
    ]
    models = [f"Model {name}: {_model_facts(facts)}." for name, facts in joined.models.items()]
    rules = [f"Rule {name}: {_choices(options)}." for name, options in joined.rules.items()]
    protocols = [f"Protocol {name}: {_protocol_facts(facts)}." for name, facts in joined.protocols.items()]
    lists = (Bullets(tuple(lines)) for lines in (facts, models, rules, protocols) if lines)
    return Section("What was run", tuple(lists), folded=True)


def _model_facts(facts: ModelFacts) -> str:
    images = f"images of {facts.size} pixels" if facts.size else "vectors ready made in a file"
    found = f"faces found by {facts.detector}" if facts.detector else "no detector"
    return f"{facts.dimensions:,} dimensions, {images}, {found}; fingerprint {facts.fingerprint}"


def _protocol_facts(facts: ProtocolFacts) -> str:
    seed = "nothing drawn" if facts.seed is None else f"seed {facts.seed}"
    compared = f", compared with {facts.compared_with:,} training images" if facts.compared_with else ""
    return (
        f"{facts.images:,} images of {facts.people:,} people{compared}, made by {facts.made_by or NOTHING}, {seed}; "
        f"choices: {_choices(facts.choices)}; fingerprint {facts.fingerprint}; source: "
        f"{facts.source_kind.replace('_', ' ')}, fingerprint {facts.source_fingerprint}"
    )


def _choices(choices: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(choices.items())) or NOTHING


def _of(drawn: Sequence[Line], of_set: Sequence[SearchResult]) -> Drawn:
    held = {key_of(search): search for search in of_set}
    return [(line, held[line.key]) for line in drawn if line.key in held]


def _names(held: Drawn) -> str:
    return ", ".join(line.label.replace("\n", " ") for line, _ in held)


def _filled(section: Section) -> bool:
    return any(not isinstance(block, Bullets) or block.lines for block in section.blocks)
