"""Which points are trained, and how all batch sizes are timed."""

import pytest
import torch

from study.costing.measuring import Job, good_points, timed
from study.errors import StudyError
from study.planning.resolve import resolve
from study.records import Curve, Outcome, Point, Seconds, Status, TrialResult


def trial(size, number, steps=None, error=0.5):
    status = Status.EXHAUSTED if steps is None else Status.REACHED
    return TrialResult(
        batch_size=size,
        cohort=0,
        point=Point(trial=number, seed=number, values={"lr": 0.05, "momentum": 0.5}),
        curve=Curve.empty(),
        outcome=Outcome(
            status=status, steps=steps, steps_before=None, stopped_at=9, best_error=error
        ),
        seconds=Seconds(),
    )


def test_the_best_recorded_point_is_trained_where_any_trial_did():
    recorded = [
        trial(4, 0, 90, 0.01),
        trial(4, 1, 80, 0.04),
        trial(4, 2, None, 0.001),
        trial(16, 3, None, 0.4),
        trial(16, 4, None, 0.2),
        trial(16, 5, None, None),
        trial(64, 6, None, None),
    ]
    found = good_points(recorded)
    assert {size: point.trial for size, point in found.items()} == {4: 1, 16: 4}
    with pytest.raises(StudyError, match="run `sweep` first"):
        good_points([trial(4, 0, None, None)])


def test_all_batch_sizes_are_timed_on_the_threads_asked_for(make_study, shared_training):
    study = make_study()
    points = good_points([trial(4, 0, 9), trial(16, 0, 9)])
    job = Job(study=study, points=points, seconds=0.01, threads=2)
    told, before = [], torch.get_num_threads()
    rows = timed(job, shared_training(), told.append)
    assert told == [row["batch_size"] for row in rows] == [4, 16]
    assert {row["threads"] for row in rows} == {2}
    assert torch.get_num_threads() == before


def test_a_workload_with_its_own_dynamics_is_refused():
    study, quadratic = resolve(
        {"workload": "noisy-quadratic", "optimizer": "sgd", "batch_sizes": [4]}
    )
    job = Job(study=study, points=good_points([trial(4, 0, 9)]), seconds=0.01)
    with pytest.raises(StudyError, match="own dynamics; give its step times with --step"):
        timed(job, quadratic)


def test_a_step_that_raises_is_reported(make_study, training, monkeypatch):
    made = training()

    def broken(model, batch):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(made.workload, "loss", broken, raising=False)
    job = Job(study=make_study(), points=good_points([trial(4, 0, 9)]), seconds=0.01)
    with pytest.raises(StudyError, match="batch size 4 must train .* RuntimeError: no such kernel"):
        timed(job, made)
