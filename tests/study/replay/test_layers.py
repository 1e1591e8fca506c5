"""Ratios of gradient to weight norms, against torch's own autograd and optimizer."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from study.engine.cohort import run_cohort
from study.engine.data_order import DataOrder
from study.engine.networks.training import fresh_model
from study.errors import StudyError
from study.records import Cohort, Point, Status
from study.replay.layers import BATCHES, _moments, best_trials, measured_layers
from study.seeding import derive_seed
from workloads.registry import resolve

SEED, LR, MOMENTUM, SMOOTHING = 101, 0.02, 0.5, 0.2


def trained(study, made, **values):
    """Trains a cohort of three; gives them, the second to be looked into."""
    points = tuple(
        Point(trial=i, seed=SEED - 1 + i, values={"lr": lr, "momentum": MOMENTUM} | values)
        for i, lr in enumerate((1e-4, LR, 1e-3))
    )
    return run_cohort(study, made, Cohort(batch_size=study.batch_sizes[0], points=points))


def by_hand(made, size, steps, loss):
    """Return layer -> (|w|, mean |g|, |G|) after `steps` of torch's own optimizer."""
    model = fresh_model(made, SEED).train()
    sgd = torch.optim.SGD(model.parameters(), LR, momentum=MOMENTUM, nesterov=True)
    order = DataOrder([SEED], 90, size, torch.device("cpu"))

    def gradients(indices):
        sgd.zero_grad()
        loss(model, made.batch(indices)).backward()
        return {name: p.grad.norm().item() for name, p in model.named_parameters()}

    for _ in range(steps):
        gradients(order.next()[0])
        sgd.step()
    drawn = [gradients(order.next()[0]) for _ in range(BATCHES)]
    full = gradients(torch.arange(90))
    return {
        name: (p.detach().norm().item(), sum(d[name] for d in drawn) / BATCHES, full[name])
        for name, p in model.named_parameters()
    }


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("plain", {}),
        ("plain", {"compute": {"micro_batch": 3}}),
        ("smoothed", {}),
        ("batch norm", {"compute": {"mode": "looped"}}),
    ],
)
def test_the_ratios_are_those_of_torch(shared_training, make_study, kind, changes):
    made = shared_training(kind)
    space = make_study().as_data()["search"]["space"]
    values = {"label_smoothing": SMOOTHING} if kind == "smoothed" else {}
    study = make_study(batch_sizes=[8], search={"space": space | values}, **changes)
    recorded = trained(study, made, **values)
    trial = recorded[1]
    assert trial.outcome.status is Status.REACHED
    rows = measured_layers(study, made, trial, recorded)
    assert {row["moment"] for row in rows} == {"start", "between", "end"}
    loss = partial(made.workload.loss, **values)
    for moment, steps in (("start", 0), ("end", trial.outcome.steps)):
        expected = by_hand(made, 8, steps, loss)
        found = {row["layer"]: row for row in rows if row["moment"] == moment}
        assert list(found) == list(expected)
        for name, (weight, gradient, full) in expected.items():
            row = found[name]
            assert row["step"] == steps
            assert row["weight_norm"] == pytest.approx(weight, rel=1e-4)
            assert row["gradient_norm"] == pytest.approx(gradient, rel=1e-3)
            if weight == 0:  # batch norm's bias at the start
                assert row["ratio"] is None
                continue
            assert row["ratio"] == pytest.approx(gradient / weight, rel=1e-3)
            if kind != "batch norm":  # whose full gradient is that of batches of its own size
                assert row["full_gradient_norm"] == pytest.approx(full, rel=1e-3)
                assert row["full_ratio"] == pytest.approx(full / weight, rel=1e-3)


def test_a_tensor_that_is_zero_has_no_ratio(training, make_study):
    made, plain = training(), training().workload.model

    def zeroed():
        model = plain()
        torch.nn.init.zeros_(model[2].bias)
        return model

    made.workload.model = zeroed
    study = make_study(batch_sizes=[8])
    recorded = trained(study, made)
    rows = measured_layers(study, made, recorded[1], recorded)
    without = {(row["layer"], row["step"]) for row in rows if row["ratio"] is None}
    assert without == {("2.bias", 0)}
    assert all(row["gradient_norm"] > 0 for row in rows)


def test_a_model_that_draws_is_measured_the_same_way_twice(shared_training, make_study):
    made, study = (
        shared_training("dropout"),
        make_study(batch_sizes=[8], compute={"mode": "looped"}),
    )
    recorded = trained(study, made)
    before = torch.get_rng_state()
    first, second = (measured_layers(study, made, recorded[1], recorded) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)
    assert derive_seed(SEED, "layers", 0) != derive_seed(SEED, "model")


def test_the_moments_between_are_even_in_the_logarithm():
    measured = [*range(34), *(round(34 * 1.03**n) for n in range(150))]
    between = dict.fromkeys((6, 32, 178), "between")  # 1000^(1/4), 1000^(1/2), 1000^(3/4)
    assert _moments(measured, 1000) == {0: "start", **between, 1000: "end"}
    assert _moments([0, 1], 1) == {0: "start", 1: "end"}
    assert _moments([0, 1, 2], 2) == {0: "start", 1: "between", 2: "end"}


def test_the_best_trials_are_those_that_reached_first(shared_training, make_study):
    study = make_study(batch_sizes=[8, 16])
    recorded = trained(study, shared_training())
    (best,) = best_trials(study, recorded, None)
    assert best.point == recorded[1].point
    assert best_trials(study, recorded, [8, 8]) == [best]
    with pytest.raises(StudyError, match="must be among those that reached the target, 8, got 16"):
        best_trials(study, recorded, [16])
    with pytest.raises(StudyError, match="reached the target, got none"):
        best_trials(study, [recorded[0]], None)


def test_a_trial_that_does_not_reach_again_is_refused(shared_training, make_study):
    study, made = make_study(batch_sizes=[8]), shared_training()
    recorded = trained(study, made)
    steps = recorded[1].outcome.steps
    early = replace(recorded[1], outcome=replace(recorded[1].outcome, steps=steps - 1))
    with pytest.raises(StudyError, match=f"recorded at step {steps - 1}, and now at error"):
        measured_layers(study, made, early, recorded)


def test_a_workload_without_a_network_is_refused(shared_training, make_study):
    study = make_study(batch_sizes=[8])
    recorded = trained(study, shared_training())
    with pytest.raises(StudyError, match="only a network has layers"):
        measured_layers(study, resolve("noisy-quadratic"), recorded[1], recorded)
