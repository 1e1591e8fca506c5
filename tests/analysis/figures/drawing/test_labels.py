import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis.figures.drawing.labels import EndLabel, label_ends, spread_out


@given(places=st.lists(st.floats(-5, 5), max_size=8), gap=st.floats(0, 2))
def test_places_stand_apart_in_their_order(places, gap):
    moved = spread_out(places, gap)
    order = sorted(range(len(places)), key=lambda index: places[index])
    stands = [moved[index] for index in order]
    assert all(b - a >= gap - 1e-9 for a, b in zip(stands, stands[1:], strict=False))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-9)


def test_places_far_enough_apart_stay():
    assert spread_out([3.0, 1.0, 2.0], gap=0.9) == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("side", ["left", "right"])
def test_lines_that_end_before_the_others_are_labelled_above(side):
    axes = Figure().add_subplot()
    ends = {"left": (1.0, 5.0), "right": (5.0, 1.0)}[side]
    axes.set(xlim=(0, 6), ylim=(0, 6))
    label_ends(axes, [EndLabel(text="a", color="k", x=x, y=3.0) for x in ends], 3.0, side)
    beside, above = axes.texts
    assert (beside.get_va(), above.get_va()) == ("center", "bottom")
    assert beside.get_ha() == {"left": "right", "right": "left"}[side]
    assert above.xy == (ends[1], 3.0)
