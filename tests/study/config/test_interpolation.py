import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.config.interpolation import interpolated

KNOWN = st.dictionaries(st.integers(1, 10_000), st.integers(1, 10_000), min_size=1, max_size=5)


@given(KNOWN)
def test_given_batch_sizes_have_their_own(known):
    assert {size: interpolated(size, known) for size in known} == known


@given(KNOWN, st.integers(1, 20_000))
def test_steps_lie_between_those_of_the_neighbors(known, size):
    found = interpolated(size, known)
    if min(known) <= size <= max(known):
        beside = [
            known[max(k for k in known if k <= size)],
            known[min(k for k in known if k >= size)],
        ]
        assert min(beside) <= found <= max(beside)
    else:
        assert found >= known[min(known) if size < min(known) else max(known)]


@pytest.mark.parametrize(("size", "steps"), [(1, 800), (3, 267), (8, 100), (16, 71), (256, 50)])
def test_beyond_those_known_they_are_the_most_that_there_can_be(size, steps):
    assert interpolated(size, {8: 100, 32: 50}) == steps
