import pytest
from matplotlib.figure import Figure

from analysis.figures.drawing.axes import panel_grid, power_of_two_ticks


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (1.5, 40, 10, [2, 4, 8, 16, 32]),
        (1.5, 40, 3, [2, 8, 32]),
        (0.9, 70_000, 10, [4**k for k in range(9)]),
        (5, 7, 10, []),
    ],
)
def test_ticks_are_powers_of_two(low, high, most, ticks):
    axes = Figure().add_subplot()
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    power_of_two_ticks(axes.xaxis, low, high, most)
    assert axes.get_xticks().tolist() == ticks
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [str(tick) for tick in ticks]


@pytest.mark.parametrize(("count", "visible_columns"), [(1, 1), (5, 5), (6, 3), (11, 4)])
def test_a_grid_has_a_panel_for_each_name_and_its_lowest_ones(count, visible_columns):
    names = [f"B = {k}" for k in range(count)]
    figure, panels, lowest = panel_grid(names, (1.6, 1.4), (0.5, 1.0), 4.0)
    assert [panel.get_title() for panel in panels] == names
    assert panels[-len(lowest) :] == lowest
    assert len(lowest) == visible_columns
    assert sum(axes.get_visible() for axes in figure.axes) == count
