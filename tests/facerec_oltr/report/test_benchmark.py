"""The report of a benchmark: its numbers are the records', its words follow them, and it gives nobody away."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from facerec_oltr.bench.results import BenchResult, Curve, Figure, Histogram, ModelFacts, Part, Point, SearchResult
from facerec_oltr.cli.report import report
from facerec_oltr.errors import DataError
from facerec_oltr.report.bench import is_benchmark, read_joined, write_bench_report
from facerec_oltr.report.bench.choice import MOST_LINES, headline_target, lines
from facerec_oltr.report.bench.words import not_shown, said_once, shown
from recordio_tools.images import read_rgb

from ..conftest import write_people
from .conftest import ANN, BOB, CEM, EXAMPLES, bench_result, saved

NASTY = '<script>alert("x")</script> & "q" | _a_ $x$ ](http://x)\n\x1b'


class Page(HTMLParser):
    """What a browser sees: tables as rows of cell texts, all text, all tags with their attributes."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if self.open and any(tag in self.open for tag in ("th", "td")):
            self.tables[-1][-1][-1] += data


def written(result: BenchResult, folder: Path, suffix: str = ".html") -> str:
    out = folder / f"report{suffix}"
    write_bench_report([saved(result, folder / "bench")], out)
    return out.read_text()


@pytest.fixture(scope="module")
def page(result: BenchResult, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("page")
    write_bench_report([saved(result, folder / "bench", EXAMPLES)], folder / "report.html")
    text = (folder / "report.html").read_text()
    assert not re.search("Ann_Ok|Bob_Ox|Cem_Ur", text)  # nobody gave the photos
    return Page(text)


def undrawn(search: SearchResult) -> SearchResult:
    """The same without anything that a picture is drawn of, which takes most of the time."""
    nothing = Curve((), ())
    return replace(search, cmc=nothing, det=nothing, histogram=Histogram((), (), ()), shots=(), sizes=())


def by_hand(figure: Figure, digits: int) -> str:
    numbers = (round(100 * float(one or 0), 6) for one in (figure.value, figure.low, figure.high))
    value, low, high = (f"{one:.{digits}f}" for one in numbers)
    return f"{value} [{low}, {high}]"


def test_what_sets_have_alike_is_said_once() -> None:
    said = said_once(
        {"O1": ["O1, m: 5 more.", "O1: 2 let in.", "O1 is odd."], "O2": ["O2, m: 5 more.", "O2: 3 let in."]}
    )
    assert said == ["O1, O2, m: 5 more.", "O1: 2 let in.", "O1 is odd.", "O2: 3 let in."]


def test_the_first_table_holds_the_records_figures(result: BenchResult, page: Page) -> None:
    groups, heads, *rows = page.tables[0]
    assert groups == ["model", "rule", "any score", "C", "O1"]
    assert heads == ["rank-1", "TPIR", "TPIR", "realised FPIR"]
    assert len(rows) == 6
    for model, rule, rank_1, of_c, tpir, fpir in rows:
        c, o1 = (s for s in result.searches if (s.model, s.rule) == (model, rule))
        point = o1.point(0.1)  # 12 of 120 and 16 of 160 may be let in; at 1 % it is 1
        assert point is not None and (other := c.point(0.1)) is not None
        assert rank_1 == by_hand(dict(c.ranks)[1], 1)
        assert of_c == by_hand(other.tpir, 1)
        assert tpir == by_hand(point.tpir, 1)
        above = point.fpir.low is not None and point.fpir.low > 0.1
        assert fpir.replace(" ▲", "") == by_hand(point.fpir, 2)
        assert ("▲" in fpir) == above
    assert [
        attributes for tag, attributes in page.tags if tag == "script" or "http" in str(attributes.get("src"))
    ] == []


def test_every_other_table_is_there_and_markdown_has_the_same(result: BenchResult, page: Page, tmp_path: Path) -> None:
    text = written(result, tmp_path, ".md")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    for table in page.tables:  # a mark stands before the bounds there, and behind them here
        for row in table[-2:]:
            assert any(sorted(" ".join(one)) == sorted(" ".join(row)) for one in cells), row
    pair = result.pairs[0]
    assert [pair.pair_set, pair.model, f"{100 * (pair.accuracy or 0):.2f} ± {100 * (pair.sd or 0):.2f}"] in [
        row[:3] for row in cells
    ]
    small = next(s for s in result.searches if s.sizes).sizes[0]
    assert any(row[:4] == ["mobilefacenet", "cosine", small.name, str(small.people)] for row in cells)
    names = re.findall(r"\(<([^>]*)>\)", text)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted(names) and len(names) == 9
    for name in names:
        assert cv2.imread(str(tmp_path / name)) is not None


def test_pictures_say_what_they_are_and_share_no_inner_names(page: Page) -> None:
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == 9  # C has no DET; gains of both sets; shots and sizes of O1
    assert all(attributes["role"] == "img" and len(str(attributes["aria-label"])) > 30 for attributes in pictures)
    names = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names)) > 0
    heads = [attributes["scope"] for tag, attributes in page.tags if tag == "th"]
    assert {"col", "colgroup", "row"} == set(heads)
    for words in ("enrolled people missed or confused (FNIR)", "strangers let in", "among so many best", "enrolled"):
        assert words in page.text  # letters stay letters in the pictures


def test_the_same_results_give_the_same_bytes(result: BenchResult, tmp_path: Path) -> None:
    one = replace(result, searches=(result.searches[4],))  # every kind of picture but the gains of several rules
    first, second = (written(one, tmp_path / name) for name in ("a", "b"))
    assert first == second and len(first) < 150_000
    assert re.search(r"\b20\d\d-\d\d-\d\d", first) is None and "Matplotlib" not in first
    one = replace(one, searches=(replace(undrawn(one.searches[0]), det=one.searches[0].det),))
    markdown = [written(one, tmp_path / name, ".md") for name in ("c", "d")]
    assert markdown[0] == markdown[1]
    for path in (tmp_path / "c").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "d" / path.name).read_bytes()


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    one = bench_result(rules=("cosine",), replicates=4, people=20, calibration=20)
    search = replace(one.searches[-1], model=NASTY, search_set=NASTY, rule=NASTY)
    protocol = replace(one.protocols["lfw_gb_held_out"], choices={NASTY: NASTY}, made_by=NASTY)
    search = replace(search, cmc=Curve((), ()))
    nasty = replace(
        one,
        models={NASTY: ModelFacts(NASTY, NASTY, 2, 2, NASTY)},
        protocols={NASTY: protocol},
        searches=(replace(search, protocol=NASTY),),
        versions={NASTY: NASTY},
    )
    page = Page(written(nasty, tmp_path / "html"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert '<script>alert("x")</script> & "q" | _a_ $x$ ](http://x) \ufffd' in page.text and "\x1b" not in page.text
    text = written(nasty, tmp_path / "md", ".md")
    assert "<script" not in text and "](http" not in text and "\x1b" not in text
    rows = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    assert all(len(row) == len(rows[0]) for row in rows[:3])


def test_what_is_shown_is_said_and_what_is_not(result: BenchResult) -> None:
    sure, unsure, fewer, none = (
        Figure(0.02, 0.01, 0.03), Figure(0.02, 0.005, 0.03), Figure(-0.02, -0.03, -0.01), Figure(0.0, -0.01, 0.01)
    )  # fmt: skip
    sentences = " ".join(shown([_search("a", "cosine", 0.9), _search("a", "more", 0.92, sure, sure)], 0.1))
    assert "O1, a: more are found than by the cosine with more (+2.0 [+1.0, +3.0])" in sentences
    sentences = " ".join(shown([_search("a", "cosine", 0.9), _search("a", "lax", 0.92, unsure, none)], 0.1))
    assert "more are found with lax (+2.0 [+0.5, +3.0]), but not where these strangers choose thresholds" in sentences
    sentences = " ".join(shown([_search("a", "cosine", 0.9), _search("a", "bad", 0.88, fewer, fewer)], 0.1))
    assert "fewer are found with bad (−2.0 [−3.0, −1.0])" in sentences and "more are found" not in sentences
    sentences = " ".join(shown([_search("a", "cosine", 0.9), _search("a", "same", 0.9, none, none)], 0.1))
    assert "no difference to the cosine is shown for same" in sentences and "2 differences" in sentences
    # .90 ± .02 and .93 ± .02 overlap, .80 ± .02 lies apart
    models = [_search("a", "cosine", 0.93), _search("b", "cosine", 0.9), _search("c", "cosine", 0.8)]
    (sentence, *_) = shown(models, 0.1)
    assert sentence == (
        "O1, FPIR 10 %: a by cosine finds most, 93.0 [91.0, 95.0] %. That is above the interval of c by cosine (80.0 "
        "[78.0, 82.0] %). It is not shown to be better than b by cosine (90.0 [88.0, 92.0] %): the intervals overlap."
    )
    high = _search("a", "cosine", 0.9, fpir=Figure(0.2, 0.15, 0.25))
    assert "at a wanted 10 % 1 of 1, a by cosine (20.00 [15.00, 25.00] %)" in " ".join(shown([high], 0.1))
    assert "at a wanted 10 % none of 1" in " ".join(shown([_search("a", "cosine", 0.9)], 0.1))


def test_what_cannot_be_measured_names_how_many_it_takes() -> None:
    search = _search("a", "cosine", 0.9)
    few = replace(search, points=(*search.points, *(replace(p, target=0.001, measurable=False) for p in search.points)))
    text = " ".join(not_shown([few], (0.1, 0.001)))
    # 500 searches chose and 400 judge; one of them is .2 % and .25 %
    assert (
        "an FPIR of 0.1 % cannot be shown, as the threshold was chosen by 500 searches and it is judged by 400" in text
    )
    assert (
        "it takes 1,000 searches by different strangers to see a single one let in, and 3,000 with none let in" in text
    )
    assert "cannot be shown" not in " ".join(not_shown([search], (0.1,)))
    uncalibrated = replace(search, points=search.points[1:], parts={**search.parts, "calibration": Part(0, 0)})
    assert "the strangers who are judged chose it. That flatters" in " ".join(not_shown([uncalibrated], (0.1,)))
    nobody = replace(search, points=(replace(search.points[0], fpir=Figure(0.0, 0.0, 0.0)),))
    text = " ".join(not_shown([nobody], (0.1,)))
    assert "none of 400 searches of 200 strangers was let in; up to 1.5 % cannot be excluded" in text
    lone = replace(search, parts={**search.parts, "strangers": Part(12, 400)})
    assert "rests on 12 strangers: with fewer than 30" in " ".join(not_shown([lone], (0.1,)))
    failed = replace(search, parts={**search.parts, "mated": Part(100, 300, 7)}, candidates=50)
    text = " ".join(not_shown([failed], (0.1,)))
    assert "a found no face in 7 of 1,300 templates of O1 (7 mated)" in text
    assert "only the best by cosine: cosine at 50." in text
    unwatched = replace(search, parts={**search.parts, "strangers": Part(0, 0)})
    assert "O1 has no strangers" in " ".join(not_shown([unwatched], (0.1,)))


def test_the_lines_drawn_follow_the_rule_told() -> None:
    assert len(lines([_search(m, "cosine", 0.9) for m in "abcdef"], 0.1)) == MOST_LINES
    many = [_search(m, rule, 0.8 + at / 100) for m in "ab" for at, rule in enumerate(("cosine", "p", "q", "r"))]
    drawn = [line.key for line in lines(many, 0.1)]
    assert drawn[:4] == [("a", "r"), ("b", "r"), ("a", "cosine"), ("b", "cosine")]
    assert drawn[4:] == [("a", "q"), ("b", "q")] and len({line.label for line in lines(many, 0.1)}) == 6
    long = [_search(f"resnet100_trained_on_everything_{end}", "cosine", 0.9) for end in "ab"]
    assert len({line.label for line in lines(long, 0.1)}) == 2
    assert max(len(row) for line in lines(long, 0.1) for row in line.label.split("\n")) <= 17
    # 500 choose and 400 judge: ten of them may be let in at 2.5 % or more
    assert headline_target([_search("a", "cosine", 0.9)], (0.1, 0.03, 0.02)) == 0.03
    assert headline_target([replace(_search("a", "cosine", 0.9), parts={})], (0.1, 0.01)) == 0.1


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_poor_results_are_told_too(tmp_path: Path, suffix: str) -> None:
    lone = bench_result((("only", 0.6),), ("cosine",), replicates=4, people=12, calibration=0)
    text = written(lone, tmp_path / "lone", suffix)
    assert "†" in text and "nobody was left to choose a threshold" in text and "Other rules" not in text
    bare = lone.searches[-1]
    points = tuple(
        replace(p, threshold=None, fpir=Figure(None), tpir=Figure(None), misidentification=Figure(None))
        for p in bare.points
    )
    empty = replace(
        bare, points=points, ranks=(), auroc=Figure(None), oscr=Figure(None), cmc=Curve((), ()), det=Curve((), ()),
        histogram=replace(bare.histogram, edges=(), mated=(), strangers=()), parts={},
    )  # fmt: skip
    text = written(replace(lone, searches=(empty,), replicates=0), tmp_path / "empty", suffix)
    assert "No intervals were asked for" in text and "–" in text and "nan" not in text.lower().replace("finance", "")
    no_bounds = replace(bare, det=replace(bare.det, low=(), high=()), cmc=replace(bare.cmc, low=(), high=()))
    written(replace(lone, searches=(no_bounds,)), tmp_path / "bounds", suffix)
    pairs = replace(bench_result((("m", 0.6),), ("cosine",), replicates=4, people=20, pairs=True), searches=())
    pairs = replace(pairs, pairs=(replace(pairs.pairs[0], accuracy=None, sd=None),))
    assert "TAR at FAR 0.1 %" in written(pairs, tmp_path / "pairs", suffix)


def test_runs_are_joined_only_if_they_were_made_alike(result: BenchResult, tmp_path: Path) -> None:
    mine, theirs = ([s for s in result.searches if s.model == model] for model in ("mobilefacenet", "dlib"))
    rules = {"nac:k=8": {"kind": "nac", "k": 8}}
    first = saved(replace(result, searches=tuple(mine), pairs=(), rules=rules), tmp_path / "first")
    joined = read_joined([first, saved(replace(result, searches=tuple(theirs), pairs=(), seed=7), tmp_path / "second")])
    assert joined.searches == (*mine, *theirs) and joined.seeds == (0, 7)
    other = replace(result.models["dlib"], fingerprint="f" * 64)
    drawn = replace(result.protocols["lfw_gb_held_out"], seed=1)
    for number, (changed, message) in enumerate(
        (
            (replace(result, targets=(0.1,)), r"has targets 0\.1, but .*first has 0\.1, 0\.01, 0\.001"),
            (replace(result, fusion="mean"), "has fusion mean, but .*first has max"),
            (replace(result, replicates=9), "has replicates 9, but .*first has 12"),
            (replace(result, models={**result.models, "dlib": other}), "its model 'dlib' differs in fingerprint"),
            (
                replace(result, protocols={"lfw_gb_held_out": drawn}),
                "'lfw_gb_held_out' differs in seed .1, elsewhere 0",
            ),
            (
                replace(result, rules={"nac:k=8": {**rules["nac:k=8"], "k": 9}}),
                "its rule 'nac:k=8' differs in k .9, elsewhere 8",
            ),
            (result, "holds lfw_gb_held_out, C, mobilefacenet, cosine, as does .*first"),
        )
    ):
        with pytest.raises(DataError, match=message):
            write_bench_report([first, saved(changed, tmp_path / f"other{number}")], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_damaged_results_are_one_line(result: BenchResult, tmp_path: Path) -> None:
    whole = json.loads((saved(result, tmp_path / "whole") / "results.json").read_text())

    def refused(message: str, change: object = None, text: str | None = None) -> None:
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        held = json.loads(json.dumps(whole))
        if callable(change):
            change(held)
        (folder / "results.json").write_text(json.dumps(held) if text is None else text)
        with pytest.raises(DataError, match=message) as caught:
            write_bench_report([folder], tmp_path / "report.html")
        assert "\n" not in str(caught.value) and not (tmp_path / "report.html").exists()

    refused("is not JSON", text=json.dumps(whole)[:-50])
    refused("of version 9, expected 1", lambda held: held.update(version=9))
    refused("holds no search and no pair", lambda held: held.update(searches=[], pairs=[]))
    refused(
        "searches.0.det.x.0: input should be a valid number", lambda held: held["searches"][0]["det"].update(x=["a"])
    )
    refused("cmc: found 20 x of 3 y", lambda held: held["searches"][0]["cmc"].update(y=[1, 1, 1]))
    refused(
        "cmc: found a number that is not finite", lambda held: held["searches"][0]["cmc"].update(y=[float("nan")] * 20)
    )
    refused("cmc: found x that fall", lambda held: held["searches"][0]["cmc"].update(x=list(range(20, 0, -1))))
    refused("histogram: found 2 edges of 40 and 40", lambda held: held["searches"][0]["histogram"].update(edges=[0, 1]))
    refused(
        "found the rate 1.5, expected a number from 0 to 1", lambda held: held["searches"][0]["auroc"].update(value=1.5)
    )
    refused("of the model 'dlib', which it does not describe", lambda held: held["models"].pop("dlib"))
    refused("found a gallery of 'ten' identities", lambda held: held["searches"][3]["sizes"][0].update(name="ten"))


def test_the_kind_of_result_is_recognised(result: BenchResult, tmp_path: Path) -> None:
    folder = saved(result, tmp_path / "bench")
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text('{"format": "facerec evaluation", "version": 1}')
    assert is_benchmark([folder, folder / "results.json"]) and not is_benchmark([evaluation])
    (tmp_path / "x.json").write_text("[]")
    for paths, message in (
        ([folder, evaluation], "is a facerec evaluation, but .*bench is a facerec bench; a report is of one kind"),
        ([tmp_path / "x.json"], "is no result; expected what facerec bench or facerec evaluate-faces made"),
        ([tmp_path / "no.json"], "cannot be read"),
        ([], "no result was given"),
    ):
        with pytest.raises(DataError, match=message):
            is_benchmark(paths)
    with pytest.raises(DataError, match=r"ends in .html, for one page, or .md"):
        write_bench_report([folder], tmp_path / "report.pdf")
    with pytest.raises(DataError, match="is a folder"):
        write_bench_report([folder], tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = write_people(tmp_path / "photos", {"Ann_Ok": 1, "Bob_Ox": 1, "Cem_Ur": 1})
    for key in (ANN, BOB, CEM):
        (folder / key).parent.joinpath("0.png").rename(folder / key)
    return folder


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_faces_are_shown_only_where_they_are_wanted(
    result: BenchResult, photos: Path, tmp_path: Path, suffix: str
) -> None:
    folder = saved(replace(result, searches=(undrawn(result.searches[3]),)), tmp_path / "bench", EXAMPLES)
    out = tmp_path / "out" / f"report{suffix}"

    def words() -> str:
        return "".join(path.read_bytes().decode("latin-1") for path in sorted(out.parent.iterdir()))

    for images, faces in ((None, True), (photos, False), (None, False)):
        write_bench_report([folder], out, images=images, faces=faces)
        assert (
            not re.search("Ann_Ok|Bob_Ox|Cem_Ur|_000[12].jpg|data:image|photo-p", words())
            and "worst errors" not in words()
        )
        assert not list(out.parent.glob("*photo*"))
    files = write_bench_report([folder], out, images=photos)
    assert "O1: the worst errors" in words() and "score 0.710, at or above the threshold 0.500" in words()
    assert "score 0.210, below the threshold 0.500" in words()
    if suffix == ".html":
        shown_images = [attributes for tag, attributes in Page(out.read_text()).tags if tag == "img"]
        assert [attributes["width"] for attributes in shown_images] == ["246", "372", "372"]
        assert all(str(attributes["alt"]).endswith(("gallery", "own")) for attributes in shown_images)
    else:
        strips = [path for path in files if "photo" in path.name]
        assert [read_rgb(strip).shape for strip in strips] == [(120, 246, 3), (120, 372, 3), (120, 372, 3)]
        with pytest.raises(DataError, match="faces of an earlier report are still beside it"):
            write_bench_report([folder], out, faces=False)
    (photos / CEM).unlink()
    before = out.read_bytes()
    with pytest.raises(DataError, match=r"Cem_Ur_0002.jpg: not there, but an example names it"):
        write_bench_report([folder], out, images=photos)
    assert out.read_bytes() == before


def test_photos_of_another_source_are_refused(
    result: BenchResult, photos: Path, face_set: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    folder = saved(result, tmp_path / "bench", EXAMPLES)
    with pytest.raises(DataError, match="is a face set, but lfw_gb_held_out was drawn from a folder"):
        write_bench_report([folder], out, images=face_set)
    with pytest.raises(DataError, match="not there; expected the images that lfw_gb_held_out was drawn from"):
        write_bench_report([folder], out, images=tmp_path / "nowhere")
    outside = saved(result, tmp_path / "outside", (replace(EXAMPLES[0], probe="../x.jpg"),))
    with pytest.raises(DataError, match=r"names the image '\.\./x\.jpg', which lies outside"):
        write_bench_report([outside], out, images=photos)
    with pytest.raises(DataError, match=r"no examples\.json is beside the results"):
        write_bench_report([saved(result, tmp_path / "without")], out, images=photos)
    assert not out.exists()


def _search(
    model: str, rule: str, tpir: float, gain: Figure | None = None, equal: Figure | None = None,
    fpir: Figure | None = None,
) -> SearchResult:  # fmt: skip
    """A search set of these TPIRs, ± .02, at a target of 10 %."""
    rates = fpir or Figure(0.1, 0.08, 0.12), Figure(tpir, tpir - 0.02, tpir + 0.02), Figure(0.01, 0.0, 0.02)
    points = (
        Point(0.1, "calibration", 0.5, True, *rates, gain),
        Point(0.1, "strangers", 0.5, True, *rates, equal),
    )
    parts = {
        "gallery": Part(100, 100),
        "mated": Part(100, 300),
        "strangers": Part(200, 400),
        "calibration": Part(250, 500),
    }
    nothing = Curve((), ())
    histogram = Histogram((0.0, 0.5, 1.0), (1, 2), (2, 1))
    return SearchResult(
        "p", "O1", model, rule, parts, (), Figure(0.9), Figure(0.9), points, nothing, nothing, histogram
    )


def test_options_of_the_other_kind_are_refused(result: BenchResult, face_set: Path, tmp_path: Path) -> None:
    folder = saved(result, tmp_path / "bench")
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text('{"format": "facerec evaluation", "version": 1}')
    out = tmp_path / "report.html"
    with pytest.raises(DataError, match="--faces: is for results of facerec evaluate-faces, but these are of bench"):
        report([folder], out, faces=face_set)
    with pytest.raises(DataError, match="--no-faces: is for results of facerec bench, but these are of evaluate-faces"):
        report([evaluation], out, no_faces=True)
    with pytest.raises(DataError, match=r"evaluations are written as Markdown; give a name that ends in \.md"):
        report([evaluation], out)
    assert not out.exists()
