import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures.drawing.ticks import batch_size_axis, label_axis, log_axis, token_axis


@pytest.fixture
def axes():
    return Figure(figsize=(6.4, 4)).add_subplot()


def labels(ticks):
    return [label.get_text() for label in ticks]


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ([2, 4, 8, 16, 32], ["2", "4", "8", "16", "32"]),
        ([2**k for k in range(17)], [str(4**k) for k in range(9)]),
        ([2**k for k in range(18)], [str(4 * 8**k) for k in range(6)]),
        ([2, 4, 1000, 1024, 1347], ["2", "4", "1347"]),
        ([64], ["64"]),
    ],
)
def test_ticks_are_batch_sizes_with_the_last(axes, sizes, shown):
    batch_size_axis(axes, pd.Series(sizes))
    assert labels(axes.get_xticklabels()) == shown


@pytest.mark.parametrize(
    ("largest", "tokens", "shown"),
    [
        (128, 32, ["32", "64", "128", "256", "512", "1,024", "2,048", "4,096"]),
        (4096, 1024, ["1,024", "16,384", "262,144", "4,194,304"]),  # fewer than below
    ],
)
def test_ticks_in_tokens_are_grouped_and_have_room(axes, largest, tokens, shown):
    batch_size_axis(axes, pd.Series([2**k for k in range(largest.bit_length())]))
    token_axis(axes, tokens)
    (top,) = axes.child_axes
    assert labels(top.get_xticklabels()) == shown


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.0035, 1.4, ["0.01", "0.03", "0.1", "0.3", "1"]),
        (0.0035, 0.09, ["0.005", "0.01", "0.02", "0.05"]),
        (20, 2500, ["20", "50", "100", "1000"]),
        (26, 70, ["30", "50", "70"]),
        (49, 51, ["50"]),
        (1, 1e9, ["1", "100", "10000", "1000000", "100000000"]),
    ],
)
def test_ticks_are_round_numbers(axes, low, high, shown):
    log_axis(axes.yaxis, low, high)
    found = labels(axes.get_yticklabels())
    assert set(shown) <= set(found)
    assert len(found) <= 12
    assert all(len(label.replace("0", "").replace(".", "")) <= 2 for label in found)


def test_ticks_do_not_overlap_where_their_decade_ends(axes):
    log_axis(axes.yaxis, 72, 130)
    assert axes.get_yticks().tolist() == [80, 90, 100, 120]


def test_a_long_label_wraps(axes):
    label_axis(axes.yaxis, "steps " * 20)
    assert axes.get_ylabel().count("\n") >= 1
    label_axis(axes.yaxis, "steps")
    assert axes.get_ylabel() == "steps"
