"""Each thing that must hold of the lists, broken once."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from facerec_oltr.errors import DataError
from facerec_oltr.protocols import Protocol, SearchSet, TemplateList, check_protocol

from .conftest import lists, photos, protocol


def copied(templates: TemplateList, key: str) -> TemplateList:
    """The same list, its last image with the bytes of another."""
    return replace(templates, sha256=(*templates.sha256[:-1], hashlib.sha256(key.encode()).hexdigest()))


def search(**parts: tuple[str, ...]) -> dict[str, SearchSet]:
    """A search set in which parts are changed."""
    return {"open": SearchSet(**({part: (part,) for part in lists()} | parts))}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an enrolled stranger": (
        {"templates": lists(strangers=["cem/0", "bob/9"])},
        "search set open: 'bob' is in strangers and in gallery, expected different people: a stranger is not enrolled",
    ),
    "two enrolled strangers": (
        {"templates": lists(strangers=["ann/9", "bob/9"])},
        "'ann' is in strangers and in gallery (and 1 more)",
    ),
    "a stranger among the distractors": (
        {"templates": lists(distractors=["cem/4"])},
        "'cem' is in strangers and in distractors",
    ),
    "a mate among the distractors": (
        {"templates": lists(distractors=["bob/4"])},
        "'bob' is in distractors and in gallery",
    ),
    "calibration by the enrolled": (
        {"templates": lists(calibration=["ann/8"])},
        "'ann' is in calibration and in gallery, expected different people: the threshold is chosen by other people",
    ),
    "calibration by the strangers": (
        {"templates": lists(calibration=["cem/8"])},
        "'cem' is in calibration and in strangers",
    ),
    "calibration by distractors": (
        {"templates": lists(calibration=["eve/8"])},
        "'eve' is in calibration and in distractors",
    ),
    "a mate nobody enrolled": (
        {"templates": lists(mated=["ann/2", "fay/0"])},
        "'fay' is searched as mated but is not in the gallery; enrol them, or move their probes to strangers",
    ),
    "a photo that finds itself": (
        {"templates": lists(mated=["ann/2", "ann/1"])},
        "image 'ann/1' is enrolled and is searched in mated too, expected one of both, since it would find itself",
    ),
    "the same content under two names": (
        {"templates": lists(mated=copied(photos("ann/2", "ann/7"), "ann/1"))},
        "list mated: image 'ann/7' has the same content as 'ann/1' of list gallery, expected each photo once",
    ),
    "the same content of two people": (
        {"templates": lists(strangers=copied(photos("cem/0"), "dia/1"))},
        "image 'dia/1' has the same content as 'cem/0' of list strangers",
    ),
    "two contents of one image": (
        {
            "templates": lists(mated=["ann/2"], gallery=["ann/0", "bob/0"]) | {"again": copied(photos("ann/2"), "x")},
            "searches": search(mated=("mated", "again")),
        },
        "list again: image 'ann/2' has another hash than in list mated",
    ),
    "a template name with two meanings": (
        {"templates": lists(strangers=replace(photos("cem/0"), names=("ann/2",)))},
        "list strangers: template 'ann/2' has other images than in list mated",
    ),
    "a template twice": (
        {"templates": lists(mated=["ann/2", "ann/2"])},
        "list mated: template 'ann/2' is listed twice",
    ),
    "a list of nobody": (
        {"templates": lists(strangers=[])},
        "list strangers: is empty, expected one template or more",
    ),
    "a list without a part": (
        {"searches": search(strangers=())},
        "list strangers: plays no part in any set",
    ),
    "a list named twice": (
        {"searches": search(strangers=("strangers", "strangers"))},
        "its part strangers names a list twice",
    ),
    "no gallery": (
        {"searches": search(gallery=(), distractors=("distractors", "gallery"))},
        "its part gallery is empty",
    ),
    "no mated probe": (
        {"searches": search(mated=(), strangers=("strangers", "mated"))},
        "its part mated is empty",
    ),
    "no set": (
        {"searches": {}},
        "small: has no search set and no pair set",
    ),
    "a list that is no file name": (
        {
            "templates": lists() | {"a/b": photos("x/0")},
            "searches": search(strangers=("a/b", "strangers")),
        },
        "'a/b' cannot be the name of a list",
    ),
    "a name with a tab": (
        {"templates": lists(strangers=["cem/0\t"])},
        "expected one without tab or line break",
    ),
    "a person called -": (
        {"templates": lists(strangers=["-/0"])},
        "found the person '-', expected a name",
    ),
    "a template without images": (
        {"templates": lists(strangers=replace(photos("cem/0", "cem/1"), starts=np.array([0, 2, 2])))},
        "template 'cem/1' has no image",
    ),
}


def build(templates: dict[str, TemplateList] | None = None, **changed: Any) -> Protocol:
    found = lists() if templates is None else templates
    return protocol(found, **changed)


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case: str) -> None:
    changed, message = WRONG[case]
    with pytest.raises(DataError) as error:
        check_protocol(build(**changed))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_right_passes() -> None:
    assert check_protocol(protocol()).name == "small"
    shared = protocol(  # the lists of two sets may be the same, and one may lack strangers: a closed set
        searches={"C": SearchSet(("gallery",), ("mated",)), "O": SearchSet(**{part: (part,) for part in lists()})}
    )
    assert check_protocol(shared) is shared
    nobody_knows = replace(photos("f/1", hashed=False), people=("",))
    assert check_protocol(protocol(lists(distractors=nobody_knows)))


def test_two_templates_of_a_probe_may_share_an_image() -> None:
    one, other = photos("ann/2"), replace(photos("ann/2"), names=("again",))
    assert check_protocol(protocol(lists(mated=TemplateList.join([one, other]))))
