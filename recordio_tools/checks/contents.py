"""What the records of a set say against each other: header record, identity ranges, labels, ids, images."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recordio_tools import framing
from recordio_tools.checks.findings import Findings
from recordio_tools.checks.loose_index import positions_of
from recordio_tools.checks.roles import Roles
from recordio_tools.checks.sniff import STATE_CODES, State
from recordio_tools.checks.survey import Survey
from recordio_tools.errors import DamageError
from recordio_tools.header import FLOAT32_EXACT, unpack
from recordio_tools.image_header import MAX_SIDE, format_of
from recordio_tools.index import Int64s

Text = str | Callable[[int], str]


class Teller:
    """Notes findings about whole records, by their place in the table."""

    def __init__(self, found: Survey, out: Findings) -> None:
        self.found = found
        self.out = out

    def records(self, code: str, places: Int64s, text: Text) -> None:
        """One finding a record."""

        def add(place: int) -> None:
            key = int(self.found.keys[place])
            said = text if isinstance(text, str) else text(place)
            offset = int(self.found.table.offsets[place])
            self.out.add(code, self.found.rec, said, key=None if key < 0 else key, offset=offset)

        self.out.add_each(code, places, len(places), add)

    def keys(self, code: str, keys: Int64s, text: str) -> None:
        """One finding a key that has no record, unless a finding says so already."""
        fresh = keys[positions_of(keys, self.found.told) < 0]
        self.out.add_each(code, fresh, len(fresh), lambda key: self.out.add(code, self.found.rec, text, key=key))


def check_images(tell: Teller, roles: Roles, size: tuple[int, int] | None) -> None:
    """Each record's own header, and each image as far as it was looked at; `size` is what `property` says."""
    table = tell.found.table
    for state, code in STATE_CODES.items():
        mask = table.states == state
        if state == State.EMPTY:
            mask &= roles.images
        tell.records(code, np.flatnonzero(mask), lambda place, state=state: _state_text(tell.found, place, state))
    if size is not None:
        height, width = size
        known = roles.images & (table.sizes > 0).all(axis=1)
        other = known & ((table.sizes[:, 0] != height) | (table.sizes[:, 1] != width))
        tell.records(
            "image.size",
            np.flatnonzero(other),
            lambda place: (
                f"found an image of {table.sizes[place, 0]} x {table.sizes[place, 1]} (height x width), "
                f"expected {height} x {width} as property says"
            ),
        )


def _state_text(found: Survey, place: int, state: State) -> str:
    payload, _ = framing.decode(found.buffer, int(found.table.offsets[place]))
    if state in (State.SHORT, State.LABELS):
        try:
            unpack(memoryview(payload))
        except DamageError as error:
            return f"found {error.found}, expected {error.expected}"
    image = payload[24 + 4 * int(found.table.flags[place]) :]
    size = len(image)
    height, width = found.table.sizes[place].tolist()
    return {
        State.EMPTY: "found no byte behind the labels, expected an image",
        State.CUT: f"found an image of {size:,} bytes without its end mark, expected a whole one",
        State.HEADER: f"found {size:,} bytes that begin as {format_of(image)} but tell no size, expected an image",
        State.UNKNOWN: f"found {size:,} bytes of no image format known here, expected JPEG or PNG",
        State.LARGE: (
            f"found an image that claims {height:,} x {width:,} pixels, expected {MAX_SIDE:,} a side at most; "
            "it is not decoded here"
        ),
        State.UNDECODABLE: f"found {size:,} bytes that cannot be decoded, expected an image",
    }[state]


def check_ids(tell: Teller, roles: Roles) -> None:
    """The id in each header against the record's key, in files where ids are keys at all."""
    found, table = tell.found, tell.found.table
    known = found.indexed & table.with_header()
    other = known & (table.ids != found.keys.astype(np.uint64))
    if 2 * np.count_nonzero(other) <= np.count_nonzero(known):
        tell.records(
            "record.id",
            np.flatnonzero(other),
            lambda place: f"found id {table.ids[place]} in its header, expected its key",
        )
    elif roles.bounds is not None:  # a shuffled set keeps the ids that it had before
        tell.out.add(
            "record.ids",
            found.rec,
            f"found other ids than the keys in {np.count_nonzero(other):,} of {np.count_nonzero(known):,} headers",
        )


def check_ranges(tell: Teller, roles: Roles) -> None:
    """The header record, the identity records it points to, and the images that those point to."""
    found = tell.found
    if roles.bounds is None:
        _check_no_header(tell, roles)
        return
    first, end = roles.bounds
    if roles.rounded:
        tell.out.add(
            "ranges.rounded",
            found.rec,
            f"found identity records up to key {end:,}, expected {FLOAT32_EXACT:,} at most: float32 rounds keys "
            "above it, so the ranges cannot be trusted; split the set",
            key=0,
        )
        return
    keys = np.arange(first, end)
    tell.keys("ranges.missing", keys[roles.slots < 0], "found no record, expected an identity's range of image keys")
    there = roles.slots[roles.slots >= 0]
    tell.records(
        "ranges.not-a-range",
        there[~roles.ranges[there]],
        "found another record, expected an identity's range of image keys",
    )
    astray = roles.ranges.copy()
    astray[there] = False
    astray[roles.header] = False
    tell.records(
        "ranges.stray",
        np.flatnonzero(astray),
        f"found an identity's range, expected those under keys {first:,} to {end - 1:,} only, as the header says",
    )
    _check_order(tell, roles)
    mine = np.sort(found.keys[found.keys >= 0])
    images = np.arange(1, first)
    tell.keys("images.missing", images[positions_of(images, mine) < 0], "found no record, expected an image")
    stray = roles.images & ((found.keys >= end) | (found.keys == 0))
    text = f"found an image, expected those under keys 1 to {first - 1:,} only, as the header says"
    tell.records("images.stray", np.flatnonzero(stray), text)


def _check_no_header(tell: Teller, roles: Roles) -> None:
    found = tell.found
    if roles.header is not None:
        first, end = found.table.labels[roles.header].tolist()
        tell.records(
            "header.bad",
            np.array([roles.header]),
            f"found [{first:,.0f}, {end:,.0f}) as keys of the identity records, expected keys that hold some",
        )
    elif roles.ranges.any() and positions_of(np.array([0]), found.told)[0] < 0:
        tell.out.add(
            "header.missing",
            found.rec,
            f"found {np.count_nonzero(roles.ranges):,} identity record(s) but no header record, expected one",
            key=0,
        )


def _check_order(tell: Teller, roles: Roles) -> None:
    """Ranges follow one another from 1 to the first identity's own key; beside a missing one nothing is asked."""
    assert roles.bounds is not None
    first, _ = roles.bounds
    sound = (roles.slots >= 0) & roles.ranges[roles.slots]
    starts, ends = np.full((2, len(sound)), -1, np.int64)
    starts[sound], ends[sound] = range_bounds(tell.found, roles.slots[sound]).T
    expected = np.concatenate([[1], ends[:-1]])
    odd = sound & (expected >= 0) & (starts != expected)
    slot_of = np.zeros(len(tell.found.table), np.int64)
    slot_of[roles.slots[odd]] = np.flatnonzero(odd)

    def text(place: int) -> str:
        slot = slot_of[place]
        return (
            f"found the range [{starts[slot]:,}, {ends[slot]:,}), expected it to start at {expected[slot]:,}, "
            "where the one before ends"
        )

    tell.records("ranges.order", roles.slots[odd], text)
    if sound[-1] and ends[-1] != first:
        tell.records(
            "ranges.order",
            roles.slots[-1:],
            f"found the range [{starts[-1]:,}, {ends[-1]:,}), expected it to end at {first:,}, after the last image",
        )


def range_bounds(found: Survey, places: Int64s) -> Int64s:
    """(n, 2), the [start, end) that identity records hold; out of bounds of int64 they are cut."""
    return np.minimum(found.table.labels[places].astype(np.float64), 1 << 62).astype(np.int64)


def check_labels(tell: Teller, roles: Roles, classes: int | None) -> "IdentityLabels":
    """Each image's label: a class, the same within an identity, below `classes` where `property` says so."""
    found, table = tell.found, tell.found.table
    whole = check_whole_labels(tell, roles)
    most = identity_labels(found, roles)
    mixed = np.flatnonzero(most.expected >= 0)
    tell.records(
        "labels.mixed",
        mixed,
        lambda place: (
            f"found label {table.labels[place, 0]:,.0f}, expected {most.expected[place]:,} as most images of identity "
            f"record {most.record_keys[place]} have"
        ),
    )
    _check_shared(tell, most)
    if classes is not None:
        high = whole & (table.labels[:, 0] >= classes)
        text = f"expected 0 to {classes - 1:,} as property says"
        tell.records(
            "labels.too-high",
            np.flatnonzero(high),
            lambda place: f"found label {table.labels[place, 0]:,.0f}, {text}",
        )
    _check_unused(tell, np.unique(table.labels[whole, 0]).astype(np.int64), classes)
    return most


def check_whole_labels(tell: Teller, roles: Roles) -> NDArray[np.bool_]:
    """Each image's label alone; the mask of the images that have one."""
    table = tell.found.table
    whole = table.whole_labels()
    tell.records(
        "labels.not-whole",
        np.flatnonzero(roles.images & ~whole),
        lambda place: f"found label {table.labels[place, 0]:g}, expected a whole number from 0 to 2^24",
    )
    return roles.images & whole


class IdentityLabels:
    """What the images of each identity record say of their class.

    Attributes:
        places: Positions of the identity records, in the order of their keys.
        labels: For each the label of most of its images, -1 where it has none.
        clear: Whether more than half of its images have that label.
        expected: For each record the label of most in its identity where its own is another, else -1.
        record_keys: For those the key of the identity record.
    """

    def __init__(self, places: Int64s, records: int) -> None:
        self.places = places
        self.labels = np.full(len(places), -1, np.int64)
        self.clear = np.zeros(len(places), bool)
        self.expected, self.record_keys = np.full((2, records), -1, np.int64)


def identity_labels(found: Survey, roles: Roles) -> IdentityLabels:
    """The label of most images of each identity, and the images that have another one."""
    places = roles.identities if not roles.rounded else np.empty(0, np.int64)
    result = IdentityLabels(places, len(found.table))
    images = np.flatnonzero(roles.images & found.table.whole_labels() & (found.keys > 0))
    images = images[np.argsort(found.keys[images], kind="stable")]
    keys, labels = found.keys[images], found.table.labels[images, 0].astype(np.int64)
    bounds = range_bounds(found, places)
    firsts, lasts = np.searchsorted(keys, bounds[:, 0]), np.searchsorted(keys, bounds[:, 1])
    some = np.flatnonzero(lasts > firsts)
    if not len(some):
        return result
    pairs = np.stack([firsts[some], lasts[some]], axis=1).ravel()
    closed = np.append(labels, 0)  # reduceat wants every bound inside
    low, high = np.minimum.reduceat(closed, pairs)[::2], np.maximum.reduceat(closed, pairs)[::2]
    result.labels[some] = low
    result.clear[some] = True
    for identity in some[low != high].tolist():
        members = slice(int(firsts[identity]), int(lasts[identity]))
        values, counts = np.unique(labels[members], return_counts=True)
        label = int(values[np.argmax(counts)])
        result.labels[identity] = label
        result.clear[identity] = 2 * counts.max() > counts.sum()
        others = images[members][labels[members] != label]
        result.expected[others] = label
        result.record_keys[others] = found.keys[places[identity]]
    return result


def _check_shared(tell: Teller, most: IdentityLabels) -> None:
    order = np.argsort(most.labels, kind="stable")
    again = np.sort(order[1:][(np.diff(most.labels[order]) == 0) & (most.labels[order[1:]] >= 0)])
    label_of = np.zeros(len(tell.found.table), np.int64)
    label_of[most.places] = most.labels
    tell.records(
        "labels.shared",
        most.places[again],
        lambda place: f"found label {label_of[place]}, which another identity has too, expected one label an identity",
    )


def _check_unused(tell: Teller, present: Int64s, classes: int | None) -> None:
    top = int(present[-1]) + 1 if len(present) else 0
    wanted = top if classes is None else classes
    unused = wanted - int(np.count_nonzero(present < wanted))
    if unused:
        firsts = np.setdiff1d(np.arange(min(wanted, len(present) + 5)), present)[:5]
        shown = ", ".join(map(str, firsts.tolist())) + (", …" if unused > len(firsts) else "")
        tell.out.add(
            "labels.unused", tell.found.rec, f"found {unused:,} of {wanted:,} classes without an image: {shown}"
        )
