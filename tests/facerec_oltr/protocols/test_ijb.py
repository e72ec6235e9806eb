"""Small files in the true layout of IJB-B and IJB-C; column names as both data sets have them.

NIST's: TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT,FRAME_NUM,… InsightFace's:
`1.jpg 1 69544` (crop, template, medium) and `1 11065 1` (template, template, label).
"""

import math
from pathlib import Path

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.metrics.identification import Searches, fuse_templates, tpir_at_fpir
from facerec_oltr.protocols import Protocol, SearchSet, Source, TemplateList, pool, read_protocol, write_protocol
from facerec_oltr.protocols.ijb import read_ijb

HEAD = "TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT,FRAME_NUM,FACIAL_HAIR"
ROWS = {  # of each file: template, subject, file, sighting
    "1N_gallery_G1": [(1, 10, "img/1.png", 100), (1, 10, "frames/2.png", 101), (1, 10, "frames/3.png", 101)],
    "1N_gallery_G2": [(2, 20, "img/4.jpg", 102), (3, 30, "img/4.jpg", 103)],  # two faces of one photo
    "1N_probe_mixed": [
        (4, 20, "frames/5.png", 104),
        (4, 20, "img/6.png", 105),
        (4, 20, "frames/7.png", 104),
        (5, 10, "img/8.png", 106),
        (6, 30, "img/9.png", 107),
    ],
}
NAMES = {"1N_gallery_G1": "G1", "1N_gallery_G2": "G2", "1N_probe_mixed": "probe"}


def write_nist(folder: Path, benchmark: str = "ijbc", galleries: tuple[str, str] = ("G1", "G2")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in ROWS.items():
        lines = [f"{t},{s},{file},{sighting},{t}.5,20,30,40,," for t, s, file, sighting in rows]
        name = name.replace("G1", galleries[0]).replace("G2", galleries[1])
        (folder / f"{benchmark}_{name}.csv").write_text("\n".join([HEAD, *lines]) + "\n")
    one, other = galleries
    (folder / f"{benchmark}_11_{one}_{other}_matches.csv").write_text("1,5\n1,4\n2,4\n3,6\n3,5\n")
    return folder


def write_crops(folder: Path) -> Path:
    """InsightFace's files: crops of the same templates, and a template 9 that 1:N does not have."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(t, sighting) for rows in ROWS.values() for t, _, _, sighting in rows] + [(9, 108)]
    crops = "".join(f"{number}.jpg {t} {medium}\n" for number, (t, medium) in enumerate(rows, 1))
    (folder / "ijbc_face_tid_mid.txt").write_text(crops)
    (folder / "ijbc_template_pair_label.txt").write_text("1 5 1\n2 4 1\n2 5 0\n9 4 0\n")
    return folder


def members(templates: TemplateList) -> dict[str, list[tuple[str, int]]]:
    """Of each template: its images, with the number of their medium."""
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in templates.names}
    for owner, image, medium in zip(templates.owners, templates.images, templates.media.tolist(), strict=True):
        found[templates.names[owner]].append((image, medium))
    return found


def test_the_lists_of_nist(tmp_path: Path) -> None:
    write_protocol(read_ijb(write_nist(tmp_path / "protocols")), tmp_path / "out")
    made = read_protocol(tmp_path / "out")
    assert members(made.lists["G1"]) == {
        "1": [("img/1.png#1.5,20,30,40", 0), ("frames/2.png#1.5,20,30,40", 1), ("frames/3.png#1.5,20,30,40", 1)]
    }
    assert members(made.lists["probes_G2"]) == {  # the two frames of sighting 104 stand together
        "4": [("frames/5.png#4.5,20,30,40", 0), ("frames/7.png#4.5,20,30,40", 0), ("img/6.png#4.5,20,30,40", 1)],
        "6": [("img/9.png#6.5,20,30,40", 0)],
    }
    assert made.lists["G2"].people == ("20", "30")
    pairs = made.pairs["1_1"]
    names = made.joined(pairs.lists).names
    found = [(names[one], names[other]) for one, other in zip(pairs.first, pairs.second, strict=True)]
    assert found == [("1", "5"), ("1", "4"), ("2", "4"), ("3", "6"), ("3", "5")]
    assert pairs.same.tolist() == [True, False, True, True, False]


@pytest.mark.parametrize("benchmark", ["ijbb", "ijbc"])
def test_each_gallery_is_searched_by_all_probes(tmp_path: Path, benchmark: str) -> None:
    one, other = galleries = ("S1", "S2") if benchmark == "ijbb" else ("G1", "G2")
    made = read_ijb(write_nist(tmp_path, benchmark, galleries), benchmark)  # pyright: ignore[reportArgumentType]
    assert list(made.searches) == [one, other]
    parts = {
        gallery: {part: made.part(gallery, part).names for part in ("gallery", "mated", "strangers")}
        for gallery in galleries
    }
    assert parts == {
        one: {"gallery": ("1",), "mated": ("5",), "strangers": ("4", "6")},
        other: {"gallery": ("2", "3"), "mated": ("4", "6"), "strangers": ("5",)},
    }


def test_the_lists_of_insightface(tmp_path: Path) -> None:
    crops_alone = read_ijb(write_crops(tmp_path / "alone"))
    assert list(crops_alone.lists) == ["templates"]
    assert set(crops_alone.lists["templates"].people) == {""}
    assert crops_alone.pairs["1_1"].same.tolist() == [True, True, False, False]

    both = read_ijb(write_crops(write_nist(tmp_path / "meta")))
    assert members(both.lists["G1"]) == {"1": [("1.jpg", 0), ("2.jpg", 1), ("3.jpg", 1)]}
    assert members(both.lists["probes_G2"])["4"] == [("6.jpg", 0), ("8.jpg", 0), ("7.jpg", 1)]
    assert both.lists["others"].names == ("9",)
    assert both.pairs["1_1"].same.tolist() == [True, True, False, False]
    assert len(both.pairs["1_1"]) == 4  # the labelled pairs, not NIST's matches


def test_a_probe_of_nobody_is_a_stranger_to_both(tmp_path: Path) -> None:
    place = write_nist(tmp_path) / "ijbc_1N_probe_mixed.csv"
    place.write_text(place.read_text() + "7,70,img/11.png,109,1,2,3,4,,\n")
    made = read_ijb(tmp_path)
    assert made.part("G1", "strangers").names == ("4", "6", "7")
    assert made.part("G2", "strangers").names == ("5", "7")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "ijbc_1N_gallery_G2.csv",
            "20,img",
            "10,img",
            "subject 10 is in the galleries G1 and G2, expected one of them",
        ),
        ("ijbc_1N_gallery_G2.csv", "SUBJECT_ID", "SUBJECT", r"gallery_G2\.csv: line 1: found no column SUBJECT_ID"),
        ("ijbc_1N_gallery_G1.csv", "1,10,frames/2", "1,11,frames/2", "line 3: template 1 is of subject 11, but of 10"),
        ("ijbc_1N_gallery_G1.csv", "1,10,frames/2.png,101,", "1,10,", "line 3: found .*, expected 10 fields as in"),
        ("ijbc_1N_gallery_G1.csv", "SIGHTING_ID", "SIGHT", "has no column MEDIA_ID or SIGHTING_ID"),
        ("ijbc_1N_probe_mixed.csv", "5,10", "5,99", "no probe shows a subject of the gallery G1"),
        ("ijbc_11_G1_G2_matches.csv", "3,6", "3,7", "line 4: names template 7, which no list has"),
        ("ijbc_11_G1_G2_matches.csv", "3,6", "3 6", "line 4: found '3 6', expected: template,template"),
        ("ijbc_11_G1_G2_matches.csv", "1,4\n2,4\n3,6\n3,5\n", "", "1 pairs of the same person and 0 of two"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    place = write_nist(tmp_path) / name
    assert old in place.read_text()
    place.write_text(place.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read_ijb(tmp_path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has neither ijbc_1N_gallery_G1\.csv nor ijbc_face_tid_mid\.txt"):
        read_ijb(tmp_path)
    (write_nist(tmp_path) / "ijbc_1N_probe_mixed.csv").unlink()
    with pytest.raises(DataError, match=r"ijbc_1N_probe_mixed\.csv: not there"):
        read_ijb(tmp_path)
    write_nist(tmp_path)
    crops = write_crops(tmp_path) / "ijbc_face_tid_mid.txt"
    crops.write_text("1.jpg 1 100\n")
    with pytest.raises(DataError, match="template 2 has no crop"):
        read_ijb(tmp_path)
    crops.write_text("1.jpg one 100\n")
    with pytest.raises(DataError, match=r"line 1: found '1\.jpg one 100', expected: crop template medium"):
        read_ijb(tmp_path)
    with pytest.raises(DataError, match="the benchmark 'ijba' is unknown"):
        read_ijb(tmp_path, "ijba")  # pyright: ignore[reportArgumentType]


def synthetic(people: int, seed: int) -> tuple[Protocol, dict[str, np.ndarray]]:
    """IJB's form of so many people, half in each gallery, and a noisy vector of each template."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((people, 48))
    vectors: dict[str, np.ndarray] = {}

    def templates(prefix: str, chosen: range, each: int) -> TemplateList:
        keys = [f"{prefix}{person}.{number}" for person in chosen for number in range(each)]
        whose = [str(person) for person in chosen for _ in range(each)]
        made = TemplateList.of_photos(keys, whose)
        noise = rng.standard_normal((len(keys), 48)) * rng.uniform(0.4, 2, (len(keys), 1))
        vectors.update(zip(keys, pool(made, means[list(map(int, whose))] + noise), strict=True))
        return made

    first, second = range(people // 2), range(people // 2, people)
    lists = {
        "G1": templates("g", first, 1),
        "G2": templates("g", second, 1),
        "probes_G1": templates("p", first, 3),
        "probes_G2": templates("p", second, 3),
    }
    searches = {
        "G1": SearchSet(("G1",), ("probes_G1",), ("probes_G2",)),
        "G2": SearchSet(("G2",), ("probes_G2",), ("probes_G1",)),
    }
    return Protocol("synthetic", Source("lists", "", 0, people), lists, searches), vectors


def stacked(templates: TemplateList, vectors: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([vectors[name] for name in templates.names])


def by_the_standard(made: Protocol, vectors: dict[str, np.ndarray], target: float) -> float:
    """Every probe searched in each gallery, the two figures averaged."""
    rates = []
    for name in made.searches:
        gallery = made.part(name, "gallery")
        probes = TemplateList.join([made.part(name, "mated"), made.part(name, "strangers")])
        similarities = stacked(probes, vectors) @ stacked(gallery, vectors).T
        scores, people = fuse_templates(similarities, np.array(gallery.people))
        searches = Searches.from_scores(scores, people, np.array(probes.people))
        assert len(searches.nonmated_maxima) == len(made.part(name, "strangers"))
        rates.append(tpir_at_fpir(searches, target).tpir)
    return float(np.mean(rates))


def usual_recall(scores: np.ndarray, own: np.ndarray, target: float) -> float:
    """As InsightFace's ijb_1n.py has it: the ceil(Q · FAR)-th highest wrong score, Q probes, and no rank."""
    wrong = np.sort(scores[~own])[::-1]
    threshold = wrong[math.ceil(target * len(scores)) - 1]
    return float((scores[own] > threshold).mean())


def by_the_usual_script(made: Protocol, vectors: dict[str, np.ndarray], target: float) -> float:
    """One gallery of both, in which every probe is mated."""
    gallery, probes = made.joined(("G1", "G2")), made.joined(("probes_G1", "probes_G2"))
    own = np.array(probes.people)[:, None] == np.array(gallery.people)
    assert own.any(axis=1).all()  # no probe is left that nobody should find
    return usual_recall(stacked(probes, vectors) @ stacked(gallery, vectors).T, own, target)


@pytest.mark.parametrize(("target", "of_the_script"), [(0.01, 0.2866666667), (0.1, 0.4366666667)])
def test_the_usual_script_measures_something_else(target: float, of_the_script: float) -> None:
    """The script's figures are what its own function `evaluation` printed for these vectors."""
    made, vectors = synthetic(200, seed=0)
    usual = by_the_usual_script(made, vectors, target)
    assert usual == pytest.approx(of_the_script, abs=1 / 600 + 1e-9)  # one of 600 probes, where sums round otherwise
    assert by_the_standard(made, vectors, target) - usual > 0.01


def test_both_recipes_by_hand() -> None:
    """Two people in each gallery, one probe each, and every score written down.

    In G1 the strangers' best scores are .5 and .7; at an FPIR of 1/2 the threshold lies just above .5, which finds
    both mates (.9, .6). In G2 they are .8 and .1: at 1/2 just above .1, which finds one mate: the other's (.4) is
    beaten by a wrong name (.45). The mean is 3/4. The script takes the second highest of the 12 wrong pairs of its four
    probes, .7; two of the four own scores are above it.
    """
    people = ["a", "b", "c", "d"]  # a, b in G1; c, d in G2
    scores = np.array(
        [
            [0.9, 0.2, 0.8, 0.3],
            [0.1, 0.6, 0.05, 0.1],
            [0.5, 0.4, 0.9, 0.1],
            [0.7, 0.0, 0.45, 0.4],
        ]
    )
    rates = [
        tpir_at_fpir(Searches.from_scores(scores[:, half], people[half], people), 0.5).tpir
        for half in (slice(0, 2), slice(2, 4))
    ]
    assert rates == [1, 0.5]
    assert usual_recall(scores, np.eye(4, dtype=bool), 0.5) == 0.5
