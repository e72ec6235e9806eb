"""Whether all of a data set is there: every split opened, every listed image looked for, no image in two splits."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from facerec_oltr.data import DataConfig, ImageFolderConfig, ImageList, ImageListConfig, Split
from facerec_oltr.data._layouts import Layout, relocate
from facerec_oltr.errors import DataError
from recordio_tools.errors import RecordIOError

_BLOCK = 1024  # look-ups between two reports of progress
_THREADS = 16  # a network disk answers many questions at once, each slowly


@dataclass
class Checked:
    """What was found.

    Attributes:
        images: of each split that could be opened.
        missing: images of each split that are missing or empty; only listed images are looked for.
        examples: the first paths that are missing.
        problems: all else that is wrong, one line each.
        advice: what to do next, one line each.
    """

    images: dict[Split, int] = field(default_factory=dict)
    missing: dict[Split, int] = field(default_factory=dict)
    examples: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(self.missing.values())


def check_data(
    config: DataConfig,
    *,
    examples: int = 20,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Checked:
    """Look for all that a data set needs.

    Args:
        config: the data set.
        examples: how many missing paths to give at most.
        on_progress: called with (images looked for, images in all).
    """
    found, lists = Checked(), dict[Split, ImageList]()
    for split in config.splits():
        try:
            listed = isinstance(config, ImageListConfig | ImageFolderConfig)
            data = config.open_list(split) if listed else config.build(split)
        except (DataError, RecordIOError) as error:
            if (line := str(error)) not in found.problems:
                found.problems.append(line)
            continue
        found.images[split] = len(data)
        if isinstance(data, ImageList):
            lists[split] = data
    done, total = 0, sum(map(len, lists.values()))
    for split, data in lists.items():
        found.missing[split] = 0
        for path in _missing(data, lambda n, before=done: on_progress(before + n, total)):
            found.missing[split] += 1
            if len(found.examples) < examples:
                found.examples.append(path)
        done += len(data)
    found.problems += _in_two_splits(lists)
    found.advice += _advice(config, lists, found)
    return found


def _missing(data: ImageList, on_progress: Callable[[int], None]) -> list[Path]:
    missing: list[Path] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(data), _BLOCK):
            positions = range(start, min(start + _BLOCK, len(data)))
            missing += [path for path in pool.map(data.look_for, positions) if path is not None]
            on_progress(positions.stop)
    return missing


def _in_two_splits(lists: dict[Split, ImageList]) -> list[str]:
    problems, seen = list[str](), dict[Path, Split]()
    for split, data in lists.items():
        shared: list[tuple[Path, Split]] = []
        for path in (data.root / path for path in data.paths):
            if path in seen:
                shared.append((path, seen[path]))
            seen[path] = split
        if shared:
            path, other = shared[0]
            problems.append(
                f"{path}: stands in the lists of both {other} and {split} ({len(shared):,} such images); an image that "
                "is trained on or chosen by must not be tested on"
            )
    return problems


def _advice(config: DataConfig, lists: dict[Split, ImageList], found: Checked) -> list[str]:
    """What to do about missing images, and about lists that cannot be opened."""
    if isinstance(config, ImageFolderConfig):
        return [
            f"{split}: {found.missing[split]:,} images are empty or links that lead nowhere; mend or remove them"
            for split in lists
            if found.missing[split]
        ]
    if not isinstance(config, ImageListConfig):
        return []
    advice: list[str] = []
    if any("cannot be read" in problem for problem in found.problems):
        folder = config.lists or config.root
        advice.append(f"put the published lists into {folder}, or say where they are with --set data.lists=FOLDER")
    for split, data in lists.items():
        if not found.missing[split]:
            continue
        layout = _other_layout(config, data)
        key = "open_root" if split.startswith("open") else "root"
        if layout is not None:
            advice.append(f"{split}: the images lie otherwise than its list says: --set data.layout={layout}")
        elif found.missing[split] == len(data):
            advice.append(
                f"{split}: none of its images is under {data.root}; its list calls the first one {data.paths[0]}: "
                f"set data.{key} to the folder in which that is found"
            )
        else:
            advice.append(f"{split}: fetch the {found.missing[split]:,} images that are missing, and check again")
    return advice


def _other_layout(config: ImageListConfig, data: ImageList) -> Layout | None:
    names = config.categories()
    for layout in get_args(Layout):
        if layout == config.layout:
            continue
        try:
            path = relocate(data.paths[0], layout, names, int(data.labels[0]))
        except DataError:
            continue
        if path != data.paths[0] and (data.root / path).is_file():
            return layout
    return None
