"""The store of a gallery in one SQLite file, written in transactions.

- ``sqlite``: the store itself: how it is made and opened, and all that changes it.
- ``open_file``: transactions, and vectors out of rows; ``people``, ``kept``: what is read, and kept beside the people.
- ``connection``: how the file is opened, for writing or for reading alone; SQLite's errors in one line.
- ``migrations``, ``second_version``, ``third_version``, ``fourth_version``: its tables, version by version.
- ``rows``: what each row holds, and a checksum over it.
- ``writing``: one transaction that writes: numbers, counts, remembered moves, audit entries.
- ``enrolling``, ``rejecting``, ``following``, ``erasure``, ``checking``: the longer promises.
- ``made``: a new gallery or a copy appears whole or not at all.
- ``calibrations``: as rows.
- ``chain``: the hash chain of the audit trail.
- ``traces``: looking for bytes in files of any size.
"""

from facerec_oltr.gallery.store.open_file import Clock
from facerec_oltr.gallery.store.sqlite import SqliteStore

__all__ = ["Clock", "SqliteStore"]
