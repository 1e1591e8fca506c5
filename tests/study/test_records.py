from dataclasses import replace

import pytest

from study.records import (
    Cohort,
    Point,
    Region,
    Role,
    ScalingRule,
    Source,
    record_from_json,
    record_to_json,
)

SOURCE = Source(4, Role.SEARCH, 2, ScalingRule.LINEAR)
POINTS = (
    Point(trial=3, seed=2**63 - 1, values={"lr": 0.1 + 0.2, "momentum": 1e-300}),
    Point(trial=0, seed=0, values={"lr": 1.0}, role=Role.WARM, source=SOURCE),
)
REGION = Region(number=1, box={"lr": (1.0, 5.0)}, first=3, trials=2)
COHORT = Cohort(batch_size=2**40, points=POINTS, best_steps=7, region=REGION)


def test_a_cohort_survives_json_exactly():
    received = record_from_json(Cohort, record_to_json(COHORT))
    assert received == COHORT
    assert received.points[1].source.rule is ScalingRule.LINEAR
    assert received.role is Role.SEARCH
    assert received.region.box["lr"] == (1.0, 5.0)


def test_a_region_survives_json_exactly():
    assert record_from_json(Region, record_to_json(REGION).encode()) == REGION


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        record_to_json(replace(REGION, box={"lr": (1.0, value)}))
    text = record_to_json(REGION).replace("5.0", "NaN" if value != value else "Infinity")
    with pytest.raises(ValueError, match="must be finite"):
        record_from_json(Region, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[]", "Input should be"), ("{}", "Field required"), ("{", "Expecting property name")],
)
def test_other_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        record_from_json(Cohort, text)
