import pytest
from matplotlib.figure import Figure

from analysis import figures
from analysis.errors import AnalysisError
from analysis.figures.drawing.kind import Look, style
from analysis.figures.drawing.sheet import Sheet, key


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (4, 1, 4), (6, 2, 3), (11, 3, 4)]
)
def test_a_grid_has_even_rows(count, rows, columns):
    with style(Look()):
        sheet = Sheet()
        names = [f"B = {place}" for place in range(count)]
        panels = sheet.grid(names, (11, 10), "x", sharex=True, sharey=True)
    assert [panel.get_title() for panel in panels] == names
    sheet.figure.draw_without_rendering()
    places = [panel.get_position() for panel in panels]
    assert len({round(place.y0, 3) for place in places}) == rows
    assert len({round(place.x0, 3) for place in places}) == columns
    assert len({round(place.height, 3) for place in places}) == 1
    assert len({round(place.width, 3) for place in places}) == 1


def test_a_legend_makes_the_figure_higher():
    with style(Look()):
        sheet = Sheet()
        axes = sheet.axes(3.0)
        sheet.legend([key(f"{'word ' * 9}{place}") for place in range(4)])
    sheet.figure.draw_without_rendering()
    (legend,) = sheet.figure.legends
    assert sheet.figure.get_figheight() > 3.0
    assert not legend.get_window_extent().overlaps(axes.get_tightbbox())


@pytest.mark.parametrize("name", ["steps_vs_batch", "goals", "b_crit_vs_target"])
def test_draws_into_the_axes_given(analyzed, name):
    whole = Figure(figsize=(8, 4), layout="constrained")
    left, right = whole.subplots(1, 2)
    assert figures.draw(analyzed, name, ax=left) is whole
    assert left.lines
    assert not right.lines
    assert left.get_legend() is not None
    assert analyzed.subject in left.get_title(loc="left") + left.get_title()
    whole.draw_without_rendering()
    assert not left.get_legend().get_window_extent().overlaps(left.xaxis.label.get_window_extent())


@pytest.mark.parametrize("name", ["search", "residuals"])
def test_a_figure_of_panels_takes_no_axes(analyzed, name):
    with pytest.raises(AnalysisError, match="ax must be left out for a figure of .* panels"):
        figures.draw(analyzed, name, ax=Figure().add_subplot())


def test_a_title_can_be_left_out(analyzed):
    assert figures.draw(analyzed).get_suptitle()
    kind = figures.FIGURES["steps_vs_batch"]
    bare = kind.figure(kind.data(analyzed), analyzed, Look(title=False))
    assert not bare.get_suptitle()
