import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from study.config.space import Hyperparameter, Range


@pytest.mark.parametrize(
    ("scale", "low", "high", "middle"),
    [("linear", 0.0, 2.0, 1.0), ("log", 1e-4, 1.0, 1e-2), ("reverse-log", 0.0, 0.9999, 0.99)],
)
def test_the_middle_of_a_range_depends_on_its_scale(scale, low, high, middle):
    assert Range(low=low, high=high, scale=scale).at(0.5) == pytest.approx(middle, rel=1e-9)


@given(st.floats(0, 1), st.sampled_from(["linear", "log", "reverse-log"]))
def test_no_position_leaves_the_range(position, scale):
    box = Range(low=1e-3, high=0.999, scale=scale)
    assert box.low <= box.at(position) <= box.high
    assert box.at(0.0) == pytest.approx(box.low)
    assert box.at(1.0) == pytest.approx(box.high)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"low": 1.0, "high": 0.1}, "`low` must be less than `high`"),
        ({"low": 0.0, "high": 1.0, "scale": "log"}, "must be above 0 on a log scale"),
        ({"low": 0.0, "high": 1.0, "scale": "reverse-log"}, "must be below 1 on a reverse-log"),
        ({"low": 0.0, "high": float("nan")}, "finite number"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(entry, message):
    with pytest.raises(ValidationError, match=message):
        Range.model_validate(entry)


def test_a_domain_knows_its_open_ends():
    momentum = Hyperparameter(default=0.9, low=0.0, high=1.0)
    assert momentum.domain() == "[0, 1)"
    assert momentum.allows(0.0)
    assert not momentum.allows(1.0)
    lr = Hyperparameter(default=0.1, low=0.0, low_open=True)
    assert not lr.allows(0.0)
