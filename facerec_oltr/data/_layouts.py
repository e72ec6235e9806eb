"""The ways in which Places365 and ImageNet lie on a disk, and the way from what a list says to each of them.

    by_class        train/atrium-public/00000001.jpg         val/atrium-public/Places365_val_00000435.jpg
                    train/n01440764/n01440764_190.JPEG       val/n01440764/ILSVRC2012_val_00000293.JPEG
    places365_256   data_256/a/atrium/public/00000001.jpg    val_256/Places365_val_00000435.jpg
    flat_val        train/n01440764/n01440764_190.JPEG       val/ILSVRC2012_val_00000293.JPEG

Places365 unpacks from its "easy format" by class, from its archives of 256 pixels as places365_256. ImageNet's
validation images unpack flat, and nearly everybody sorts them by class. Lists of Places-LT and ImageNet-LT are in
circulation with either kind of path. A hyphen in a category of Places365 is a slash in the other layout; no category's
own name has one.
"""

from collections.abc import Mapping
from typing import Literal

from facerec_oltr.errors import DataError

Layout = Literal["as_listed", "by_class", "places365_256", "flat_val"]


def category(path: str) -> str | None:
    """The category of a listed image, as the layout by class spells it; None where its path does not tell.

    >>> category("data_256/a/apartment_building/outdoor/00000001.jpg"), category("train/airfield/00000001.jpg")
    ('apartment_building-outdoor', 'airfield')
    """
    folder, *steps = path.split("/")[:-1] or [""]
    if folder == "data_256" and len(steps) > 1:
        return "-".join(steps[1:])
    return steps[0] if folder in ("train", "val") and len(steps) == 1 else None


def relocate(path: str, layout: Layout, names: Mapping[int, str], label: int) -> str:
    """Where a listed image lies in a layout.

    Args:
        path: as listed, in any of them; anything else, such as a stranger's image, stays as it is.
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
    if layout == "flat_val":
        return f"val/{name}" if test else path
    if layout == "places365_256" and test:
        return f"val_256/{name}"
    kind = category(path) or names.get(label)
    if kind is None:
        raise DataError(
            f"{path}: neither its path nor the training list tells the category of label {label}, which the layout "
            f"{layout!r} needs; set data.layout to another"
        )
    if layout == "by_class":
        return f"{'train' if training else 'val'}/{kind}/{name}"
    return f"data_256/{kind[0]}/{kind.replace('-', '/')}/{name}"
