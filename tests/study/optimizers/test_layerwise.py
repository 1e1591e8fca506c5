"""LARS, LAMB and MERIT against their equations, written out for one tensor at a time."""

import pytest
import torch

from study.optimizers import OPTIMIZERS, Step
from study.optimizers.parameters import tensors_of_shapes

LARS = {
    "lr": [30.0, 2.0],
    "momentum": [0.9, 0.0],
    "trust_coefficient": [1e-2, 1e-3],
    "weight_decay": [5e-4, 0.0],
}
LAMB = {
    "lr": [0.1, 0.01],
    "beta1": [0.9, 0.0],
    "beta2": [0.999, 0.95],
    "eps": [1e-6, 1e-3],
    "weight_decay": [0.01, 0.0],
}


def lars(v, weights, gradients, rates):
    """v = m v + lr_t r (g + b w), w = w - v, r = trust |w| / (|g| + b |w|)."""
    velocity = torch.zeros_like(weights)
    for g, rate in zip(gradients, rates, strict=True):
        size, slope = weights.norm().item(), g.norm().item()
        ratio = v["trust_coefficient"] * size
        ratio = ratio / (slope + v["weight_decay"] * size) if size and slope else 1.0
        velocity = v["momentum"] * velocity + rate * v["lr"] * ratio * (
            g + v["weight_decay"] * weights
        )
        weights = weights - velocity
    return weights


def lamb(v, weights, gradients, rates):
    """u = m^ / (sqrt(v^) + eps) + b w, w = w - lr_t |w| / |u| u."""
    first = second = torch.zeros_like(weights)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        first = v["beta1"] * first + (1 - v["beta1"]) * g
        second = v["beta2"] * second + (1 - v["beta2"]) * g * g
        corrected = (first / (1 - v["beta1"] ** t), second / (1 - v["beta2"] ** t))
        u = corrected[0] / (corrected[1].sqrt() + v["eps"]) + v["weight_decay"] * weights
        size, length = weights.norm().item(), u.norm().item()
        weights = weights - rate * v["lr"] * (size / length if size and length else 1.0) * u
    return weights


def merit(v, weights, gradients, rates):
    """u = m / (sqrt(v) + eps) + b w, w = w - lr_t clip(r u, -1, 1), r element by element."""
    first = second = torch.zeros_like(weights)
    for g, rate in zip(gradients, rates, strict=True):
        first = v["beta1"] * first + (1 - v["beta1"]) * g
        second = v["beta2"] * second + (1 - v["beta2"]) * g * g
        u = first / (second.sqrt() + v["eps"]) + v["weight_decay"] * weights
        clipped = (merit_ratio(weights, u) * u).clamp(-1, 1)
        weights = weights - rate * v["lr"] * clipped
    return weights


def merit_ratio(weights, u):
    def greatest(tensor):
        return tensor.abs().max().item()

    full = (greatest(weights), greatest(u))
    ratio = torch.ones_like(weights)
    if weights.dim() < 2:
        return ratio * (full[0] / full[1] if all(full) else 1.0)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in weights.shape)).tolist():
        row, column = list(place), list(place)
        row[1] = column[0] = slice(None)
        four = [greatest(t[tuple(line)]) for line in (row, column) for t in (weights, u)]
        if all(four):
            ratios = (four[0] / four[1], four[2] / four[3], full[0] / full[1])
            ratio[tuple(place)] = max(ratios)
    return ratio


@pytest.mark.parametrize(
    ("name", "equations", "values"),
    [("lars", lars, LARS), ("lamb", lamb, LAMB), ("merit", merit, LAMB)],
)
def test_every_tensor_follows_the_equations_of_the_paper(setting, name, equations, values):
    made = setting(name, **values)
    ours = made.moved()
    for lane in range(2):
        own, start, gradients = made.lane(lane)
        for index, weights in enumerate(start):
            expected = equations(own, weights, [step[index] for step in gradients], made.rates)
            torch.testing.assert_close(ours[index][lane], expected, rtol=1e-9, atol=1e-11)


def first_step(name, weights, gradient, **values):
    optimizer = OPTIMIZERS[name]
    flat = weights.flatten()[None].clone()
    columns = {n: torch.full((1, 1), v, dtype=flat.dtype) for n, v in values.items()}
    step = Step.of(optimizer, tensors_of_shapes((tuple(weights.shape),)), values)
    step(flat, gradient.flatten()[None].clone(), optimizer.zeros(flat, step.described), columns)
    return flat.view(weights.shape)


ADAPTIVE = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "weight_decay": 0.0}


def test_the_first_step_of_lamb_moves_a_tensor_by_lr_times_its_norm():
    weights = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    moved = first_step("lamb", weights, torch.tensor([[1e3, 1e-2]]).double(), **ADAPTIVE)
    assert (moved - weights).norm().item() == pytest.approx(0.01 * 5, rel=1e-9)


def test_a_zero_tensor_has_a_ratio_of_one():
    zeros, gradient = torch.zeros(2, 2).double(), torch.tensor([[1.0, -2.0], [0.5, 0.1]]).double()
    lars_values = {"lr": 0.5, "momentum": 0.0, "trust_coefficient": 1e-3, "weight_decay": 0.1}
    torch.testing.assert_close(first_step("lars", zeros, gradient, **lars_values), -0.5 * gradient)
    sign = gradient.sign()
    torch.testing.assert_close(
        first_step("lamb", zeros, gradient, **ADAPTIVE), -0.01 * sign, rtol=1e-4, atol=0
    )
    # uncorrected, m / sqrt(v) is 3.2 in the first step, and clipped
    torch.testing.assert_close(first_step("merit", zeros, gradient, **ADAPTIVE), -0.01 * sign)


def test_merit_moves_no_parameter_by_more_than_the_learning_rate():
    generator = torch.Generator().manual_seed(0)
    weights = 100 * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    gradient = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    moved = first_step("merit", weights, gradient, **ADAPTIVE)
    assert (moved - weights).abs().max().item() <= 0.01 + 1e-12


def test_the_learning_rate_of_lars_is_inside_the_buffer():
    """After a step at rate 1 and one at rate 0, the second moves by m times the first."""
    optimizer = OPTIMIZERS["lars"]
    flat = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    start, buffers = flat.clone(), optimizer.zeros(flat, tensors_of_shapes(((2,),)))
    values = {"momentum": 0.5, "trust_coefficient": 1.0, "weight_decay": 0.0}
    columns = {n: torch.full((1, 1), v, dtype=flat.dtype) for n, v in values.items()}
    step = Step.of(optimizer, tensors_of_shapes(((2,),)), columns)
    moves = []
    for rate in (0.1, 0.0):
        before = flat.clone()
        lr = torch.full((1, 1), rate, dtype=flat.dtype)
        step(flat, torch.ones_like(flat), buffers, columns | {"lr": lr})
        moves.append(flat - before)
    torch.testing.assert_close(moves[1], 0.5 * moves[0])
    assert not torch.equal(flat, start)
