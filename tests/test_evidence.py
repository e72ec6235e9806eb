"""The arithmetic behind the committed evidence: by hand, or by a slow loop."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facerec_oltr.config import load_experiment
from facerec_oltr.heads import MetaEmbeddingConfig
from facerec_oltr.open_set import Judgement

from ._benchmarks import benchmark

data, measure_module, gallery, summary, page, configurations, runs, faces, story = (
    benchmark(f"evidence.{name}")
    for name in ("data", "measure", "gallery", "summary", "page", "configurations", "runs", "faces", "story")
)
Measured = measure_module.Measured


def test_every_person_counts_once_and_the_strangers_who_chose_do_not_test() -> None:
    """Persons 0, 1, 2 with 1, 2 and 9 training photos; by hand, the threshold lying just above 0.4."""
    counts = np.array([1, 2, 9])
    labels = np.array([0, 0, 1, 2, 2, 2, 2])
    top = np.array([0, 0, 2, 2, 2, 2, 1])
    scores = np.array([0.9, 0.3, 0.9, 0.9, 0.9, 0.1, 0.9])
    calibration = np.array([0.5, *[0.4] * 2, *[0.0] * 97])  # 1 of 100 may get in
    found = measure_module.measure(Judgement(top, scores), labels, np.array([0.45, 0.2, 0.1, 0.0]), calibration, counts)
    assert found.figures["rank1 all"] == pytest.approx((1 + 0 + 3 / 4) / 3)
    assert found.figures["rank1 1"] == 1
    assert found.figures["rank1 2"] == 0
    assert np.isnan(found.figures["rank1 3-5"])
    assert found.figures["rank1 >5"] == 3 / 4
    assert found.figures["fnir all"] == pytest.approx(1 - (1 / 2 + 0 + 2 / 4) / 3)
    assert found.figures["fnir 1"] == 1 / 2
    assert found.figures["fnir >5"] == 2 / 4
    assert found.figures["fpir"] == 1 / 4
    assert found.figures["fpir10"] == 3 / 4  # the threshold for 10 of 100 lies just above 0.0
    assert found.figures["fnir10 all"] == pytest.approx(1 - (1 + 0 + 3 / 4) / 3)
    assert found.figures["auroc"] == pytest.approx(_auroc(scores, [0.45, 0.2, 0.1, 0.0]))
    np.testing.assert_array_equal(found.found, [1 / 2, 0, 2 / 4])


def _auroc(known: Any, strangers: Any) -> float:
    return float(np.mean([(k > s) + (k == s) / 2 for k in known for s in strangers]))


def test_test_photos_are_the_same_for_every_seed_and_no_photo_is_in_two_splits() -> None:
    photos, start = [], 0
    for count in (2, 3, 4, 7, 40):
        photos.append(np.arange(start, start + count))
        start += count
    deals = [data.deal_photos(photos, seed) for seed in (0, 1, 2)]
    for deal in deals:
        np.testing.assert_array_equal(deal["test"], deals[0]["test"])
        everything = np.concatenate(list(deal.values()))
        assert sorted(everything) == list(range(start))
    assert any((deals[0]["val"] != other["val"]).any() for other in deals[1:])
    sizes = [[int(np.isin(deals[0][split], one).sum()) for split in ("train", "val", "test")] for one in photos]
    assert sizes == [[1, 0, 1], [1, 1, 1], [2, 1, 1], [3, 2, 2], [20, 10, 10]]


def test_strangers_are_dealt_to_three_groups_of_which_the_testing_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "TEST_STRANGERS", 5)
    monkeypatch.setattr(data, "CALIBRATION_STRANGERS", 6)
    first, second = (data.deal_strangers(np.arange(20), seed) for seed in (0, 1))
    np.testing.assert_array_equal(first["open_test"], second["open_test"])
    assert sorted(first["open_val"]) != sorted(second["open_val"])
    assert [len(first[name]) for name in ("open_test", "open_val", "cohort")] == [5, 6, 9]
    assert len(np.unique(np.concatenate(list(first.values())))) == 20


def test_the_law_of_the_tail() -> None:
    counts = data.exponential_counts(5, 16)  # 16, 8, 4, 2, 1 by hand
    assert counts.tolist() == [16, 8, 4, 2, 1]


def test_how_far_the_best_is_ahead() -> None:
    np.testing.assert_allclose(gallery.ahead(np.array([[0.1, 0.9, 0.7], [0.5, 0.5, -1.0]])), [0.2, 0.0])


def of_people(found: list[float], right: list[float] | None = None, **figures: float) -> Any:
    """Figures that follow from the people; three with one photo, two with two."""
    counts = np.array([1, 1, 1, 2, 2])
    found_, right_ = np.array(found), np.array(found if right is None else right)
    made = {
        **measure_module.by_bin("rank1", right_, counts, measure_module.FACES),
        **{k: 1 - v for k, v in measure_module.by_bin("fnir", found_, counts, measure_module.FACES).items()},
    }
    made |= {name.replace("fnir", "fnir10"): value for name, value in made.items() if name.startswith("fnir")}
    made |= {"auroc": 0.9, "fpir": 0.01, "fpir10": 0.1, "fpr95": 0.1, "oscr": 0.8} | figures
    return Measured(made, right_, found_, found_)


COUNTS = np.array([1, 1, 1, 2, 2])


def test_differences_are_paired_by_seed() -> None:
    these = [of_people([1, 1, 0, 1, 1], auroc=0.95), of_people([1, 0, 0, 1, 1], auroc=0.85)]
    those = [of_people([0, 1, 0, 1, 1], auroc=0.90), of_people([0, 0, 0, 1, 1], auroc=0.80)]
    result = summary.difference(these, those, COUNTS, measure_module.FACES)
    assert result["auroc"] == {"mean": pytest.approx(0.05), "sd": pytest.approx(0, abs=1e-12)}
    assert result["fnir all"]["mean"] == pytest.approx(-1 / 5)
    assert result["fnir 1"]["mean"] == pytest.approx(-1 / 3)
    assert result["fnir 1"]["sd"] == pytest.approx(0)
    assert result["rank1 1"]["mean"] == pytest.approx(1 / 3)
    low, high = result["fnir all"]["low"], result["fnir all"]["high"]
    assert low == pytest.approx(-3 / 5)  # the first person drawn three times; those with two photos do not differ
    assert high == 0
    assert low < result["fnir all"]["mean"] < high


def test_the_spread_is_over_seeds_and_one_seed_has_none() -> None:
    assert summary.spread([0.1, 0.3]) == pytest.approx(np.sqrt(0.02))  # by hand: ((0.1² + 0.1²) / 1)^½
    assert summary.spread([0.1]) is None


def test_bounds_are_those_of_people_drawn_one_by_one() -> None:
    rng = np.random.default_rng(5)
    values, people = rng.normal(size=60), np.arange(60)
    values[7] = np.nan
    strata = [people < 40, people >= 40]
    low, high = summary.bounds(values, strata)
    there = [values[mask & ~np.isnan(values)] for mask in strata]
    means = [np.concatenate([rng.choice(part, len(part)) for part in there]).mean() for _ in range(4000)]
    slow_low, slow_high = np.percentile(means, (2.5, 97.5))
    assert low == pytest.approx(slow_low, abs=0.03)
    assert high == pytest.approx(slow_high, abs=0.03)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Two configurations, two seeds; what is best on validation is not what is best on the test."""
    for seed in (0, 1):
        for name, better in (("a", 1.0), ("b", 0.0)):
            good, bad = of_people([1, 1, 1, 1, 1]), of_people([better, 0, 0, 1, 1], auroc=0.7)
            folder = tmp_path / f"{name}-{seed}"
            folder.mkdir()
            measured = {"val": {"x": good, "max_logit": bad}, "test": {"x": bad, "max_logit": good}}
            runs.write_measured(folder, measured, 700)
    return tmp_path


def summarised(folder: Path, *names: str, seeds: int = 2) -> dict[str, Any]:
    chosen = [configurations.Configuration(name, name) for name in names]
    return summary.summarise(folder, chosen, range(seeds), COUNTS, ("b",), measure_module.FACES)


def test_the_score_is_chosen_on_validation_and_shown_on_the_test(finished: Path) -> None:
    made = summarised(finished, "a", "b")
    assert made["chosen"] == {"a": "x", "b": "x"}
    row = next(row for row in made["rows"] if (row["name"], row["score"]) == ("a", "x"))
    assert row["mean"]["fnir all"] == pytest.approx(2 / 5)
    assert row["images"] == 700
    (difference,) = made["differences"]
    assert (difference["name"], difference["against"]) == ("a", "b")
    assert difference["fnir all"]["mean"] == pytest.approx(-1 / 5)
    assert made["people"] == {"1": 3, "2": 2, "3-5": 0, ">5": 0}


def test_a_configuration_that_lacks_a_seed_is_left_out(finished: Path) -> None:
    assert summarised(finished, "a", "b", "c")["chosen"].keys() == {"a", "b"}
    assert summarised(finished, "a", seeds=3)["rows"] == []


OF_OTHERS = ("pairs", "searches", "protocol", "table", "memory")  # marks of faces and story, not of one experiment


def test_what_is_written_is_read_again_in_per_cent_and_makes_the_tables(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "evidence_frozen.json"
    summary.write_summary(path, summarised(finished, "a", "b"))
    read = json.loads(path.read_text())
    row = next(row for row in read["rows"] if (row["name"], row["score"]) == ("a", "x"))
    assert row["mean"]["fnir all"] == 40.0
    assert row["mean"]["rank1 3-5"] is None
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "README.md").write_text("# words\n<!-- table of story -->\n<!-- end -->\n")
    of_results = [name for name in page.TABLES if name not in OF_OTHERS]
    marks = "".join(f"<!-- {name} of frozen -->\nold\n<!-- end -->\nwords\n" for name in of_results)
    (docs / "results.md").write_text(marks + "<!-- closed of cifar -->\n<!-- end -->\n")
    page.write(tmp_path, tmp_path)
    text = (docs / "results.md").read_text()
    assert "old" not in text
    assert text.count("words") == len(of_results)
    assert "Not run yet." in text
    assert (
        "| a | x | 40.0 ± 0.0 | 66.7 ± 0.0 | 0.0 ± 0.0 |  |  | 1.0 ± 0.0 | 40.0 ± 0.0 | 66.7 ± 0.0 | 70.0 ± 0.0 |"
        in text
    )
    assert "| a | b | +20.0 ± 0.0 [" in text
    assert (docs / "results-frozen.png").stat().st_size > 1000
    page.write(tmp_path, tmp_path)
    assert (docs / "results.md").read_text() == text


def test_the_committed_tables_are_those_of_the_committed_figures(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "results.md").write_bytes((root / "docs/results.md").read_bytes())
    (tmp_path / "README.md").write_bytes((root / "README.md").read_bytes())
    page.fill(page.figures(root / "benchmarks"), tmp_path)
    for name in ("docs/results.md", "README.md"):
        assert (tmp_path / name).read_text() == (root / name).read_text(), name


def test_the_protocol_of_faces_shows_what_other_people_chose() -> None:
    def searched(model: str, found: float) -> dict[str, Any]:
        share = {"value": found, "low": found - 0.05, "high": found + 0.05}
        never = {"value": 0.99, "low": 0.98, "high": 1.0}
        points = [
            {"target": target, "chosen_by": by, "tpir": share if by == "calibration" else never}
            for target in (0.01, 0.1)
            for by in ("calibration", "strangers")
        ]
        rule = "extreme_value:tail=50"
        return {"model": model, "rule": rule, "search_set": "O3", "auroc": share, "points": points}

    found = [searched("arcface", 0.2), searched("oltr", 0.1), searched("mobilefacenet", 0.9)]
    found.append({**searched("arcface", 0.7), "search_set": "O1"})
    text = faces.protocol({"open_set": {"second part": {"searches": found}}})
    row = text.splitlines()[-1]
    assert row == "| extreme value (tail 50) |" + " 20.0 [15.0, 25.0] |" * 3 + " 10.0 [5.0, 15.0] |" * 3


def test_the_story_has_each_data_set_s_own_false_alarms_and_an_empty_cell_for_what_is_not_run() -> None:
    def experiment(chosen_by: str, *names: str) -> dict[str, Any]:
        keys = ("fnir all", "fnir 1", "fnir10 all", "fnir10 1")
        figures = {key: 10.0 * number for number, key in enumerate(keys, 1)}
        cell = {"mean": 1.04, "sd": None, "low": -0.5, "high": 2.0}
        return {
            "chosen_by": chosen_by,
            "people": {"1": 3, "2": 2},
            "chosen": dict.fromkeys(names, "x"),
            "rows": [{"name": name, "score": "x", "mean": figures, "sd": dict.fromkeys(keys)} for name in names],
            "differences": [
                {
                    "name": "oltr.no-memory",
                    "against": "oltr.whole",
                    chosen_by: cell,
                    "rank1 all": {**cell, "mean": -3.0},
                }
            ],
        }

    both = {"frozen": experiment("fnir all", "oltr", "ncm"), "omniglot": experiment("fnir10 all", "ncm")}
    lines = story.table(both).splitlines()
    assert [words in lines[0] for words in ("FPIR 1 %", "FPIR 10 %")] == [True, True]
    assert "| `oltr` | 10.0 | 20.0 |  |  |" in lines
    assert "| `ncm`: class means | 10.0 | 20.0 | 30.0 | 40.0 |" in lines
    assert "LFW, features given, FNIR +1.0 [-0.5, +2.0] and rank 1 -3.0 [-0.5, +2.0]" in story.memory(both)
    assert story.draw(both).axes[1].get_xlabel().startswith("FNIR at FPIR 10 %")


def test_the_random_start_has_the_parts_of_the_paper_and_the_method_begins_at_the_class_means() -> None:
    """Names in tables say what was run: all parts of the head but those that the name names are the head's defaults."""
    heads = {
        one.name: load_experiment(one.method, "lfw_features", overrides=one.settings).stages[1].head
        for one in configurations.ABLATION
        if one.method == "oltr"
    }
    random_start = MetaEmbeddingConfig()
    from_means = MetaEmbeddingConfig(classifier="centroids", hallucinator="centroids", selector="from_zero")
    assert (heads["oltr.random-start"], heads["oltr"]) == (random_start, from_means)
    for name, start, changed in (
        ("oltr.random-start.no-memory", random_start, {"selector": "none"}),
        ("oltr.random-start.hallucinator-centroids", random_start, {"hallucinator": "centroids"}),
        ("oltr.no-memory", from_means, {"selector": "none"}),
        ("oltr.whole", from_means, {"selector": "whole"}),
        ("oltr.whole-no-reach", from_means, {"selector": "whole", "reach": False}),
    ):
        assert heads[name] == start.model_copy(update=changed), name


def test_every_configuration_of_every_experiment_is_a_checked_experiment() -> None:
    experiments = benchmark("evidence.experiments").ALL
    seen = 0
    for name, experiment in experiments.items():
        where = ("data.path=cifar.npz",) if name == "cifar" else ()
        names = [one.name for one in experiment.configurations]
        assert len(set(names)) == len(names)
        assert set(experiment.references) <= set(names)
        for one in experiment.configurations:
            if one.method != configurations.GALLERY:
                made = load_experiment(
                    one.method, experiment.dataset, overrides=(*where, *experiment.settings, *one.settings)
                )
                assert sum(stage.share for stage in made.stages) == pytest.approx(1), one.name  # equal budgets
                seen += 1
    assert seen == sum(len(e.configurations) for e in experiments.values()) - 1
