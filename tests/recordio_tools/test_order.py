import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordio_tools.order import block_shuffled


@given(
    st.lists(st.integers(0, 500), max_size=60, unique=True),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(0, 9),
)
def test_every_record_once_and_a_window_touches_no_more_blocks_than_it_may(
    offsets: list[int], block: int, buffer: int, seed: int
) -> None:
    places = 4 * np.array(offsets, np.int64)
    order = block_shuffled(places, np.random.default_rng(seed), block_bytes=block, buffer_blocks=buffer)
    assert sorted(order.tolist()) == list(range(len(offsets)))
    again = block_shuffled(places, np.random.default_rng(seed), block_bytes=block, buffer_blocks=buffer)
    assert order.tolist() == again.tolist()
    # walk through it: once a block has left the buffer it never comes again
    blocks = (places[order] // block).tolist()
    windows: list[set[int]] = [set()]
    for number, one in enumerate(blocks):
        if one not in windows[-1] and len(windows[-1]) == buffer:
            assert one not in set().union(*windows)
            windows.append(set())
        windows[-1].add(one)
        if len(windows) > 1:
            assert not set(blocks[number:]) & windows[-2]


def test_a_buffer_as_long_as_the_file_is_a_plain_shuffle() -> None:
    """Each of the 24 orders of four records comes about equally often: 2400 draws, 100 ± 4 σ of each."""
    offsets = np.array([0, 100, 200, 300])
    rng = np.random.default_rng(0)
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(2400):
        order = tuple(block_shuffled(offsets, rng, block_bytes=1000).tolist())
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == 24
    assert min(seen.values()) > 60
    assert max(seen.values()) < 140


def test_every_record_is_equally_likely_to_come_first() -> None:
    offsets = np.arange(12) * 100
    rng = np.random.default_rng(0)
    firsts = [int(block_shuffled(offsets, rng, block_bytes=400, buffer_blocks=1)[0]) for _ in range(2400)]
    assert (np.bincount(firsts, minlength=12) > 140).all()


@pytest.mark.parametrize("sizes", [{"block_bytes": 0}, {"buffer_blocks": 0}])
def test_sizes_below_one_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        block_shuffled(np.arange(3), np.random.default_rng(0), **sizes)
