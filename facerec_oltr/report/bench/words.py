"""What the figures of a benchmark show and do not show, as sentences made from them."""

from collections.abc import Iterable, Mapping, Sequence

from facerec_oltr.bench.results import ChosenBy, Figure, Point, SearchResult
from facerec_oltr.metrics.calibration import needed_searches
from facerec_oltr.metrics.intervals import rule_of_three
from facerec_oltr.protocols.shots import SIMILAR
from facerec_oltr.report.bench.choice import COSINE, ENOUGH_LET_IN, HEADLINE, fair_point, key_of, let_in_at, part
from facerec_oltr.report.bench.joined import Joined
from facerec_oltr.report.bench.plots.gains import gain_of
from facerec_oltr.report.bench.tables import by_set, chosen_by_strangers, exceeds, per_cent, rate
from facerec_oltr.report.rules import ENOUGH_PEOPLE
from facerec_oltr.report.sentences import plural

SIMILAR_TO_PROBE = (
    f"how many images that the network was trained on are similar to the probe (cosine above {SIMILAR:g}), whoever "
    "they show"
)
BOTH_SHOT_RULES = (
    "Training images are counted in two ways, which say different things. By true counts a person has those images "
    "that the network was trained on under that name. By similarity, the rule of OLTR's paper, each probe has the "
    f"training images whose cosine with it is above {SIMILAR:g}, whoever they show: another model puts it into another "
    "group. Where the enrolled images were trained on themselves, they count too, and a probe with such an image is "
    "easy to find."
)
_MOST_NAMED = 6


def measured(joined: Joined) -> str:
    """What was measured and on whom: one paragraph."""
    models, rules = len(joined.models), len({search.rule for search in joined.searches})
    what = []
    if joined.searches:
        what.append(
            f"People were looked for in a gallery by {plural(models, 'model')} with {plural(rules, 'score rule')}, and "
            "others who are not in it were to be turned away"
        )
    if joined.pairs:
        what.append(f"{'photos' if what else 'Photos'} were compared two by two")
    names = ", ".join(joined.protocols)
    images = "; ".join(f"{facts.images:,} images of {facts.people:,} people" for facts in joined.protocols.values())
    return (
        f"{'; '.join(what)}. The protocol{'s are' if len(joined.protocols) > 1 else ' is'} {names}, drawn from "
        f"{images}. "
        "Figures are of people whom the searches show, with these models and these images; on other cameras, ages or "
        "lighting they may differ."
    )


def behind(searches: Sequence[SearchResult]) -> list[str]:
    """How many people and searches stand behind the figures of each search set of a protocol."""
    alike: dict[str, list[SearchResult]] = {}
    for of_set in by_set(searches).values():
        alike.setdefault("; ".join(_enrolled(of_set[0])), []).append(of_set[0])
    sentences = []
    for enrolled, sets in alike.items():
        names = ", ".join(search.search_set for search in sets)
        if len(sets) == 1:
            sentences.append(f"{names}: {'; '.join([enrolled, *_strangers(sets[0])])}.")
            continue
        sentences.append(f"{names}: {enrolled}.")  # once, for sets that differ in their strangers only
        sentences += [f"{one.search_set}: {text}." for one in sets for text in _strangers(one)]
    return sentences


def _strangers(search: SearchResult) -> Iterable[str]:
    strangers = part(search, "strangers")
    if strangers.templates:
        yield f"{_searches(strangers.templates)} of {plural(strangers.people, 'stranger')}"


def _enrolled(search: SearchResult) -> Iterable[str]:
    gallery, mated, distractors, calibration = (
        part(search, name) for name in ("gallery", "mated", "distractors", "calibration")
    )
    yield f"{_people(gallery.people)} enrolled with {plural(gallery.templates, 'template')}"
    if distractors.templates:
        yield f"{plural(distractors.templates, 'distractor')} enrolled beside them, whom nobody looks for"
    of_them = "all of them" if mated.people == gallery.people else f"{mated.people:,} of them"
    yield f"{_searches(mated.templates)} of {of_them}"
    if calibration.templates:
        yield f"thresholds chosen by {_searches(calibration.templates)} of {_people(calibration.people, 'other')}"


def shown(searches: Sequence[SearchResult], target: float) -> list[str]:
    """What a protocol's figures at a target say of models, rules and realised FPIRs."""
    of_sets = by_set(searches).items()
    sentences = said_once(
        {
            name: [*_models(name, of_set, target), *_rules(name, of_set, target), *_realised(name, of_set, target)]
            for name, of_set in of_sets
        }
    )
    sides = ("calibration", "strangers")
    looked_at = sum(gain_of(search, target, side) is not None for search in searches for side in sides)
    if looked_at > 1:
        sentences.append(
            f"{looked_at} differences to the cosine were looked at, in percentage points of TPIR, each with its own "
            "interval: where there is no true difference, about one in 20 seems to be one by chance. The best rule of "
            "a model was chosen by the figures shown, which flatters a little."
        )
    return sentences


def not_shown(searches: Sequence[SearchResult], targets: Sequence[float]) -> list[str]:
    """What the searches of a protocol are too few for, and which figures flatter."""
    of_sets: dict[str, list[str]] = {}
    for name, of_set in by_set(searches).items():
        sentences = of_sets[name] = []
        mated, strangers = (part(of_set[0], side) for side in ("mated", "strangers"))
        if not strangers.templates:
            sentences.append(f"{name} has no strangers: how many would be let in is not measured there.")
        elif chosen_by_strangers(of_set, max(targets)):
            sentences.append(
                f"{name}: nobody was left to choose a threshold, so the strangers who are judged chose it. That "
                "flatters: a threshold for use must come from others, and will let in more than is written here."
            )
        sentences += [*_unmeasurable(name, of_set, targets), *_resting_on_few(name, of_set, targets)]
        sentences += _nobody_let_in(name, of_set)
        sides = (("enrolled people", mated.people), ("strangers", strangers.people))
        if few := [f"{count} {who}" for who, count in sides if 0 < count < ENOUGH_PEOPLE]:
            sentences.append(
                f"{name} rests on {' and '.join(few)}: with fewer than {ENOUGH_PEOPLE} the intervals are too narrow, "
                "and no difference should be believed."
            )
    return [*said_once(of_sets), *_failed(searches), *_candidates(searches)]


def said_once(of_sets: Mapping[str, Sequence[str]]) -> list[str]:
    """Sentences of search sets; one that is the same of several but for the name in front stands once, with all names.

    Sets that share their mated probes and thresholds find the same people.
    """
    names_of: dict[str, list[str]] = {}
    for name, sentences in of_sets.items():
        for sentence in sentences:
            rest = sentence.removeprefix(name)
            joinable = rest != sentence and rest[:1] in (":", ",")
            names_of.setdefault(rest if joinable else sentence, []).append(name if joinable else "")
    return [", ".join(dict.fromkeys(names)) + rest for rest, names in names_of.items()]


def reading(joined: Joined, target: float) -> list[str]:
    """Why this target, and how the brackets came about."""
    why = f"The table is of FPIR {per_cent(target)}, {HEADLINE}; the others stand at the end."
    if not joined.replicates:
        return [why, "No intervals were asked for, so how much chance is in a figure is not known."]
    return [
        why,
        (
            f"Brackets and bands hold 95 % of {joined.replicates:,} replicates that draw people anew and then their "
            "searches, since searches of one person resemble each other; a threshold that the same strangers chose is "
            "chosen again in each. Where two intervals overlap, neither is shown to be better."
        ),
    ]


def _models(name: str, of_set: Sequence[SearchResult], target: float) -> Iterable[str]:
    """The best rule of each model, the first against the others."""
    best: dict[str, tuple[SearchResult, Figure]] = {}
    for search in of_set:
        figure = _tpir(search, target)
        if figure is not None and (
            search.model not in best or (figure.value or 0) > (best[search.model][1].value or 0)
        ):
            best[search.model] = search, figure
    if len(best) < 2:
        return
    (first, its), *others = sorted(best.values(), key=lambda pair: -(pair[1].value or 0))
    clear = [pair for pair in others if _apart(its, pair[1])]
    open_ = [pair for pair in others if pair not in clear]
    text = f"{name}, FPIR {per_cent(target)}: {_title(first)} finds most, {rate(its)} %."
    if clear:
        text += f" That is above the interval of {_with_rates(clear)}."
    if open_:
        text += f" It is not shown to be better than {_with_rates(open_)}: the intervals overlap."
    yield text


def _rules(name: str, of_set: Sequence[SearchResult], target: float) -> Iterable[str]:
    for model in dict.fromkeys(search.model for search in of_set):
        kinds: dict[str, list[str]] = {"more": [], "unsure": [], "fewer": [], "same": []}
        for search in of_set:
            fair, equal = (gain_of(search, target, side) for side in ("calibration", "strangers"))
            gain = fair or equal
            if search.model != model or search.rule == COSINE or gain is None:
                continue
            words = f"{search.rule} ({rate(gain, sign=True)})"
            kinds[_kind(gain, equal)].append(words if _kind(gain, equal) != "same" else search.rule)
        parts = []
        if kinds["more"]:
            parts.append(f"more are found than by the cosine with {_listed(kinds['more'])}")
        if kinds["unsure"]:
            parts.append(
                f"more are found with {_listed(kinds['unsure'])}, but not where these strangers choose thresholds, "
                "so it may be that more of them are let in"
            )
        if kinds["fewer"]:
            parts.append(f"fewer are found with {_listed(kinds['fewer'])}")
        if kinds["same"]:
            parts.append(f"no difference to the cosine is shown for {_listed(kinds['same'])}")
        if parts:
            yield f"{name}, {model}: {'; '.join(parts)}."


def _kind(gain: Figure, equal: Figure | None) -> str:
    if (gain.low or 0) > 0:
        return "more" if equal is None or (equal.low or 0) > 0 else "unsure"
    return "fewer" if (gain.high or 0) < 0 else "same"


def _realised(name: str, of_set: Sequence[SearchResult], headline: float) -> Iterable[str]:
    """Which thresholds let in more than was wanted: by name at one target, by number at the others."""
    parts = []
    for target in dict.fromkeys(p.target for s in of_set for p in s.points if p.chosen_by == "calibration"):
        points = [(s, p) for s in of_set if (p := s.point(target)) and p.fpir.value is not None]
        high = [(search, point.fpir) for search, point in points if exceeds(point)]
        if not points:
            continue
        text = f"at a wanted {per_cent(target)} {len(high) or 'none'} of {len(points)}"
        if high and target == headline:
            text += f", {_with_rates(high, digits=2)}"
        elif high:
            text += f", the highest {rate(max((figure for _, figure in high), key=lambda f: f.value or 0), digits=2)} %"
        parts.append(text)
    if parts:
        yield (
            f"{name}: thresholds chosen by other people let in more than was wanted, beyond the interval: "
            f"{'; '.join(parts)}."
        )


def _nobody_let_in(name: str, of_set: Sequence[SearchResult]) -> Iterable[str]:
    """The rule of three, where a bootstrap of nothing finds nothing."""
    strangers = part(of_set[0], "strangers")
    if strangers.templates and any(p.fpir.value == 0 for s in of_set for p in s.points if p.chosen_by == "calibration"):
        yield (
            f"{name}: where the realised FPIR is 0, none of {_searches(strangers.templates)} of "
            f"{plural(strangers.people, 'stranger')} was let in; up to {100 * rule_of_three(strangers.people):.2g} % "
            "cannot be excluded (rule of three, over people)."
        )


def _unmeasurable(name: str, of_set: Sequence[SearchResult], targets: Sequence[float]) -> Iterable[str]:
    for target in targets:
        points = [point for search in of_set for point in search.points if point.target == target]
        sides: tuple[tuple[ChosenBy, str], ...] = (
            ("calibration", "the threshold was chosen by"), ("strangers", "it is judged by")
        )  # fmt: skip
        few = [
            f"{words} {_searches(count)}"
            for side, words in sides
            if (count := part(of_set[0], side).templates) and _too_few(points, side)
        ]
        if few:
            yield (
                f"{name}: an FPIR of {per_cent(target)} cannot be shown, as {' and '.join(few)}; it takes "
                f"{_needed(target)} by different strangers to see a single one let in, and "
                f"{needed_searches(target):,} with none let in to promise it."
            )


def _resting_on_few(name: str, of_set: Sequence[SearchResult], targets: Sequence[float]) -> Iterable[str]:
    """Thresholds that a single person can move."""
    for target in targets:
        side = "calibration" if part(of_set[0], "calibration").templates else "strangers"
        count = let_in_at(of_set[0], target, side)
        if count is not None and 0 < count < ENOUGH_LET_IN:
            yield (
                f"{name}: at an FPIR of {per_cent(target)} a threshold rests on the best {count + 1} of "
                f"{_searches(part(of_set[0], side).templates)}: one person more or less can move it far."
            )


def _too_few(points: Sequence[Point], side: ChosenBy) -> bool:
    held = [point for point in points if point.chosen_by == side and point.threshold is not None]
    return bool(held) and not all(point.measurable for point in held)


def _failed(searches: Sequence[SearchResult]) -> Iterable[str]:
    for model in dict.fromkeys(search.model for search in searches):
        worst = max((s for s in searches if s.model == model), key=lambda s: sum(p.failed for p in s.parts.values()))
        failed = sum(part.failed for part in worst.parts.values())
        if failed:
            templates = sum(part.templates for part in worst.parts.values())
            by_part = ", ".join(f"{part.failed:,} {name}" for name, part in worst.parts.items() if part.failed)
            yield (
                f"{model} found no face in {failed:,} of {plural(templates, 'template')} of {worst.search_set} "
                f"({by_part}): such a search of an enrolled person counts as missed, a stranger's as turned away; that "
                "lowers TPIR and FPIR."
            )


def _candidates(searches: Sequence[SearchResult]) -> Iterable[str]:
    limited = sorted({(search.rule, search.candidates) for search in searches if search.candidates is not None})
    if limited:
        words = _listed([f"{rule} at {count:,}" for rule, count in limited])
        yield f"Not every enrolled person was scored by every rule, only the best by cosine: {words}."


def _tpir(search: SearchResult, target: float) -> Figure | None:
    point = fair_point(search, target)
    return None if point is None or point.tpir.value is None else point.tpir


def _apart(better: Figure, other: Figure) -> bool:
    return better.low is not None and other.high is not None and better.low > other.high


def _title(search: SearchResult) -> str:
    model, rule = key_of(search)
    return f"{model} by {rule}"


def _with_rates(pairs: Sequence[tuple[SearchResult, Figure]], digits: int = 1) -> str:
    return _listed([f"{_title(search)} ({rate(figure, digits=digits)} %)" for search, figure in pairs])


def _listed(words: Sequence[str]) -> str:
    rest = len(words) - _MOST_NAMED
    return ", ".join(words[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _needed(target: float) -> str:
    return _searches(-int(-(1 / target) // 1))


def _people(count: int, kind: str = "") -> str:
    return f"{count:,} {kind + ' ' if kind else ''}{'person' if count == 1 else 'people'}"


def _searches(count: int) -> str:
    return f"{count:,} search{'' if count == 1 else 'es'}"
