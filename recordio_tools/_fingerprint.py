"""What a face set is known by: a digest of all of a small record file, of a sixteenth of a large one.

MS1M has 28 GB. Reading all of them to say which set this is would cost more than cutting a long tail out of it.
A large set is known by its size, the key, place and label of every image, and a piece of 64 KiB in every
MiB: an image added, removed or moved, another label, another person's range and nearly every exchange of
images is noticed. What can pass is an image between two pieces that is exchanged for one of the same length;
finding damage is not a fingerprint's work.
"""

import hashlib

from recordio_tools.index import Int64s

WHOLE = 64 << 20
_PIECE, _STRIDE = 1 << 16, 1 << 20


def fingerprint_of(data: memoryview, *tables: Int64s) -> str:
    """SHA-256 in hexadecimal: of `data` alone up to `WHOLE` bytes, else of its size, the tables and pieces of it."""
    if len(data) <= WHOLE:
        return hashlib.sha256(data).hexdigest()
    digest = hashlib.sha256(b"recordio_tools: a large face set\n%d\n" % len(data))
    for table in tables:
        digest.update(table.astype("<i8").data)
    for start in range(0, len(data), _STRIDE):
        digest.update(data[start : start + _PIECE])
    digest.update(data[-_PIECE:])  # the identity records, where there are any
    return digest.hexdigest()
