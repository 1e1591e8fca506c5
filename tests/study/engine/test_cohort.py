from dataclasses import replace

import numpy as np
import pytest

from study.config.space import Range
from study.engine.cohort import run_cohort
from study.optimizers import OPTIMIZERS
from study.records import Execution, Status
from tests.study.cohorts import cohort_of
from workloads.workload import Target


@pytest.mark.parametrize("mode", ["packed", "looped"])
def test_a_cohort_reaches_the_target_and_brackets_it(training, make_study, mode):
    study = make_study(compute={"mode": mode})
    results = run_cohort(study, training(), cohort_of([0.3, 0.1, 1e-6]))
    assert [r.outcome.status for r in results] == [Status.REACHED, Status.REACHED, Status.CAPPED]
    for result in results[:2]:
        outcome, curve = result.outcome, result.curve
        assert curve.step[0] == 0
        assert curve.step[-1] == outcome.steps
        assert outcome.steps_before == curve.step[-2]
        assert curve.val_error[-1] < study.target <= curve.val_error[:-1].min()
        assert outcome.best_error == curve.val_error[-1]


def test_packed_and_looped_lanes_have_the_same_outcomes(training, make_study):
    cohort = cohort_of([0.3, 0.1, 0.03, 0.01])
    packed, looped = (
        run_cohort(make_study(compute={"mode": mode}), training(), cohort)
        for mode in ("packed", "looped")
    )
    assert [r.outcome for r in packed] == [r.outcome for r in looped]


def test_the_same_cohort_has_the_same_curves(training, make_study):
    cohort = cohort_of([0.3, 0.01])
    first, second = (run_cohort(make_study(), training(), cohort) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.curve.val_loss, other.curve.val_loss)
        assert one.outcome == other.outcome


def test_a_diverging_lane_leaves_the_others_unchanged(training, make_study):
    results = run_cohort(make_study(), training(), cohort_of([3e38, 0.3]))
    assert [r.outcome.status for r in results] == [Status.DIVERGED, Status.REACHED]


def test_a_linear_decay_slows_the_lanes_down(training, make_study):
    space = {"lr": 0.03, "momentum": 0.0, "decay_fraction": 0.01, "end_factor": 0.0}
    decayed = make_study(schedule={"name": "linear-decay"}, search={"space": space})
    results = run_cohort(
        decayed, training(), cohort_of([0.03], decay_fraction=0.01, end_factor=0.0)
    )
    assert results[0].outcome.status is Status.EXHAUSTED
    curve = results[0].curve
    assert curve.val_loss[-1] == pytest.approx(curve.val_loss[10], abs=1e-9)


IDLE = dict.fromkeys(
    ("weight_decay", "clip_norm", "warmup_steps", "ema_decay", "tail_average", "label_smoothing"),
    0.0,
)


@pytest.mark.parametrize("mode", ["packed", "looped"])
def test_options_that_are_off_change_no_bit(training, make_study, mode):
    made, space = training("smoothed"), make_study().as_data()["search"]["space"]
    plain = run_cohort(make_study(compute={"mode": mode}), made, cohort_of([0.3, 0.01]))
    idle = make_study(compute={"mode": mode}, search={"space": space | IDLE})
    for one, other in zip(
        plain, run_cohort(idle, made, cohort_of([0.3, 0.01], **IDLE)), strict=True
    ):
        np.testing.assert_array_equal(one.curve.train_loss, other.curve.train_loss)
        np.testing.assert_array_equal(one.curve.val_loss, other.curve.val_loss)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weight_decay", [0.3, 0.0]),
        ("clip_norm", [0.1, 0.0]),
        ("label_smoothing", [0.5, 0.0]),
        ("warmup_steps", [40.0, 0.0]),
        ("warmup_epochs", [2.0, 0.0]),
    ],
)
def test_an_option_acts_in_its_own_lane_only_packed_or_looped(training, make_study, name, values):
    made, space = training("smoothed"), make_study().as_data()["search"]["space"]
    searched = space | {name: {"low": 0.0, "high": max(values)}}
    plain = cohort_of([0.1, 0.1])
    points = [
        replace(point, values={**point.values, name: value})
        for point, value in zip(plain.points, values, strict=True)
    ]
    curves = {}
    for mode in ("packed", "looped"):
        study = make_study(
            compute={"mode": mode}, race={"to": "budget"}, search={"space": searched}
        )
        results = run_cohort(study, made, replace(plain, points=tuple(points)))
        curves[mode] = [result.curve.val_loss for result in results]
    np.testing.assert_allclose(curves["packed"], curves["looped"], rtol=1e-3)
    alone = run_cohort(make_study(race={"to": "budget"}), made, plain)
    np.testing.assert_allclose(curves["packed"][1], alone[1].curve.val_loss, rtol=1e-4)
    assert not np.allclose(curves["packed"][0], alone[0].curve.val_loss, rtol=1e-2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_reaches_the_target_in_the_middle_of_its_default_ranges(
    training, make_study, optimizer
):
    space = {n: entry.default for n, entry in OPTIMIZERS[optimizer].hyperparameters.items()}
    middle = {n: d.at(0.5) if isinstance(d, Range) else d for n, d in space.items() if n != "lr"}
    looped = {"mode": "looped"}  # which compiles nothing
    study = make_study(optimizer=optimizer, search={"space": space}, compute=looped)
    lrs = [space["lr"].at(position) for position in (0.3, 0.5, 0.7)]
    results = run_cohort(study, training(), cohort_of(lrs, **middle))
    assert Status.REACHED in {r.outcome.status for r in results}


def test_a_trial_that_raises_failed_with_the_error_as_message(training, make_study, monkeypatch):
    def explode(*_):
        raise RuntimeError("out of order")

    made = training()
    monkeypatch.setattr(made.workload, "loss", explode, raising=False)
    results = run_cohort(make_study(compute={"mode": "looped"}), made, cohort_of([0.1, 0.2]))
    assert {r.outcome.status for r in results} == {Status.FAILED}
    assert results[0].message == "RuntimeError: out of order"


class Decaying:
    """A workload with its own dynamics: the error is (1 - lr)^step."""

    target = Target(0.1, "loss")

    def lanes(self, setup):
        return _DecayingLanes(setup)


class _DecayingLanes:
    def __init__(self, setup):
        self.rate = 1 - setup.hyperparameters["lr"]
        self.error = np.ones_like(self.rate)

    def advance(self, steps):
        self.error = self.error * self.rate**steps
        return self.error

    def measure(self):
        return self.error, self.error

    def keep(self, lanes):
        self.rate, self.error = self.rate[lanes], self.error[lanes]


def test_a_workload_can_have_its_own_dynamics(make_study):
    study = make_study(compute={"mode": "dynamics"}, race={"quantity": "loss", "resolution": 0.001})
    results = run_cohort(study, Decaying(), cohort_of([0.1, 0.05]))
    assert results[0].outcome.steps == 22  # least n with 0.9^n < 0.1
    assert results[1].outcome.status is Status.CAPPED


@pytest.mark.parametrize(
    ("mode", "changes", "execution"),
    [
        ("packed", {"pack": {"lanes": 2}}, Execution("packed", 2, 4)),
        ("packed", {"pack": {"lanes": 8}, "micro_batch": 3}, Execution("packed", 3, 3)),
        ("looped", {"pack": {"lanes": 8}}, Execution("looped", 1, 4)),
    ],
)
def test_the_execution_is_recorded_and_changes_no_outcome(
    training, make_study, mode, changes, execution
):
    cohort = cohort_of([0.3, 0.1, 0.03])
    plain = run_cohort(make_study(), training(), cohort)
    results = run_cohort(make_study(compute=changes | {"mode": mode}), training(), cohort)
    assert {result.execution for result in results} == {execution}
    assert [r.outcome for r in results] == [r.outcome for r in plain]


def test_the_recorded_time_is_spent_in_training_and_evaluation(training, make_study):
    for result in run_cohort(make_study(), training(), cohort_of([0.3, 0.01])):
        seconds = result.seconds
        assert 0 < seconds.training + seconds.evaluation <= seconds.total
