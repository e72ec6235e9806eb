"""Score rules side by side: counts against a slow loop, equal FPIR against the metrics, the table by hand."""

import json
from typing import Any

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.evaluate.equal_fpir import Ranked, differences
from facerec_oltr.evaluate.rules import RuleCounts, check_rules, judge
from facerec_oltr.evaluate.searches import measure, score
from facerec_oltr.metrics.identification import Searches, threshold_at_fpir, tpir_at_fpir
from facerec_oltr.protocols.draw import OpenSetRule, deal_often
from facerec_oltr.report.results import read_evaluations
from facerec_oltr.report.rules import compare_rules, rule_notes
from facerec_oltr.report.tables import rule_cells
from facerec_oltr.scoring import (
    AdaptiveSnormConfig,
    CohortFaces,
    CosineConfig,
    GalleryFaces,
    NacConfig,
    NegativeCohortConfig,
    ScoreRule,
)

TARGETS = (0.1, 0.03)
RULES: dict[str, ScoreRule] = {"cosine": CosineConfig(), "nac": NacConfig(k=3), "margin": NegativeCohortConfig()}


def world(people: int = 15, photos: int = 10, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), photos)
    vectors = (rng.normal(size=(people, 16))[who] + rng.normal(size=(len(who), 16)) * 1.3).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), who * 3 + 100  # labels with gaps


VECTORS, PEOPLE = world()
DRAWS = list(deal_often(PEOPLE, OpenSetRule(5, 5, 5, templates=(1, 2, 3, 5), seed=2), 4))


def test_the_cosine_is_what_the_evaluation_measures() -> None:
    for dealt in DRAWS:
        judged, scored = judge(CosineConfig(), VECTORS, PEOPLE, dealt), score(VECTORS, PEOPLE, dealt)
        np.testing.assert_array_equal(judged.searches.true_scores, scored.searches.true_scores)
        np.testing.assert_array_equal(judged.searches.ranks, scored.searches.ranks)
        np.testing.assert_array_equal(judged.searches.nonmated_maxima, scored.searches.nonmated_maxima)
        np.testing.assert_array_equal(judged.calibration_maxima, scored.calibration_maxima)


def test_who_chooses_the_threshold_is_never_his_own_cohort() -> None:
    """A slow loop: each person's photos against a cohort of the four others."""
    dealt = DRAWS[0]
    judged = judge(NegativeCohortConfig(), VECTORS, PEOPLE, dealt)
    gallery = GalleryFaces(VECTORS[dealt.gallery], PEOPLE[dealt.gallery])
    for place, photo in zip(range(len(dealt.calibration)), dealt.calibration, strict=True):
        others = dealt.calibration[PEOPLE[dealt.calibration] != PEOPLE[photo]]
        best = max(float(VECTORS[photo] @ template) for template in gallery.vectors)
        worst = max(float(VECTORS[photo] @ other) for other in VECTORS[others])
        assert judged.calibration_maxima[place] == pytest.approx(best - worst, abs=1e-6)
    cohort = CohortFaces(VECTORS[dealt.calibration], PEOPLE[dealt.calibration])
    stranger = VECTORS[dealt.strangers[0]]
    expected = max(map(float, gallery.vectors @ stranger)) - max(map(float, cohort.vectors @ stranger))
    assert judged.searches.nonmated_maxima[0] == pytest.approx(expected, abs=1e-6)


def test_counts_by_person_are_those_of_a_slow_loop() -> None:
    counts = RuleCounts(RULES, TARGETS, PEOPLE)
    counts.add("model", VECTORS, DRAWS)
    made = json.loads(json.dumps(counts.as_json(), allow_nan=False))
    assert made["people"] == sorted(set(PEOPLE.tolist()))
    assert made["configs"]["nac"] == {"kind": "nac", "k": 3, "scale": 1.0}
    for name, rule in RULES.items():
        for place, target in enumerate(TARGETS):
            found, let_in = dict.fromkeys(made["people"], 0), dict.fromkeys(made["people"], 0)
            for dealt in DRAWS:
                judged = judge(rule, VECTORS, PEOPLE, dealt)
                T = threshold_at_fpir(judged.calibration_maxima, target).value
                own = zip(dealt.mated, judged.searches.true_scores, judged.searches.ranks, strict=True)
                for photo, value, rank in own:
                    found[int(PEOPLE[photo])] += bool(rank == 1 and value >= T)
                for photo, value in zip(dealt.strangers, judged.searches.nonmated_maxima, strict=True):
                    let_in[int(PEOPLE[photo])] += bool(value >= T)
            row = made["models"]["model"][name][place]
            assert (row["found"], row["let_in"]) == (list(found.values()), list(let_in.values()))
    tpir = sum(made["models"]["model"]["cosine"][0]["found"]) / sum(made["mated"])
    figures = [measure(score(VECTORS, PEOPLE, dealt), TARGETS)["calibrated"][0]["tpir"] for dealt in DRAWS]
    assert tpir == pytest.approx(np.mean(figures))  # a draw has equally many mated probes here


@pytest.mark.parametrize("seed", range(6))
def test_found_at_equal_fpir_is_tpir_at_fpir(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(60, 7)).round(1 if seed % 2 else 9)  # with ties
    scores[rng.random(60) < 0.1] = -np.inf
    people = rng.integers(0, 14, 60)  # numbers below 7 are enrolled
    searches = Searches.from_scores(scores, np.arange(7), people)
    ranked = Ranked.of(searches, people[people < 7], people[people >= 7])
    targets, ones = (0.0, 0.01, 0.1, 0.29, 0.9, 1.0), np.ones(14, np.int64)
    expected = [tpir_at_fpir(searches, target).tpir * np.count_nonzero(people < 7) for target in targets]
    assert ranked.found(targets, ones, ones) == pytest.approx(expected)
    # Weights are copies: everybody drawn `weights` times.
    weights = rng.integers(0, 4, 14)
    weights[[0, 8]] = 1
    copies = np.repeat(np.arange(60), weights[people])
    repeated = Searches.from_scores(scores[copies], np.arange(7), people[copies])
    expected = [tpir_at_fpir(repeated, target).tpir * np.count_nonzero(people[copies] < 7) for target in targets]
    assert ranked.found(targets, weights, weights) == pytest.approx(expected)


def gains(shift: float, people: int = 60) -> Any:
    """Two rules, the second with the mates' scores higher by `shift`, and all scores on another scale."""
    rng = np.random.default_rng(0)
    mated, strangers = np.repeat(np.arange(people), 8), np.repeat(np.arange(people, 2 * people), 8)
    mates = rng.normal(size=2 * people)[mated] + 0.5 * rng.normal(size=len(mated)) + 2
    others = rng.normal(size=2 * people)[strangers] + 0.5 * rng.normal(size=len(strangers))
    top = np.ones(len(mated), np.int64)
    nothing = np.full(len(mated), -np.inf)
    draws = {
        "cosine": [Ranked.of(Searches(mates, top, nothing, others), mated, strangers)],
        "other": [Ranked.of(Searches(9 * (mates + shift), top, nothing, 9 * others), mated, strangers)],
    }
    tried = np.bincount(mated, minlength=2 * people)
    return differences(draws, "cosine", (0.1,), tried, np.random.default_rng(1), replicates=200)


def test_a_rule_on_another_scale_gains_nothing_and_a_better_one_does() -> None:
    same, better, worse = (gains(shift)["other"][0] for shift in (0.0, 0.7, -0.7))
    assert (same.low, same.estimate, same.high) == (0, 0, 0)
    assert 0 < better.low < better.estimate < better.high
    assert worse.low < worse.estimate < worse.high < 0
    assert gains(0.7)["cosine"][0].high == 0


def test_a_rule_with_too_few_people_is_refused_ahead_of_embedding() -> None:
    check_rules(RULES, PEOPLE, DRAWS[0])
    with pytest.raises(DataError, match="adaptive_snorm: found a cohort of 4 people, expected 1,000 or more"):
        check_rules({"a": AdaptiveSnormConfig()}, PEOPLE, DRAWS[0])


def result(found: list[int], let_in: list[int], equal: float, people: int = 40, first: int = 0) -> dict[str, Any]:
    """An evaluation of the cosine, which finds 5 of everybody's 10, and of a rule."""
    zero, gain = {"estimate": 0.0, "low": 0.0, "high": 0.0}, {"estimate": equal, "low": equal / 2, "high": equal * 2}
    return {
        "targets": [0.1],
        "rules": {
            "configs": {"cosine": {"kind": "cosine"}, "new": {"kind": "nac"}},
            "people": list(range(first, first + people)),
            "mated": [10] * people,
            "strangers": [20] * people,
            "models": {
                "dlib": {
                    "cosine": [{"found": [5] * people, "let_in": [2] * people, "equal_fpir": zero}],
                    "new": [{"found": found * people, "let_in": let_in * people, "equal_fpir": gain}],
                }
            },
        },
    }


def test_the_table_and_who_is_recommended() -> None:
    cosine, new = compare_rules([result([6], [2], 0.08)])
    assert (cosine.tpir.estimate, cosine.fpir.estimate, cosine.difference) == (0.5, 0.1, None)
    assert new.difference is not None and new.difference.estimate == pytest.approx(0.1)
    assert new.people == (40, 40) and new.recommended and not cosine.recommended
    head, first, second = rule_cells([cosine, new])
    assert head[:5] == ["model", "wanted", "rule", "FPIR", "TPIR"]
    assert first == ["dlib", "10 %", "cosine", "10.0 [10.0, 10.0]", "50.0 [50.0, 50.0]", "–", "–", "default"]
    assert second[3:] == [
        "10.0 [10.0, 10.0]", "60.0 [60.0, 60.0]", "+10.0 [+10.0, +10.0]", "+8.0 [+4.0, +16.0]", "recommended"
    ]  # fmt: skip
    for unconvincing in (
        result([6], [4], -0.01),  # finds more because it lets more in
        result([5], [1], 0.08),  # finds no more at the thresholds that people get
        result([6], [2], 0.08, people=20),  # too few people
    ):
        cells = rule_cells(compare_rules([unconvincing]))
        assert cells[2][-1] == "–"
    assert "no rule is recommended" in rule_notes(compare_rules([result([6], [2], 0.08, people=20)]))[1]
    assert len(rule_notes(compare_rules([result([6], [2], 0.08)]))) == 1


def test_splits_are_pooled_by_person() -> None:
    _, new = compare_rules([result([6], [2], 0.08), result([8], [2], 0.04, people=20, first=30)])
    # 40 people with 6 of 10, and 20 with 8 of 10, of whom 10 are in both
    assert new.tpir.estimate == pytest.approx((40 * 6 + 20 * 8) / 600)
    assert new.people == (50, 50)
    assert new.equal_fpir is not None and new.equal_fpir.low == pytest.approx(0.03)


def test_evaluations_of_the_cosine_alone_have_no_rules(tmp_path: Any) -> None:
    assert compare_rules([{"targets": [0.1]}]) == [] and rule_notes([]) == []
    old: dict[str, Any] = {
        "format": "facerec evaluation", "version": 2, "face_set": {}, "targets": [0.1], "fpir_grid": [], "models": {},
        "protocol": {"seed": 0},
    }  # fmt: skip
    (tmp_path / "old.json").write_text(json.dumps(old))
    with_rules = {**old, "protocol": {"seed": 1}, **result([6], [2], 0.1)}
    (tmp_path / "new.json").write_text(json.dumps(with_rules))
    assert read_evaluations([tmp_path / "old.json"]) == [old]
    with pytest.raises(DataError, match=r"differs from .* in its score rules"):
        read_evaluations([tmp_path / "old.json", tmp_path / "new.json"])
