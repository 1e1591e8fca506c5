"""What every figure must be: text that meets nothing else and can be read."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from analysis.figures.drawing.colors import MIN_CONTRAST, contrast

# tints of regimes may meet behind text, marks may not
_MAX_DIFFERENCE = 40


@pytest.fixture
def assert_readable():
    """Check that no text of a figure meets a text, a mark or an edge, and that all have contrast.

    Marks are looked for in the picture without its text: behind each text it must be of one color.
    """

    def check(figure, name=""):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        unseen = beyond_the_limits(figure)
        texts = [t for t in figure.findobj(Text) if drawn(t) and t not in unseen]
        boxes = [text.get_window_extent() for text in texts]
        figure.set_layout_engine("none")
        for text in texts:
            text.set_visible(False)
        canvas.draw()
        picture = np.asarray(canvas.buffer_rgba())[::-1, :, :3].astype(int)
        for at, (text, box) in enumerate(zip(texts, boxes, strict=True)):
            where = f"{name}: {text.get_text()!r}"
            inner = box.padded(-1)
            assert figure.bbox.padded(1).contains(box.x0, box.y0), f"{where} leaves the figure"
            assert figure.bbox.padded(1).contains(box.x1, box.y1), f"{where} leaves the figure"
            met = [texts[k].get_text() for k in range(at) if inner.overlaps(boxes[k].padded(-1))]
            assert not met, f"{where} meets the text {met[0]!r}"
            left, right = max(round(inner.x0), 0), round(inner.x1) + 1
            behind = picture[max(round(inner.y0), 0) : round(inner.y1) + 1, left:right]
            behind = behind.reshape(-1, 3)
            usual = np.median(behind, axis=0)
            assert np.abs(behind - usual).max() <= _MAX_DIFFERENCE, f"{where} meets a mark"
            worst = min(
                contrast(text.get_color(), pixel) for pixel in np.unique(behind, axis=0) / 255
            )
            assert worst >= MIN_CONTRAST, f"{where} has a contrast of {worst:.1f}"

    return check


def drawn(text):
    """Return whether a text is in the picture."""
    shown = text.axes is None or text.axes.get_visible()
    return bool(text.get_text().strip()) and text.get_visible() and shown


def beyond_the_limits(figure):
    """Return the labels of ticks that lie outside their axis."""
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    return {
        label
        for axis in axes
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
