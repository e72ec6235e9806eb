"""The lists of IJB-B and IJB-C: 1:N in two galleries, 1:1 by template pairs.

Their files as NIST hands them out (IJB-C; in IJB-B the galleries are called S1 and S2):

    ijbc_1N_gallery_G1.csv, ijbc_1N_gallery_G2.csv, ijbc_1N_probe_mixed.csv
                                   TEMPLATE_ID,SUBJECT_ID,FILENAME,…,FACE_X,FACE_Y,FACE_WIDTH,FACE_HEIGHT,…
    ijbc_11_G1_G2_matches.csv      template,template, without a first line of names

and as InsightFace hands them out beside crops of the faces, in ``meta``: the same three of 1:N, and

    ijbc_face_tid_mid.txt          crop template medium
    ijbc_template_pair_label.txt   template template 1, or 0 for two people

Where the second kind is there, images are those crops; else they are FILENAME#x,y,width,height, since a photo may show
several people. Images of one medium, the frames of a video, are pooled before media are, see ``pooling``.

1:N is two measurements. No person is in both galleries, and all probes are searched in G1 and then all in G2: the
probes of people of the other gallery are the strangers. So there are two search sets, G1 and G2, and the figure is the
mean of both. The script in common use (InsightFace's ijb_1n.py, and those copied from it) searches one gallery made of
both: then every probe is mated and no stranger is left. It takes the threshold from the wrong pairs of mated probes,
the ceil(Q · FAR)-th highest of them all with Q probes, so that one probe with many high wrong scores counts many times;
it asks for no rank, and its gallery is twice as large. Its figures are not FPIR and TPIR, and do not compare with the
standard's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols._ijb_files import Images, columns, digest_of, read_crops, read_table
from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.records import PairSet, Protocol, SearchSet, Source
from facerec_oltr.protocols.templates import TemplateList

Benchmark = Literal["ijbb", "ijbc"]
GALLERIES = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}
_BLOCK = 1 << 16


def read_ijb(folder: str | Path, benchmark: Benchmark = "ijbc") -> Protocol:
    """What the folder has of 1:N and 1:1.

    Args:
        folder: NIST's ``protocols``, or InsightFace's ``meta``.
        benchmark: whose files: ``ijbb`` or ``ijbc``.

    Raises:
        DataError: the folder has neither, or a file of it is missing or broken, or contradicts another.
    """
    folder = Path(folder)
    if benchmark not in get_args(Benchmark):
        raise DataError(f"the benchmark {benchmark!r} is unknown, expected one of: {', '.join(get_args(Benchmark))}")
    one, other = GALLERIES[benchmark]
    tables = {name: folder / f"{benchmark}_1N_{rest}.csv" for name, rest in _tables(one, other).items()}
    crops, labels = folder / f"{benchmark}_face_tid_mid.txt", folder / f"{benchmark}_template_pair_label.txt"
    matches = folder / f"{benchmark}_11_{one}_{other}_matches.csv"
    files = [path for path in (*tables.values(), crops, labels, matches) if path.is_file()]
    has_searches = any(path.is_file() for path in tables.values())
    if not has_searches and not (crops.is_file() and labels.is_file()):
        raise DataError(
            f"{folder}: has neither {tables[one].name} nor {crops.name} and {labels.name}; give the folder of "
            f"{benchmark}'s lists, called protocols or meta"
        )
    of_crop = read_crops(crops) if crops.is_file() else None
    lists: dict[str, TemplateList] = {}
    searches: dict[str, SearchSet] = {}
    if has_searches:
        subjects = {name: read_table(path, of_crop) for name, path in tables.items()}
        lists, searches = _searches({name: _list(*found) for name, found in subjects.items()}, one, other)
    pair_file = labels if labels.is_file() else matches
    pairs: dict[str, PairSet] = {}
    if pair_file.is_file():
        if of_crop is not None:
            lists |= _rest(of_crop, lists)
        pairs["1_1"] = _read_pair_file(pair_file, lists, delimiter=" " if pair_file == labels else ",")
    used = {image for templates in lists.values() for image in templates.images}
    people = {person for templates in lists.values() for person in templates.people} - {""}
    return check_protocol(
        Protocol(
            benchmark,
            Source("lists", digest_of(files), len(used), len(people)),
            lists,
            searches,
            pairs,
            made_by="facerec protocol ijb",
            choices={"files": [path.name for path in files]},
        )
    )


def _tables(one: str, other: str) -> dict[str, str]:
    return {one: f"gallery_{one}", other: f"gallery_{other}", "probes": "probe_mixed"}


def _searches(
    found: dict[str, TemplateList], one: str, other: str
) -> tuple[dict[str, TemplateList], dict[str, SearchSet]]:
    """The probes by the gallery that their person is in, and the two search sets."""
    both = set(found[one].people) & set(found[other].people)
    if both:
        raise DataError(
            f"subject {min(both)} is in the galleries {one} and {other}, expected one of them; get the lists"
        )
    probes = found["probes"]
    lists = {one: found[one], other: found[other]}
    neither = np.ones(len(probes), bool)
    for gallery in (one, other):
        enrolled = set(found[gallery].people)
        inside = np.array([person in enrolled for person in probes.people], bool)
        if not inside.any():
            raise DataError(f"no probe shows a subject of the gallery {gallery}, expected some; get the lists again")
        lists[f"probes_{gallery}"] = probes.take(np.flatnonzero(inside))
        neither &= ~inside
    outside: tuple[str, ...] = ()
    if neither.any():
        lists["probes_of_nobody"] = probes.take(np.flatnonzero(neither))
        outside = ("probes_of_nobody",)
    return lists, {
        gallery: SearchSet((gallery,), (f"probes_{gallery}",), (f"probes_{opposite}", *outside))
        for gallery, opposite in ((one, other), (other, one))
    }


def _list(images: Images, subjects: Mapping[str, str]) -> TemplateList:
    """Templates whose media are numbered in the order in which they come, the images of each together."""
    names, people, keys, media, starts = [], [], [], [], [0]
    for template, members in images.items():
        of_medium: dict[str, list[str]] = {}
        for image, medium in members:
            of_medium.setdefault(medium, []).append(image)
        for number, frames in enumerate(of_medium.values()):
            keys += frames
            media += [number] * len(frames)
        names.append(template)
        people.append(subjects.get(template, ""))
        starts.append(len(keys))
    count = len(keys)
    return TemplateList(
        tuple(names), tuple(people), tuple(keys), ("",) * count, np.array(media, np.int64), np.array(starts, np.int64)
    )


def _rest(of_crop: Images, lists: Mapping[str, TemplateList]) -> dict[str, TemplateList]:
    """The templates that no list of 1:N has; whose they are, nothing says."""
    listed = {name for templates in lists.values() for name in templates.names}
    rest = {template: members for template, members in of_crop.items() if template not in listed}
    return {"others" if lists else "templates": _list(rest, {})} if rest else {}


def _read_pair_file(path: Path, lists: Mapping[str, TemplateList], *, delimiter: str) -> PairSet:
    """Pairs with a label, or pairs alone, which are of the same person where their subjects are."""
    joined = TemplateList.join(lists.values())
    places = {name: place for place, name in enumerate(joined.names)}
    with_label = delimiter == " "
    blocks = [np.empty((0, 3), np.int64)]
    block: list[tuple[int, int, int]] = []
    for number, fields in columns(path, delimiter):
        if len(fields) != 2 + with_label or (with_label and fields[2] not in ("0", "1")):
            expected = "template template 1 or 0" if with_label else "template,template"
            raise DataError(f"{path}: line {number:,}: found {delimiter.join(fields)[:60]!r}, expected: {expected}")
        if unknown := [name for name in fields[:2] if name not in places]:
            raise DataError(
                f"{path}: line {number:,}: names template {unknown[0]}, which no list has; get the lists again"
            )
        one, other = places[fields[0]], places[fields[1]]
        same = fields[2] == "1" if with_label else joined.people[one] == joined.people[other]
        block.append((one, other, int(same)))
        if len(block) == _BLOCK:
            blocks.append(np.array(block, np.int64))
            block.clear()
    first, second, same = np.concatenate([*blocks, np.array(block, np.int64).reshape(-1, 3)]).T
    return PairSet(tuple(lists), first, second, same == 1, np.zeros(len(same), np.int64))
