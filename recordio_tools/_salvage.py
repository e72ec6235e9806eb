"""How `repair` saves a face set, and how it says what could not be saved."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from recordio_tools import framing
from recordio_tools.checks.contents import (
    IdentityLabels,
    Teller,
    check_images,
    check_labels,
    check_ranges,
    range_bounds,
)
from recordio_tools.checks.findings import Finding, Findings
from recordio_tools.checks.lines import Lines
from recordio_tools.checks.loose_index import positions_of
from recordio_tools.checks.neighbours import image_keys, read_property_of
from recordio_tools.checks.roles import Roles, assign_roles
from recordio_tools.checks.sniff import State
from recordio_tools.checks.survey import Survey
from recordio_tools.errors import SourceError
from recordio_tools.header import HEADER
from recordio_tools.images import decode_rgb
from recordio_tools.index import Int64s
from recordio_tools.set_writer import SetWriter, new_set, write_manifest

SAVED_STATES = (State.FINE, State.UNKNOWN, State.LARGE)


@dataclass(frozen=True, slots=True)
class Lost:
    """A record that could not be saved: its key and place in the source, as far as they are known, and why."""

    key: int | None
    offset: int | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class SavedSet:
    """What `salvage_set` did; see `repair.Repaired`."""

    images: int
    identities: int
    lost: tuple[Lost, ...]
    lost_total: int
    relabelled: int
    doubtful: int


def list_lost(
    found: Survey, findings: Findings, expected: Int64s, dropped: NDArray[np.bool_], limit: int
) -> tuple[tuple[Lost, ...], int]:
    """The first `limit` records that are not saved, and how many there are.

    They are the whole records in `dropped`, the keys of `expected` that no whole record has, and the faults of
    the framing at places to which no key points.
    """
    damages = [finding for finding in findings.kept if finding.severity == "damage"]
    at = {finding.offset: finding for finding in reversed(damages) if finding.offset is not None}
    of = {finding.key: finding for finding in reversed(damages) if finding.key is not None}
    places = np.flatnonzero(dropped)
    mine = np.unique(found.keys)
    missing = expected[positions_of(expected, mine) < 0]
    nameless = [one for one in damages if one.code.startswith("framing.") and one.key is None]
    lost = [
        _lost(None if found.keys[place] < 0 else int(found.keys[place]), int(found.table.offsets[place]), at)
        for place in places[:limit].tolist()
    ]
    lost += [_lost(key, None, of) for key in missing[:limit].tolist()]
    lost += [Lost(None, one.offset, one.code, one.message) for one in nameless]
    return tuple(lost[:limit]), len(places) + len(missing) + found.nameless


def _lost(key: int | None, offset: int | None, known: dict[int, Finding]) -> Lost:
    finding = known.get(key if offset is None and key is not None else offset or 0)
    if finding is None:
        return Lost(key, offset, "record.lost", "no whole record of this key is left")
    return Lost(key, offset if offset is not None else finding.offset, finding.code, finding.message)


def salvage_set(
    found: Survey,
    findings: Findings,
    source: str,
    out: Path,
    limit: int,
    *,
    force: bool,
    progress: Callable[[int], None],
) -> SavedSet:
    """Write the whole images of `found` as the face set `out`; see `repair` for what is kept and how.

    Args:
        found: The source.
        findings: What is known to be wrong with it; its contents are checked here.
        source: The source's name as it was given, for the manifest.
        out: The set's folder.
        limit: How many lost records are listed.
        force: Replace `out` if this package wrote it.
        progress: Called with the bytes of the source that correspond to the work done.
    """
    if out.suffix == ".rec":
        raise SourceError(f"{found.rec}: is a face set's, expected OUT to be a folder; give it a name without .rec")
    said = read_property_of(found.rec, findings, needed=False)
    roles = assign_roles(found)
    tell = Teller(found, findings)
    check_images(tell, roles, None)
    check_ranges(tell, roles)
    most = check_labels(tell, roles, None if said is None else said.classes)
    labels, relabelled = _restored_labels(found, roles, most)
    saved = np.isin(found.table.states, SAVED_STATES) & ~roles.ranges & (labels >= 0)
    if said is not None:
        saved &= _believable(labels, saved, said.classes)
    order = np.flatnonzero(saved)
    order = order[np.argsort(labels[order], kind="stable")]
    if not len(order):
        raise SourceError(f"{found.rec}: no whole image in it; nothing can be saved")
    classes = max(int(labels[order[-1]]) + 1, 0 if said is None else said.classes)
    size = _size_of(found, order) if said is None else (said.height, said.width)
    dropped = (roles.images | ~found.table.with_header()) & ~saved
    lost, lost_total = list_lost(found, findings, _expected(found, roles), dropped, limit)
    doubtful = (most.expected >= 0) & saved & (labels != most.expected)
    result = SavedSet(
        len(order),
        len(np.unique(labels[order])),
        lost,
        lost_total,
        int(np.count_nonzero(relabelled & saved)),
        int(np.count_nonzero(doubtful)),
    )
    with new_set(out, force=force) as folder:
        with SetWriter(folder, *size, classes=classes) as writer:
            _write(found, roles, writer, order, labels, progress)
        write_manifest(folder, {**_manifest_head(source), "classes": classes, **asdict(result)})
    return result


def _manifest_head(source: str) -> dict[str, object]:
    return {"format": "recordio_tools face set", "version": 1, "made_by": "recordio repair", "source": source}


def _write(
    found: Survey, roles: Roles, writer: SetWriter, order: Int64s, labels: Int64s, progress: Callable[[int], None]
) -> None:
    sources = _Sources(found, roles, order, labels)
    for number, place in enumerate(order.tolist(), 1):
        payload, _ = framing.decode(found.buffer, int(found.table.offsets[place]))
        flag = int(found.table.flags[place])
        end = HEADER.size + 4 * flag
        more = np.frombuffer(payload, "<f4", flag, HEADER.size)[1:].tolist() if flag > 1 else (1.0,)
        label = int(labels[place])
        writer.add(label, payload[end:], sources.of(place, label), more)
        progress(len(found.buffer) * number // len(order))


def _restored_labels(found: Survey, roles: Roles, most: IdentityLabels) -> tuple[Int64s, NDArray[np.bool_]]:
    """The label of each record, -1 where it has none, and which of them are not its own.

    An image gets the label of more than half of its identity's images where the identity's range fits its
    neighbours' and index and header agree on the image's key; else nobody can say which of them is wrong.
    """
    own = np.where(found.table.whole_labels(), found.table.labels[:, 0], -1).astype(np.int64)
    changed = np.zeros(len(own), bool)
    if roles.bounds is None or roles.rounded:
        return own, changed
    starts, ends, labels = _sound_identities(found, roles, most, roles.bounds[0])
    certain = found.table.ids == found.keys.astype(np.uint64)
    inside = np.flatnonzero(roles.images & certain & (found.keys >= 1))
    identity = np.searchsorted(starts, found.keys[inside], "right") - 1
    inside = inside[(identity >= 0) & (found.keys[inside] < np.append(ends, 0)[identity])]
    identity = np.searchsorted(starts, found.keys[inside], "right") - 1
    changed[inside] = labels[identity] != own[inside]
    own[inside] = labels[identity]
    return own, changed


def _sound_identities(found: Survey, roles: Roles, most: IdentityLabels, first: int) -> tuple[Int64s, Int64s, Int64s]:
    """(starts, ends, labels) of the identities that can correct an image, by start.

    Their range begins where the one before ends and ends where the next begins, index and header agree on the
    keys of all three, and one label has more than half of their images.
    """
    there = (roles.slots >= 0) & roles.ranges[roles.slots]
    starts, ends, labels = np.full((3, len(there)), -1, np.int64)
    bounds = range_bounds(found, most.places)
    certain = found.table.ids[most.places] == found.keys[most.places].astype(np.uint64)
    starts[there], ends[there] = np.where(certain[:, None], bounds, -1).T
    labels[there] = np.where(most.clear, most.labels, -1)
    sound = (starts == np.concatenate([[1], ends[:-1]])) & (ends == np.concatenate([starts[1:], [first]]))
    sound &= there & (labels >= 0)
    order = np.flatnonzero(sound)
    order = order[np.argsort(starts[order], kind="stable")]
    return starts[order], ends[order], labels[order]


def _believable(labels: Int64s, saved: NDArray[np.bool_], classes: int) -> NDArray[np.bool_]:
    """Labels below the classes that `property` claims, and those that go on counting from there without a gap.

    The latter say that `property` is wrong; a label far beyond says that its bytes are, and would make a class
    number of millions.
    """
    beyond = np.unique(labels[saved & (labels >= classes)])
    return labels < classes + len(beyond)


def _expected(found: Survey, roles: Roles) -> Int64s:
    """The keys of all images that the source's index and header record speak of."""
    keys = np.unique(found.index.keys)
    gone = found.keys[roles.ranges]
    if roles.bounds is not None and not roles.rounded:
        first, end = roles.bounds
        keys = np.union1d(keys, np.arange(1, first))
        keys = keys[((keys > 0) & (keys < first)) | (keys >= end)]
    return np.setdiff1d(keys, gone)


def _size_of(found: Survey, order: Int64s) -> tuple[int, int]:
    """(height, width) of most of the images, for a source whose `property` does not say it."""
    sizes = found.table.sizes[order]
    sizes = sizes[(sizes > 0).all(axis=1)]
    if len(sizes):
        values, counts = np.unique(sizes, axis=0, return_counts=True)
        height, width = values[np.argmax(counts)].tolist()
        return height, width
    offset = int(found.table.offsets[order[0]])
    payload, _ = framing.decode(found.buffer, offset)
    image = payload[HEADER.size + 4 * int(found.table.flags[order[0]]) :]
    height, width = decode_rgb(
        image, f"{found.rec}: byte {offset:,}, the first image, which is to tell the size"
    ).shape[:2]
    return height, width


class _Sources:
    """Where each image came from, as the source's listing says it; else its label or name, and its key."""

    def __init__(self, found: Survey, roles: Roles, order: Int64s, labels: Int64s) -> None:
        self._found = found
        path = found.rec.with_suffix(".lst")
        self._lines = Lines(path) if path.is_file() else None
        wanted = image_keys(found, roles)
        if self._lines is not None and len(self._lines) != len(wanted):
            self._lines = None
        by_key = np.argsort(wanted, kind="stable")
        places = positions_of(found.keys, wanted[by_key])
        self._numbers = np.where(places >= 0, np.append(by_key, -1)[places], -1)
        self._names: dict[int, str] = {}
        for place, label in zip(order.tolist(), labels[order].tolist(), strict=True):
            if label not in self._names:
                path_of = self._listed(place, label)
                if path_of is not None:
                    self._names[label] = PurePosixPath(path_of).parent.name

    def of(self, place: int, label: int) -> str:
        """The source of the image at `place`."""
        listed = self._listed(place, label)
        if listed is not None:
            return listed
        key = int(self._found.keys[place])
        name = self._names.get(label) or str(label)
        return f"{name}/{key}" if key >= 0 else f"{name}/byte {self._found.table.offsets[place]}"

    def _listed(self, place: int, label: int) -> str | None:
        number = int(self._numbers[place])
        line = self._lines.listed(number) if self._lines is not None and number >= 0 else None
        return None if line is None or line.label != label or "\r" in line.path else line.path
