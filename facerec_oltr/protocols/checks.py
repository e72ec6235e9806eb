"""All that must hold of a protocol's lists before anything is measured by them.

What each check keeps out: a stranger who is enrolled counts each correct find as a false alarm; a calibration person
who is tested flatters the threshold; a photo that is enrolled and searched finds itself, under the same name or as the
same bytes under another; a photo under two people's names is wrong for one of them.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from facerec_oltr.errors import DataError
from facerec_oltr.protocols._set_checks import SearchCheck, check_pairs, first_repeat
from facerec_oltr.protocols.lists import UNKNOWN
from facerec_oltr.protocols.records import Protocol
from facerec_oltr.protocols.templates import TemplateList

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What a list, a search set and a pair set may be called: lists are names of files."""
RESERVED = frozenset({"training", "trained_on"})
_BREAK = re.compile("[\t\n\r]")
_DIGEST = re.compile("[0-9a-f]{64}")

Where = Callable[[str], str]


def check_protocol(protocol: Protocol, folder: Path | None = None) -> Protocol:
    """The same protocol, once all of its lists are known to be right.

    Args:
        protocol: as it was drawn or read.
        folder: where it was read from, for messages.

    Raises:
        DataError: what is wrong first, in which list, and with which template.
    """

    def where(name: str) -> str:
        return f"list {name}" if folder is None else f"{folder / name}.tsv"

    subject = protocol.name if folder is None else str(folder)
    used = {name for searches in protocol.searches.values() for part in searches for name in part}
    used |= {name for pairs in protocol.pairs.values() for name in pairs.lists}
    if not used:
        raise DataError(f"{subject}: has no search set and no pair set, expected one at least")
    for name in (*protocol.lists, *protocol.searches, *protocol.pairs):
        if not NAME.fullmatch(name) or name in RESERVED:
            raise DataError(f"{subject}: {name!r} cannot be the name of a list or a set; use letters, digits, _ . -")
    if missing := sorted(used - set(protocol.lists)):
        raise DataError(f"{subject}: a set names the list {missing[0]!r}, but there is none; found {_some(used)}")
    if idle := sorted(set(protocol.lists) - used):
        raise DataError(f"{where(idle[0])}: plays no part in any set; name it in a set, or remove it")
    for name, templates in protocol.lists.items():
        _check_list(templates, where(name))
    _check_between(protocol.lists, where)
    for name, searches in protocol.searches.items():
        SearchCheck(protocol, name, searches, subject).run()
    for person, images in protocol.training_images.items():
        if not person or _BREAK.search(person) or images < 1:
            raise DataError(
                f"{subject}: the trained person {person!r} has {images} images, expected a name without tab or line "
                "break and one image or more"
            )
    if protocol.trained_on is not None:
        _check_trained_on(protocol, protocol.trained_on, where("trained_on"))
    for name, pairs in protocol.pairs.items():
        check_pairs(pairs, protocol.joined(pairs.lists), f"{subject}: pair set {name}")
    return protocol


def _check_list(templates: TemplateList, where: str) -> None:
    if not len(templates):
        raise DataError(f"{where}: is empty, expected one template or more; leave the list out where nobody is meant")
    if len(set(templates.names)) < len(templates):
        raise DataError(f"{where}: template {first_repeat(templates.names)!r} is listed twice, expected each once")
    lengths = np.diff(templates.starts)
    if not (lengths > 0).all():
        name = templates.names[int(np.flatnonzero(lengths <= 0)[0])]
        raise DataError(f"{where}: template {name!r} has no image, expected one or more; leave the template out")
    owners = templates.owners
    steps = np.diff(templates.media, prepend=-1)
    is_first = np.diff(owners, prepend=-1) != 0
    wrong = np.where(is_first, templates.media != 0, (steps != 0) & (steps != 1))
    if wrong.any():
        name = templates.names[int(owners[np.flatnonzero(wrong)[0]])]
        raise DataError(
            f"{where}: template {name!r}: expected its media numbered 0, 1, 2 …, the images of each together"
        )
    for text in (*templates.names, *templates.images):
        if not text or _BREAK.search(text):
            raise DataError(f"{where}: found the name {text!r}, expected one without tab or line break; rename it")
    for person in set(templates.people):
        if person == UNKNOWN or _BREAK.search(person):
            raise DataError(
                f"{where}: found the person {person!r}, expected a name without tab or line break; rename it"
            )
    for image, digest in zip(templates.images, templates.sha256, strict=True):
        if digest and not _DIGEST.fullmatch(digest):
            raise DataError(f"{where}: image {image!r}: found the hash {digest[:20]!r}, expected 64 hexadecimal digits")
    seen = set()
    for owner, image in zip(owners.tolist(), templates.images, strict=True):
        if (owner, image) in seen:
            raise DataError(f"{where}: template {templates.names[owner]!r} has image {image!r} twice, expected it once")
        seen.add((owner, image))


def _check_between(lists: Mapping[str, TemplateList], where: Where) -> None:
    """One meaning a template name, one person and one content an image, one name a content, in all lists together."""
    templates_seen: dict[str, tuple[str, tuple[str, ...], str]] = {}
    images_seen: dict[str, tuple[str, str, str]] = {}
    contents_seen: dict[str, tuple[str, str]] = {}
    for list_name, templates in lists.items():
        place = where(list_name)
        for name, person, start, end in zip(
            templates.names,
            templates.people,
            templates.starts[:-1].tolist(),
            templates.starts[1:].tolist(),
            strict=True,
        ):
            meaning = person, templates.images[start:end]
            before = templates_seen.setdefault(name, (*meaning, list_name))
            if before[1] != meaning[1]:
                raise DataError(
                    f"{place}: template {name!r} has other images than in list {before[2]}, expected different names; "
                    "rename one of them"
                )
            if before[0] != person:
                raise DataError(
                    f"{place}: template {name!r} is of {person or UNKNOWN!r}, but of {before[0] or UNKNOWN!r} in list "
                    f"{before[2]}, expected one person; correct one of the lists"
                )
            for image, digest in zip(meaning[1], templates.sha256[start:end], strict=True):
                was, hashed, first_list = images_seen.setdefault(image, (person, digest, list_name))
                if was != person:
                    raise DataError(
                        f"{place}: image {image!r} is of {person!r}, but of {was!r} in list {first_list}, expected one "
                        "person; correct one of the lists"
                    )
                if hashed != digest:
                    raise DataError(
                        f"{place}: image {image!r} has another hash than in list {first_list}, expected the same; "
                        "draw the protocol anew"
                    )
                if digest:
                    other, other_list = contents_seen.setdefault(digest, (image, list_name))
                    if other != image:
                        raise DataError(
                            f"{place}: image {image!r} has the same content as {other!r} of list {other_list}, "
                            "expected each photo once; leave one of them out"
                        )


def _check_trained_on(protocol: Protocol, trained_on: TemplateList, where: str) -> None:
    """As many images of each person as are said, and none of them searched."""
    _check_list(trained_on, where)
    counts = Counter(trained_on.people)
    if protocol.training_images and counts != protocol.training_images:
        astray = counts.keys() ^ protocol.training_images.keys()
        person = min(astray or (one for one in counts if counts[one] != protocol.training_images[one]))
        raise DataError(
            f"{where}: has {counts[person]:,} images of {person!r}, but that person's training images are counted as "
            f"{protocol.training_images.get(person, 0):,}, expected as many; make the protocol anew"
        )
    whose = dict(zip(trained_on.images, trained_on.people, strict=True))
    searched = dict.fromkeys(
        name for parts in protocol.searches.values() for name in (*parts.mated, *parts.strangers, *parts.calibration)
    )
    for name, templates in protocol.lists.items():
        for owner, image in zip(templates.owners.tolist(), templates.images, strict=True):
            if image not in whose:
                continue
            if name in searched:
                raise DataError(
                    f"{where}: image {image!r} was trained on, and is searched in list {name}, expected one of both; "
                    "leave it out there"
                )
            if whose[image] != templates.people[owner]:
                raise DataError(
                    f"{where}: image {image!r} is of {whose[image] or UNKNOWN!r}, but of "
                    f"{templates.people[owner] or UNKNOWN!r} in list {name}, expected one person; correct one of them"
                )


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:5])
