"""The whole benchmark on small photos: killed and gone on with, asked again, asked for more, and asked wrongly."""

import ast
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facerec_oltr
from facerec_oltr.bench import features as features_module
from facerec_oltr.bench import run as run_module
from facerec_oltr.bench.cells import Cells
from facerec_oltr.bench.code import code_fingerprint, deciding_files, fingerprint_of
from facerec_oltr.bench.measuring import Measuring
from facerec_oltr.bench.named import BenchProtocol, open_models, open_protocols
from facerec_oltr.bench.out import check_out, put_result
from facerec_oltr.bench.results import EXAMPLES, RESULTS, BenchResult, Example, Figure, read_examples, read_results
from facerec_oltr.bench.run import Asked, Told, bench, empty_result
from facerec_oltr.bench.store import FeatureStore
from facerec_oltr.errors import ConfigError, DataError
from facerec_oltr.faces.raw_pixels import RawPixels
from facerec_oltr.protocols import read_photos, write_protocol
from facerec_oltr.protocols.draw import OpenSetRule, draw_open_set
from facerec_oltr.scoring.named import read_rules

from ..conftest import write_people

RULES = "cosine,centroid,nac:k=3"
ASKED = Asked(read_rules(RULES), (0.2, 0.01), replicates=25)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten people with photos, and a protocol of them."""
    folder = tmp_path_factory.mktemp("bench")
    write_people(folder / "photos", {name: 3 + place % 3 for place, name in enumerate("abcdefghij")})
    rule = OpenSetRule(4, 3, 2, distractors=1, templates=(1, 2))
    write_protocol(draw_open_set(read_photos(folder / "photos"), rule, name="small"), folder / "protocol")
    return folder


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "BATCH", 4)


def protocols(people: Path) -> list[BenchProtocol]:
    return open_protocols([str(people / "protocol")], [people / "photos"])


def run(
    people: Path, out: Path, cache: Path, asked: Asked = ASKED, models: tuple[str, ...] = ("raw_pixels",)
) -> BenchResult:
    opened, chosen = protocols(people), open_models(models, None)
    check_out(out, empty_result(opened, chosen, asked), force=False)
    result, examples = bench(opened, chosen, asked, cache)
    put_result(out, result, examples)
    return result


class KilledError(Exception):
    """Stands for a kill."""


def dies_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which at a call does half of nothing."""
    calls = [0]

    def dying(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise KilledError
        return function(*arguments, **named)

    return dying


def test_a_run_that_is_stopped_anywhere_ends_as_an_unbroken_one(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(people, tmp_path / "whole", tmp_path / "whole.cache")
    expected = {name: (tmp_path / "whole" / name).read_bytes() for name in (RESULTS, EXAMPLES)}
    stops = [(FeatureStore, "add", call) for call in (1, 2, 5)] + [(Cells, "write", call) for call in (1, 2, 2)]
    out, cache = tmp_path / "out", tmp_path / "cache"
    for where, name, call in stops:
        with monkeypatch.context() as patched:
            patched.setattr(where, name, dies_at(call, getattr(where, name)))
            with pytest.raises(KilledError):
                run(people, out, cache)
        assert not out.exists()
    run(people, out, cache)
    assert {name: (out / name).read_bytes() for name in expected} == expected
    stores = [next((folder / "features").iterdir()) for folder in (tmp_path / "whole.cache", cache)]
    for name in ("vectors.f32", "rows.tsv"):
        assert (stores[0] / name).read_bytes() == (stores[1] / name).read_bytes()


def test_a_second_call_computes_nothing_and_a_larger_one_what_is_new(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    first = run(people, out, cache)
    searched: list[str] = []
    original = Measuring.searched

    def remember(self: Measuring, name: str, *others: Any) -> Any:
        searched.append(name)
        return original(self, name, *others)

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("every photo is embedded")

    monkeypatch.setattr(Measuring, "searched", remember)
    monkeypatch.setattr(RawPixels, "embed", refuse)
    assert run(people, out, cache) == first and not searched
    more = Asked(read_rules(f"{RULES},reachability"), ASKED.targets, replicates=25)
    with pytest.raises(DataError, match=r"holds a result of other choices \(rules\)"):
        run(people, out, cache, more)
    assert read_results(out) == first
    larger = run(people, tmp_path / "more", cache, more)
    assert searched == ["reachability"]
    assert larger.searches[:3] == first.searches


def test_changed_code_measures_anew(people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A formula that is mended in its file makes other cells: the old ones' numbers are not shown again."""
    cache, root, package = tmp_path / "cache", tmp_path / "package", Path(facerec_oltr.__file__).parent
    first = run(people, tmp_path / "first", cache)
    for file in deciding_files():
        copy = root / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    copies = [root / file.relative_to(package) for file in deciding_files()]
    assert fingerprint_of(copies, root) == code_fingerprint()
    formula = root / "metrics/identification.py"
    formula.write_text(formula.read_text().replace(">=", ">", 1))
    mended = fingerprint_of(copies, root)
    assert mended != code_fingerprint()

    searched = Measuring.searched

    def mended_figures(*arguments: Any) -> Any:
        searches, examples = searched(*arguments)
        return [replace(one, auroc=Figure(0.25)) for one in searches], examples

    monkeypatch.setattr(Measuring, "searched", mended_figures)
    assert run(people, tmp_path / "again", cache).searches == first.searches
    monkeypatch.setattr(run_module, "code_fingerprint", lambda: mended)
    assert {one.auroc for one in run(people, tmp_path / "mended", cache).searches} == {Figure(0.25)}
    with pytest.raises(DataError, match=r"holds a result of other choices \(versions\)"):
        run(people, tmp_path / "first", cache)


def test_the_code_that_decides_is_all_that_figures_import() -> None:
    """Whatever module of the package the measuring imports is among the files, but for what makes or reads vectors."""
    package = Path(facerec_oltr.__file__).parent
    deciding = {file.relative_to(package).with_suffix("").as_posix() for file in deciding_files()}
    vectors = {"embedder", "errors", "models", "faces", "extras"}  # their fingerprints tell them apart
    left, seen = ["bench/measuring", "bench/pairs", "bench/run"], set[str]()
    while left:
        module = left.pop()
        if module in seen:
            continue
        seen.add(module)
        for node in ast.walk(ast.parse((package / f"{module}.py").read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("facerec_oltr"):
                continue
            base = "/".join((node.module or "").split(".")[1:])
            names = [base, *(f"{base}/{alias.name}" for alias in node.names), f"{base}/__init__"]
            left += [n for n in names if n and (package / f"{n}.py").is_file() and n.split("/")[0] not in vectors]
    assert len(seen) > 30
    assert seen <= deciding, f"not in DECIDING: {sorted(seen - deciding)}"


def test_what_is_written_is_read_again(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(people, out, tmp_path / "cache")
    assert read_results(out) == result
    one = result.searches[0]
    assert [search.rule for search in result.searches] == RULES.split(",")
    assert [group.name for group in one.sizes] == ["4", "5"]
    assert result.protocols["small"].people == 10 and result.models["raw pixels"].detector is None
    error = Example("small", "open", "raw pixels", "cosine", "false_accept", "a/0.png", "b/1.png", None, 0.5, 0.25)
    put_result(out, result, (error,))
    assert read_examples(out) == (error,) and read_results(out) == result
    text = (out / RESULTS).read_text()
    assert not any(f'"{name}/' in text for name in "abcdefghij")  # no photo is named among the figures
    put_result(out, result, None)
    assert {path.name for path in out.iterdir()} == {RESULTS}


def test_published_vectors_give_what_the_model_gives(people: Path, tmp_path: Path) -> None:
    opened = protocols(people)
    model = open_models(["raw_pixels"], None)
    bench(opened, model, ASKED, tmp_path / "cache")
    [folder] = (tmp_path / "cache/features").iterdir()
    keys = [line.split("\t")[3] for line in (folder / "rows.tsv").read_text().splitlines()]
    vectors = np.fromfile(folder / "vectors.f32", np.float32).reshape(len(keys), -1)
    order = np.random.default_rng(0).permutation(len(keys))
    np.savez(tmp_path / "published.npz", path=np.array(keys)[order], vectors=vectors[order])
    file = open_models([f"raw_pixels={tmp_path / 'published.npz'}"], None)
    assert file[0].facts.size == 0 and file[0].facts.name == "raw_pixels"
    (made, _), (read, _) = (bench(opened, some, ASKED, tmp_path / f"c{n}") for n, some in enumerate((model, file)))
    for one, other in zip(made.searches, read.searches, strict=True):
        assert one.ranks == other.ranks and one.cmc == other.cmc and one.parts == other.parts
        assert [p.tpir for p in one.points] == [p.tpir for p in other.points]
    again = open_models([str(tmp_path / "published.npz")] * 2, None)
    assert [one.facts.name for one in again] == ["vectors", "vectors #2"]


def test_photos_without_a_face_are_remembered_and_counted(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(people / "photos", photos)
    (photos / "a/0.png").write_bytes(b"no picture")  # every a stays in one part, whichever it is
    write_protocol(draw_open_set(read_photos(photos), OpenSetRule(4, 3, 2, templates=(1,))), tmp_path / "p")
    opened, words = open_protocols([str(tmp_path / "p")], [photos]), list[str]()
    model = open_models(["raw_pixels"], None)
    result, _ = bench(opened, model, ASKED, tmp_path / "cache", Told(words=words.append))
    parts = result.searches[0].parts
    failed = {part: sum(image == "a/0.png" for image in opened[0].protocol.part("open", part).images) for part in parts}
    assert {part: held.failed for part, held in parts.items()} == failed
    assert sum(failed.values()) == (1 if any("a/0.png" in t.images for t in opened[0].protocol.lists.values()) else 0)
    assert any("found no face in 1 of" in word for word in words) and any("left out: a/0.png" in word for word in words)
    monkeypatch.setattr(RawPixels, "embed", lambda *_: pytest.fail("it is remembered"))
    other = Asked(ASKED.rules, (0.3,), replicates=5)
    again, _ = bench(opened, model, other, tmp_path / "cache", Told(words=words.append))
    assert again.searches[0].parts == parts


def test_a_photo_that_has_changed_since_is_refused(people: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(people / "photos", photos)
    opened = open_protocols([str(people / "protocol")], [photos])
    key = opened[0].keys[5]
    (photos / key).write_bytes((photos / opened[0].keys[6]).read_bytes())
    with pytest.raises(DataError, match=f"image '{key}' has other contents than when small was drawn"):
        bench(opened, open_models(["raw_pixels"], None), ASKED, tmp_path / "cache")


def test_what_is_asked_wrongly_is_refused_ahead_of_any_work(people: Path, tmp_path: Path) -> None:
    opened, models = protocols(people), open_models(["raw_pixels"], None)
    with pytest.raises(DataError, match="small, open: adaptive_snorm: found a cohort of 2 people"):
        bench(opened, models, Asked(read_rules("adaptive_snorm")), tmp_path / "cache")
    with pytest.raises(DataError, match="raw pixels needs the photos, but no --images was given"):
        bench(open_protocols([str(people / "protocol")], []), models, ASKED, tmp_path / "cache")
    shutil.copytree(people / "photos", tmp_path / "fewer")
    missing = opened[0].keys[3]
    (tmp_path / "fewer" / missing).unlink()
    with pytest.raises(DataError, match=f"{missing}: not there, but small names it"):
        bench(open_protocols([str(people / "protocol")], [tmp_path / "fewer"]), models, ASKED, tmp_path / "cache")
    np.savez(tmp_path / "f.npz", path=np.array(opened[0].keys[1:]), v=np.eye(len(opened[0].keys))[1:])
    with pytest.raises(DataError, match=f"has no vector of '{opened[0].keys[0]}', but small names it"):
        bench(opened, open_models([str(tmp_path / "f.npz")], None), ASKED, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    wrongs: tuple[dict[str, Any], ...] = (
        {"targets": (0.0,)},
        {"targets": (1.0,)},
        {"targets": ()},
        {"replicates": 0},
        {"sizes": (0,)},
    )
    for wrong in wrongs:
        with pytest.raises(DataError, match="found"):
            Asked(read_rules("cosine"), **wrong)
    with pytest.raises(DataError, match="given twice"):
        Asked(read_rules("cosine"), (0.1, 0.1))
    with pytest.raises(ConfigError, match="no rule is called"):
        read_rules("cosin")
    with pytest.raises(DataError, match="is drawn from images"):
        open_protocols(["lfw_gb"], [])
    with pytest.raises(DataError, match="1 protocols and 2 --images"):
        open_protocols(["lfw_gb"], [tmp_path, tmp_path])


def test_lists_that_overlap_are_refused(people: Path, tmp_path: Path) -> None:
    shutil.copytree(people / "protocol", tmp_path / "p")
    lines = {part: (tmp_path / f"p/{part}.tsv").read_text().splitlines() for part in ("gallery", "mated", "strangers")}
    for part, other, told in (
        ("strangers", lines["gallery"][1], "is in strangers and in gallery"),
        ("mated", lines["strangers"][1], "is searched as mated but is not in the gallery"),
    ):
        (tmp_path / f"p/{part}.tsv").write_text("\n".join([*lines[part], other]) + "\n")
        with pytest.raises(DataError, match=told):
            open_protocols([str(tmp_path / "p")], [people / "photos"])
        (tmp_path / f"p/{part}.tsv").write_text("\n".join(lines[part]) + "\n")
    assert open_protocols([str(tmp_path / "p")], [people / "photos"])[0].name == "small"


def test_a_target_that_too_few_searches_can_show_is_told_in_the_result(people: Path, tmp_path: Path) -> None:
    result = run(people, tmp_path / "out", tmp_path / "cache")
    for one in result.searches:
        low, high = one.point(0.01), one.point(0.2)
        assert low is not None and high is not None and high.measurable and not low.measurable


def test_a_folder_of_something_else_is_left_alone(people: Path, tmp_path: Path) -> None:
    wanted = empty_result(protocols(people), open_models(["raw_pixels"], None), ASKED)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/one.txt").write_text("dear")
    (tmp_path / "file").write_text("")
    for out in ("letters", "file"):
        for force in (False, True):
            with pytest.raises(DataError, match="give"):
                check_out(tmp_path / out, wanted, force=force)
    run(people, tmp_path / "out", tmp_path / "cache")
    check_out(tmp_path / "out", wanted, force=False)
    (tmp_path / "out" / RESULTS).write_text("{}")
    with pytest.raises(DataError, match="is no result of facerec bench"):
        check_out(tmp_path / "out", wanted, force=False)


def test_a_damaged_cell_is_one_line_and_stays(people: Path, tmp_path: Path) -> None:
    run(people, tmp_path / "out", tmp_path / "cache")
    cell = min((tmp_path / "cache/cells").iterdir())
    damaged = cell.read_text()[:-30]
    cell.write_text(damaged)
    with pytest.raises(DataError, match="is damaged; remove it"):
        run(people, tmp_path / "other", tmp_path / "cache")
    assert cell.read_text() == damaged
