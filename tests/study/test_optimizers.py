import pytest
import torch

from study.optimizers import OPTIMIZERS

TORCH_FORM = {
    "sgd": {},
    "heavy-ball": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_rule_takes_the_steps_of_torch(name):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(1, 5, generator=generator, dtype=torch.float64)
    reference = start[0].clone().requires_grad_()
    theirs = torch.optim.SGD([reference], lr=0.1, **TORCH_FORM[name])
    rule = OPTIMIZERS[name]
    ours = start.clone()
    buffers = {buffer: torch.zeros_like(ours) for buffer in rule.buffers}
    values = {n: torch.tensor([[v]]) for n, v in (("lr", 0.1), ("momentum", 0.9))}
    for _ in range(60):
        gradient = torch.randn(1, 5, generator=generator, dtype=torch.float64)
        rule.update(ours, gradient.clone(), buffers, values)
        reference.grad = gradient[0].clone()
        theirs.step()
    torch.testing.assert_close(ours[0], reference.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_lane_is_moved_by_its_own_hyperparameters_alone(name):
    rule = OPTIMIZERS[name]
    start, gradient = torch.ones(2, 3), torch.ones(2, 3)
    buffers = {buffer: torch.zeros_like(start) for buffer in rule.buffers}
    values = {"lr": torch.tensor([[0.5], [0.0]]), "momentum": torch.tensor([[0.9], [0.9]])}
    rule.update(start, gradient, buffers, values)
    assert torch.equal(start[1], torch.ones(3))
    assert (start[0] < 1).all()
