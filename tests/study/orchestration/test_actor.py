import json
from dataclasses import asdict

import torch

from study.orchestration.actor import _cohort, _received, shared_data
from study.records import Cohort, Point, Region, Role, ScalingRule, Source
from workloads.registry import resolve


def test_data_arrive_as_they_were_sent(training):
    made = training()
    arrays = shared_data(made)
    for array in arrays:
        array.flags.writeable = False  # as in Ray's object store
    received = _received(arrays)
    for sent, got in zip(
        (*made.data.train, *made.data.validation),
        (*received.train, *received.validation),
        strict=True,
    ):
        assert torch.equal(sent, got)
        assert sent.dtype is got.dtype


def test_own_dynamics_have_no_data_to_send():
    assert shared_data(resolve("noisy-quadratic")) is None
    assert _received(None) is None


def test_a_cohort_arrives_as_it_was_sent():
    again = Source(4, Role.SEARCH, 2, ScalingRule.LINEAR)
    points = (
        Point(trial=3, seed=2**63 - 1, values={"lr": 0.1 + 0.2, "momentum": 1e-300}),
        Point(trial=0, seed=0, values={"lr": 1.0}, role=Role.WARM, source=again),
    )
    region = Region(number=1, box={"lr": (1.0, 5.0)}, first=3, trials=2)
    cohort = Cohort(batch_size=2**40, points=points, best_steps=7, region=region)
    received = _cohort(json.loads(json.dumps(asdict(cohort))))
    assert received == cohort
    assert received.points[1].source.rule is ScalingRule.LINEAR
    assert received.role is Role.SEARCH
