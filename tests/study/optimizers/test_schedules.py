import math

import numpy as np
import pytest
import torch

from study.optimizers.schedules import SCHEDULES, lr_factor

SPAN = (1000, 25.0)
"""Steps of a trial, and of an epoch."""


def factors(name, steps, span=SPAN, **values):
    columns = {key: np.array([value], dtype=float) for key, value in values.items()}
    factor = lr_factor(SCHEDULES[name], *span, columns)
    return [float(factor(step)[0]) for step in steps]


def test_a_schedule_differs_from_lane_to_lane():
    values = {"decay_fraction": np.array([0.1, 0.1]), "end_factor": np.array([0.1, 0.5])}
    factor = lr_factor(SCHEDULES["linear-decay"], *SPAN, values)
    for step, expected in (
        (0, [1.0, 1.0]),
        (50, [0.55, 0.75]),
        (100, [0.1, 0.5]),
        (999, [0.1, 0.5]),
    ):
        np.testing.assert_allclose(factor(step), expected)


@pytest.mark.parametrize(
    ("name", "values", "at_half"),
    [
        ("linear-decay", {}, 0.5),
        ("cosine", {}, 0.5),
        ("polynomial", {"power": 1.0}, 0.5),
        ("polynomial", {"power": 2.0}, 0.25),
        ("polynomial", {"power": 0.5}, math.sqrt(0.5)),
    ],
)
@pytest.mark.parametrize("end", [0.0, 0.2])
def test_a_schedule_falls_from_one_to_its_end_factor_and_stays(name, values, at_half, end):
    seen = factors(name, (0, 100, 200, 999), decay_fraction=0.2, end_factor=end, **values)
    assert seen == pytest.approx([1.0, end + (1 - end) * at_half, end, end], abs=1e-12)


def test_wsd_is_stable_and_decays_over_the_last_share_of_the_budget():
    seen = factors("wsd", (0, 800, 900, 999), cooldown_fraction=0.2, end_factor=0.1)
    assert seen == pytest.approx([1.0, 1.0, 0.55, 0.1 + 0.9 / 200])
    warm = factors("wsd", (0, 9, 500), cooldown_fraction=1.0, end_factor=0.0, warmup_fraction=0.009)
    assert warm == pytest.approx([0.1, 0.991, 0.5])


def test_a_quarter_of_a_cosine():
    (seen,) = factors("cosine", [250], decay_fraction=1.0, end_factor=0.0)
    assert seen == pytest.approx((1 + math.sqrt(0.5)) / 2)


def rates_of_torch(make, steps):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("name", "values", "theirs"),
    [
        (
            "linear-decay",
            {"end_factor": 0.1},
            lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=80),
        ),
        (
            "cosine",
            {"end_factor": 0.1},
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=80, eta_min=0.1),
        ),
        (
            "polynomial",
            {"end_factor": 0.0, "power": 2.0},
            lambda o: torch.optim.lr_scheduler.PolynomialLR(o, total_iters=80, power=2.0),
        ),
        (
            "constant",
            {"warmup_steps": 79.0, "warmup_factor": 0.25},
            # torch's first factor is the factor of our first update
            lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.25 + 0.75 / 80, 1.0, total_iters=79),
        ),
    ],
)
def test_a_schedule_equals_the_one_in_torch(name, values, theirs):
    decay = {} if name == "constant" else {"decay_fraction": 0.8}
    ours = factors(name, range(81), (100, None), **decay, **values)
    assert ours == pytest.approx(rates_of_torch(theirs, 81), abs=1e-9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"warmup_steps": 4}, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]),
        ({"warmup_steps": 4, "warmup_factor": 0.5}, [0.6, 0.7, 0.8, 0.9, 1.0, 1.0]),
        ({"warmup_steps": 1.5}, [0.4, 0.8, 1.0, 1.0, 1.0, 1.0]),
        ({"warmup_steps": 0}, [1.0] * 6),
        ({"warmup_epochs": 0.16}, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]),  # of 25 steps each
    ],
)
def test_a_warm_up_rises_in_equal_increments(values, expected):
    assert factors("constant", range(6), **values) == pytest.approx(expected)


def test_a_warm_up_multiplies_the_schedule():
    decay = {"decay_fraction": 0.01, "end_factor": 0.0}
    warm = factors("constant", range(12), warmup_steps=3)
    plain = factors("linear-decay", range(12), **decay)
    both = factors("linear-decay", range(12), **decay, warmup_steps=3)
    assert both == pytest.approx([a * b for a, b in zip(warm, plain, strict=True)])


def test_a_constant_learning_rate_has_no_factor():
    assert lr_factor(SCHEDULES["constant"], *SPAN, {}) is None
    assert not SCHEDULES["constant"].hyperparameters
