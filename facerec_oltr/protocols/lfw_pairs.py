"""LFW's list of pairs (``pairs.txt``) and its photos → a pair set of ten folds.

A template is one photo, however many pairs it stands in.
"""

import hashlib
from pathlib import Path

import numpy as np

from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.photos import Progress, file_hashes, quiet
from facerec_oltr.protocols.records import PairSet, Protocol, Source
from facerec_oltr.protocols.templates import TemplateList
from recordio_tools.pair_list import find_photo, read_pair_list

_LIST = "photos"


def read_lfw_pairs(pair_list: str | Path, root: str | Path, progress: Progress = quiet) -> Protocol:
    """The pairs, with the photos that they name.

    Args:
        pair_list: ``pairs.txt``, or another list in its format.
        root: one folder of photos a person.
        progress: called with (photos read, photos in all).

    Raises:
        SourceError: the list or a photo is missing or broken.
        DataError: the list contradicts itself.
    """
    pair_list, root = Path(pair_list), Path(root)
    listed = read_pair_list(pair_list)
    photos = list(dict.fromkeys(listed.photos))
    paths = [find_photo(root, photo, pair_list) for photo in photos]
    keys = [path.relative_to(root).as_posix() for path in paths]
    digests = file_hashes(paths, progress)
    people = [photo.partition("/")[0] for photo in photos]
    places = {photo: place for place, photo in enumerate(photos)}
    pairs = np.array([places[photo] for photo in listed.photos], np.int64).reshape(-1, 2)
    folds = np.repeat(np.arange(listed.folds), len(pairs) // listed.folds)
    known_by = hashlib.sha256("".join(f"{key}\0{digest}\n" for key, digest in zip(keys, digests, strict=True)).encode())
    return check_protocol(
        Protocol(
            pair_list.stem,
            Source("folder", known_by.hexdigest(), len(keys), len(set(people))),
            {_LIST: TemplateList.of_photos(keys, people, digests)},
            pairs={"pairs": PairSet((_LIST,), pairs[:, 0], pairs[:, 1], listed.same, folds)},
            made_by="facerec protocol lfw-pairs",
            choices={"pair_list": pair_list.name, "sha256": hashlib.sha256(pair_list.read_bytes()).hexdigest()},
        )
    )
