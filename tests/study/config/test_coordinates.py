"""Hyperparameters in units of examples: what follows from them, and where they are refused."""

from pathlib import Path

import numpy as np
import pytest

from study.config.coordinates import complete
from study.config.space import Range
from study.errors import StudyError
from study.planning.resolve import resolve
from study.search.queue import CohortQueue

BLOBS = f"{Path(__file__).parents[2] / 'blobs.py'}:Blobs"
FOUND = {32: 0.999, 64: 0.998, 128: 0.996, 256: 0.992, 512: 0.984, 1024: 0.968}
BOX = {"low": 1e3, "high": 1e5, "scale": "log"}


def made(**changes):
    return resolve({"workload": BLOBS, "batch_sizes": [4, 16]} | changes)[0]


@pytest.mark.parametrize(("size", "beta2"), FOUND.items())
def test_a_half_life_is_the_rule_of_practice(size, beta2):
    half_life = 32 * np.log(0.5) / np.log(0.999)
    values = complete({"lr": 0.1, "beta2_half_life": half_life}, size)
    assert values["beta2"] == pytest.approx(beta2, abs=6e-4)
    assert values["beta2"] ** (half_life / size) == pytest.approx(0.5)


def test_the_time_of_weight_decay_is_in_examples():
    values = complete({"lr": 0.1, "weight_decay_time": 1e4}, 50)
    left = (1 - values["lr"] * values["weight_decay"]) ** (1e4 / 50)
    assert left == pytest.approx(np.exp(-1), rel=0.01)


def test_a_search_proposes_coordinates_and_trains_with_what_follows():
    study = made(
        optimizer="adamw",
        search={"space": {"beta2_half_life": BOX, "weight_decay_time": BOX}},
    )
    assert "beta2" not in study.search.space
    assert study.hyperparameters[-2:] == ("beta2", "weight_decay")
    cohort = CohortQueue(study, []).take()
    for point in cohort.points:
        assert tuple(point.values) == study.hyperparameters
        assert point.values == complete(point.values, cohort.batch_size)
        assert 1e3 <= point.values["beta2_half_life"] <= 1e5


def test_a_half_life_replaces_the_default_of_the_workload():
    study = made(search={"space": {"momentum_half_life": 500.0}})
    assert isinstance(study.search.space["lr"], Range)
    assert "momentum" not in study.search.space
    assert study.hyperparameters[-1] == "momentum"


def test_an_average_of_the_weights_has_a_half_life_too():
    space = {"ema_half_life": {"low": 20, "high": 2000, "scale": "log"}}
    study = made(search={"space": space}, race={"weights": "averaged"})
    cohort = CohortQueue(study, []).take()
    for point in cohort.points:
        assert point.values["ema_decay"] == 0.5 ** (
            cohort.batch_size / point.values["ema_half_life"]
        )
    with pytest.raises(StudyError, match="ema_half_life must be a number where the target refers"):
        made(search={"space": space})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"search": {"space": {"momentum_half_life": 500.0, "momentum": 0.9}}},
            "must give momentum or its coordinate in examples, got both; remove one",
        ),
        ({"search": {"space": {"beta2_half_life": 500.0}}}, "got 'beta2_half_life'"),
        ({"search": {"space": {"momentum_half_life": 0.0}}}, r"must lie in \(0, inf\), got 0"),
        (
            {"optimizer": "adamw", "search": {"space": {"weight_decay_time": 16.0}}},
            "must exceed the largest batch size, 16 examples, got 16.0: one step",
        ),
        (
            {
                "federated": {"clients": 2, "local_steps": 1},
                "search": {"space": {"momentum_half_life": 500.0}},
            },
            "momentum_half_life must be left out in a federated study, got 500.0",
        ),
    ],
)
def test_coordinates_without_meaning_are_refused(changes, message):
    with pytest.raises(StudyError, match=message):
        made(**changes)
