"""What is wrong with a record file or a face set, as a list of findings; nothing stops at the first.

The file is read once, from its first byte to its last; after that its first words are touched only where a
finding quotes them. Memory grows with the number of records, not with their bytes: some 170 bytes a record at
the peak, index and digests included, beside pages of the file that the system can take back at any time. The
findings are as many as `limit` allows of each code, and a number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recordio_tools._threads import workers_of
from recordio_tools.checks.contents import Teller, check_ids, check_images, check_labels, check_ranges
from recordio_tools.checks.findings import SEVERITIES, Finding, Findings, Severity
from recordio_tools.checks.neighbours import check_listing, check_property, read_property_of
from recordio_tools.checks.repeats import check_repeats
from recordio_tools.checks.roles import assign_roles
from recordio_tools.checks.survey import Survey, survey
from recordio_tools.checks.view import check_view
from recordio_tools.faces import record_file
from recordio_tools.view import view_folder

__all__ = ["Finding", "Report", "verify"]


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
        rec: The record file; of a view the one that it looks into, or `view.npz` where that is not known.
        bytes: Its size.
        records: Its whole records; of a view those that it uses.
        images: Those of them that are images; 0 in a file of anything else.
        identities: The classes that its images have.
        of_view: Whether it is a view's.
        findings: The first of each code, in the order of the checks.
        counts: How many there are of each code, those that `findings` leaves out included.
        totals: How many there are of each severity.
    """

    rec: Path
    bytes: int
    records: int
    images: int
    identities: int
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    totals: dict[Severity, int]
    of_view: bool = False

    @property
    def damaged(self) -> bool:
        """Whether anything is damage."""
        return self.totals["damage"] > 0


def verify(
    path: str | Path,
    *,
    decode: bool = False,
    duplicates: bool = True,
    limit: int = 100,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Look for all that can be wrong with a record file, its index and, in a face set, its tables and images.

    Damage is what loses bytes or what this package would refuse to read. `checks.findings.CODES` lists every
    code. Labels, ranges and tables are a face set's: a folder, or a record file beside a `property` or with
    identity records. In a file of anything but image records framing and index are checked, which a note says.

    Of a view its own files are checked, whether the set that it looks into is still the one that it was made for,
    and then the records that it uses; what else is wrong with that set is not looked for.

    Args:
        path: A set's folder, a view's, or a record file; `property` and a listing beside it are looked at too.
        decode: Decode every image with OpenCV.
        duplicates: Look for images with the same bytes, within an identity and across identities.
        limit: Findings kept of each code; the others are counted.
        workers: Images that are decoded at a time; by default one for each core that may be used. What is found, and
            in which order, is the same for any number.
        progress: Called with (bytes done, bytes in all).

    Raises:
        SourceError: There is no record file, `workers` is below 1, or `decode` was asked for and OpenCV cannot be
            loaded.
    """
    path = Path(path)
    out, workers = Findings(limit), workers_of(workers)
    folder = view_folder(path)
    if folder is not None:
        used = check_view(folder, out, decode=decode, duplicates=duplicates, workers=workers, progress=progress)
        counted = used.size, used.records, used.images, used.identities
        return Report(used.rec, *counted, tuple(out.kept), *_numbers(out), of_view=True)
    rec = record_file(path)
    found = survey(rec, out, decode=decode, digests=duplicates, workers=workers, progress=progress)
    is_set = path.is_dir() or rec.with_name("property").exists()
    images, identities = _check_contents(found, out, is_set=is_set, in_folder=path.is_dir(), duplicates=duplicates)
    size, records = len(found.buffer), len(found.table)
    return Report(rec, size, records, images, identities, tuple(out.kept), *_numbers(out))


def _numbers(out: Findings) -> tuple[dict[str, int], dict[Severity, int]]:
    """How many findings there are of each code, and of each severity."""
    counts = {code: number for code, number in out.counts.items() if number}
    return counts, {severity: out.total(severity) for severity in SEVERITIES}


def _check_contents(
    found: Survey, out: Findings, *, is_set: bool, in_folder: bool, duplicates: bool
) -> tuple[int, int]:
    """(images, identities), after every check of what the records hold."""
    said = read_property_of(found.rec, out, needed=in_folder)
    headed = int(np.count_nonzero(found.table.with_header()))
    if not len(found.table):
        out.add("record.none", found.rec, "found no whole record, expected one or more")
        return 0, 0
    if not is_set and 2 * headed < len(found.table):
        text = f"found no image header in most of {len(found.table):,} records: only framing and index were checked"
        out.add("record.not-images", found.rec, text)
        return 0, 0
    roles = assign_roles(found)
    tell = Teller(found, out)
    check_images(tell, roles, None if said is None else (said.height, said.width))
    check_ids(tell, roles)
    if is_set or roles.ranges.any():
        check_ranges(tell, roles)
        most = check_labels(tell, roles, None if said is None else said.classes)
        check_listing(tell, roles, most.expected >= 0)
    if said is not None:
        check_property(tell, roles, said)
    if duplicates:
        check_repeats(tell, roles)
    labels = found.table.labels[roles.images & found.table.whole_labels(), 0]
    return int(np.count_nonzero(roles.images)), len(np.unique(labels))
