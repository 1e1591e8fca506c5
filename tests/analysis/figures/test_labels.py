import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.figures.labels import spread_out


@given(places=st.lists(st.floats(-5, 5), max_size=8), gap=st.floats(0, 2))
def test_places_stand_apart_in_their_order(places, gap):
    moved = spread_out(places, gap)
    order = sorted(range(len(places)), key=lambda index: places[index])
    stands = [moved[index] for index in order]
    assert all(b - a >= gap - 1e-9 for a, b in zip(stands, stands[1:], strict=False))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-9)


def test_places_far_enough_apart_stay():
    assert spread_out([3.0, 1.0, 2.0], gap=0.9) == [3.0, 1.0, 2.0]
