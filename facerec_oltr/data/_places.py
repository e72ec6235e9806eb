"""The two ways in which Places365-Standard lies on a disk, and the way from what a list says to either of them.

    easy    train/apartment_building-outdoor/00000001.jpg           val/apartment_building-outdoor/Places365_val_….jpg
    256     data_256/a/apartment_building/outdoor/00000001.jpg      val_256/Places365_val_….jpg

`easy` is what places365standard_easyformat.tar unpacks to, 256 what train_256_places365standard.tar and val_256.tar do.
The lists of Places-LT are in circulation with both kinds of path. A hyphen in a category is a slash in the other
layout; no category's own name has one.
"""

from collections.abc import Mapping
from typing import Literal

from facerec_oltr.errors import DataError

Layout = Literal["as_listed", "places365_easy", "places365_256"]


def category(path: str) -> str | None:
    """The category of a listed image, as the easy layout spells it; None where its path does not tell.

    >>> category("data_256/a/apartment_building/outdoor/00000001.jpg"), category("train/airfield/00000001.jpg")
    ('apartment_building-outdoor', 'airfield')
    """
    folder, *steps, _ = path.split("/")
    if folder == "data_256" and len(steps) > 1:
        return "-".join(steps[1:])
    return steps[0] if folder in ("train", "val") and len(steps) == 1 else None


def relocate(path: str, layout: Layout, names: Mapping[int, str], label: int) -> str:
    """Where a listed image lies in a layout.

    Args:
        path: as listed, in either layout; anything else, such as a stranger's image, stays as it is.
        layout: the one on the disk.
        names: category of each label, for an image whose path does not tell it.
        label: of the image.

    Raises:
        DataError: the category is needed and not known.
    """
    folder, name = path.split("/")[0], path.split("/")[-1]
    training, test = folder in ("train", "data_256"), folder in ("val", "val_256")
    if layout == "as_listed" or not (training or test):
        return path
    if layout == "places365_256" and test:
        return f"val_256/{name}"
    kind = category(path) or names.get(label)
    if kind is None:
        raise DataError(
            f"{path}: neither its path nor the training list tells the category of label {label}, which the layout "
            f"{layout!r} needs; set layout = 'as_listed' or 'places365_256'"
        )
    if layout == "places365_easy":
        return f"{'train' if training else 'val'}/{kind}/{name}"
    return f"data_256/{kind[0]}/{kind.replace('-', '/')}/{name}"
