"""Batch schedules: their stages and plans, what trains by them, and what refuses them."""

from pathlib import Path

import numpy as np
import pytest

from study.engine.cohort import build_lanes
from study.errors import StudyError
from study.planning.resolve import resolve
from study.records import Cohort, Point

BLOBS = f"{Path(__file__).parents[2] / 'blobs.py'}:Blobs"
WARM_UP = {"stages": [[0.0, 0.25], [0.1, 0.5], [0.3, 1.0]]}
SEESAW = {
    "batch_schedule": {"rule": "seesaw", "most": 8.0},
    "schedule": {"name": "cosine"},
    "search": {"space": {"decay_fraction": 1.0}},
}


def made(**changes):
    data = {"workload": "noisy-quadratic", "optimizer": "heavy-ball", "batch_sizes": [8, 64]}
    return resolve(data | {"race": {"max_steps": 100}} | changes)


def test_stages_are_planned_in_examples_and_recorded():
    study, _ = made(batch_schedule=WARM_UP)
    assert study.batch_plans == {
        "8": ((0, 2), (40, 4), (80, 8)),
        "64": ((0, 16), (40, 32), (80, 64)),
    }
    assert (study.budget(64), study.horizon(64), study.budgets_differ) == (150, 100, True)
    again, _ = resolve(study.as_data())
    assert again == study
    grown, _ = resolve(study.as_data() | {"batch_sizes": [8, 16, 64]})
    assert grown.digest() == study.digest()


def test_seesaw_doubles_where_the_schedule_halves():
    study, _ = made(**SEESAW)
    stages = study.batch_schedule.stages
    assert [multiple for _, multiple in stages] == [1, 2, 4, 8]
    halves = [np.arccos(2 * 0.5**k - 1) / np.pi for k in range(4)]
    assert [share for share, _ in stages] == pytest.approx(halves, abs=6e-4)
    assert resolve(study.as_data())[0] == study


@pytest.mark.parametrize("changes", [{"batch_schedule": WARM_UP}, SEESAW])
def test_the_quadratic_follows_its_recursion(changes):
    study, workload = made(**changes)
    size, lr, momentum = 64, 0.3, 0.6
    steps = study.budget(size) // 4 * 4
    values = {"lr": lr, "momentum": momentum, "decay_fraction": 1.0, "end_factor": 0.0}
    point = Point(trial=0, seed=1, values={n: values[n] for n in study.hyperparameters})
    lanes = build_lanes(study, workload, Cohort(batch_size=size, points=(point,)))
    found = [lanes.advance(steps // 4)[0] for _ in range(4)]

    used, expected = 0, []
    moments = [np.diag([1.0, 0.0]) for _ in workload.curvature]
    for step in range(steps):
        share = used / (size * 100)
        multiple = [m for start, m in study.batch_schedule.stages if share >= start][-1]
        batch, rate = round(size * multiple), lr * multiple**0.5
        if study.schedule.name == "cosine":
            rate *= (1 + np.cos(np.pi * (used // size) / 100)) / 2
        for i, (h, c) in enumerate(zip(workload.curvature, workload.noise, strict=True)):
            turn = np.array([[1 - rate * h, -rate * momentum], [h, momentum]])
            kick = np.array([-rate, 1.0])
            moments[i] = turn @ moments[i] @ turn.T + np.outer(kick, kick) * c / batch
        used += batch
        if (step + 1) % (steps // 4) == 0:
            diagonal = np.array([m[0, 0] for m in moments])
            expected.append(0.5 * (workload.curvature * diagonal).sum())
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_schedule": {}}, "one of `stages` and `rule` must be given, got neither"),
        ({"batch_schedule": WARM_UP | {"rule": "seesaw"}}, "must be given, got both"),
        (
            {"batch_schedule": WARM_UP | {"most": 4.0}},
            "`most` must be left out if `stages` are given",
        ),
        ({"batch_schedule": {"stages": [[0.1, 1.0]]}}, r"must begin at 0 and rise, got \[0.1\]"),
        (
            {"batch_schedule": {"stages": [[0.0, 1.0], [0.5, 2.0], [0.5, 4.0]]}},
            "must begin at 0 and rise",
        ),
        ({"batch_schedule": {"stages": [[0.0, 0.5]]}}, "must have the multiple 1, which is the"),
        ({"batch_schedule": {"rule": "seesaw", "lr": "same"}}, "`lr` must be left out if `rule`"),
        ({"batch_schedule": {"rule": "seesaw"}}, "rule needs a schedule of the learning rate, got"),
        (SEESAW | {"search": {}}, "decay_fraction must be a number for batch_schedule.rule, got"),
        (
            SEESAW | {"search": {"space": {"decay_fraction": 1.0, "end_factor": 0.6}}},
            "that halves the learning rate, got 'cosine' down to 0.6",
        ),
        (
            {"batch_schedule": WARM_UP, "mode": "recipe", "recipe": {"rule": "linear", "base": 8}},
            'must be left out for mode = "recipe"',
        ),
        (
            {
                "workload": BLOBS,
                "optimizer": "sgd",
                "batch_schedule": {"stages": [[0, 1], [0.5, 2]]},
            },
            "must keep batches within the 90 training examples, got 128 at batch size 64; leave",
        ),
        (
            {"batch_schedule": {"stages": [[0, 4], [0.5, 1]]}, "race": {"max_steps": 3}},
            "must begin with a batch within the budget, 24 examples at batch size 8, got 32",
        ),
    ],
)
def test_batch_schedules_without_meaning_are_refused(changes, message):
    with pytest.raises(StudyError, match=message):
        made(**changes)
