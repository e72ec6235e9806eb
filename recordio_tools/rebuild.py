"""An index made anew from its record file alone: every record says where the next one starts.

Why damage is not judged as `verify` judges it is said in `checks.walk`.
"""

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from recordio_tools import framing
from recordio_tools._mapped import map_file
from recordio_tools.errors import DamageError
from recordio_tools.header import HEADER
from recordio_tools.index import Index

_BETWEEN_REPORTS = 1 << 24
_MOST_KEPT = 1000


class Damages(list[DamageError]):
    """The first thousand damages of a file; a file of nothing but damage shall not fill the memory.

    Attributes:
        total: Number of damages, those included that are not kept.
    """

    total = 0

    def add(self, damage: DamageError) -> None:
        """Count a damage, and keep it while there is room."""
        self.total += 1
        if len(self) < _MOST_KEPT:
            self.append(damage)


def rebuild(
    rec: str | Path,
    *,
    past_damage: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Index, Damages]:
    """An index made from the record file alone, and the damages that were passed over.

    The keys are the ids in the image headers where every record has one and no two agree, as in the face sets
    of face2rec2 and of this package; otherwise 0, 1, 2 … in file order.

    Args:
        rec: The record file.
        past_damage: Go on at the next head after damage; without it the first damage raises. A record that has another
            one inside, or ends where none starts, has a damaged length: it is passed over, and the one inside is saved.
        progress: Called with (bytes done, bytes in all).

    Raises:
        SourceError: There is no such file.
        DamageError: The first damage, unless `past_damage`.
    """
    rec = Path(rec)
    offsets, ids = array("q"), array("Q")
    damages = Damages()
    with_ids = True
    for offset, payload in _scan(rec, damages if past_damage else None, progress):
        offsets.append(offset)
        with_ids = with_ids and len(payload) >= HEADER.size
        if with_ids:
            ids.append(HEADER.unpack_from(payload)[2])
    if with_ids and (not ids or max(ids) < 1 << 62) and len(np.unique(ids)) == len(ids):
        keys = np.array(ids, np.int64)
    else:
        keys = np.arange(len(offsets))
    return Index(keys, np.array(offsets, np.int64), rec.with_suffix(".idx")), damages


def _scan(
    rec: Path, damages: Damages | None, progress: Callable[[int, int], None]
) -> Iterator[tuple[int, bytes | memoryview]]:
    """(offset, payload) of each record in file order; damage raises, or is put into `damages`."""
    buffer = map_file(rec)
    offset: int | None = 0
    told = 0
    while offset is not None and offset < len(buffer):
        try:
            payload, after = framing.decode(buffer, offset)
            framing.check_end(buffer, offset, after)
        except DamageError as error:
            advice = f"save what is whole with: recordio index --past-damage {rec}"
            damage = error.located(rec, None, error.offset or offset, advice)
            if damages is None:
                raise damage from None
            damages.add(damage)
            offset = framing.find_head(buffer, offset + 4)
        else:
            yield offset, payload
            offset = after
        if offset is not None and offset - told >= _BETWEEN_REPORTS:
            told = offset
            progress(offset, len(buffer))
    progress(len(buffer), len(buffer))
