"""Orders in which to visit the records of a file that is too large, or too far away, for a read at every record.

A shuffled epoch over a file on a spinning or network disk is one seek a record. Here the disk is read in long runs
instead: the file's blocks come in random order, a few of them at a time are held together, and the records of those few
are shuffled. It is the shuffling of tf.data and DALI, said as an order of positions.
"""

import numpy as np

from recordio_tools.index import Int64s


def block_shuffled(
    offsets: Int64s, rng: np.random.Generator, *, block_bytes: int = 8 << 20, buffer_blocks: int = 64
) -> Int64s:
    """A random order of records in which the file is read by the block.

    How random: every record is equally likely to come at any place. But two records of one block are always less than
    `buffer_blocks` blocks apart, so a set that is sorted by identity wants a buffer much longer than an identity. With
    a buffer as long as the file it is a plain shuffle.

    Args:
        offsets: (N,) byte offset of each record, in any order.
        rng: the source of chance; the same state gives the same order.
        block_bytes: length of the runs in which the file is read. A record belongs to the block that it begins in.
        buffer_blocks: blocks that are held at once: about `block_bytes` · `buffer_blocks` bytes are wanted for a cache.

    Returns:
        (N,) positions in `offsets`, each once.

    Raises:
        ValueError: a size below 1.
    """
    if block_bytes < 1 or buffer_blocks < 1:
        raise ValueError(f"block_bytes {block_bytes} and buffer_blocks {buffer_blocks} were given, expected 1 or more")
    if not len(offsets):
        return np.arange(0)
    _, block = np.unique(offsets // block_bytes, return_inverse=True)
    place = rng.permutation(int(block.max()) + 1)  # of each block among the visits
    window = place[block] // buffer_blocks
    return np.lexsort((rng.random(len(offsets)), window))
