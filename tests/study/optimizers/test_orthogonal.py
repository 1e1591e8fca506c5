"""Muon takes the steps of torch's Muon and AdamW, each on its own parameters."""

import pytest
import torch

from study.optimizers import OPTIMIZERS, ParameterTensor, Role, Step

VALUES = {
    "lr": [0.1, 0.02],
    "momentum": [0.95, 0.0],
    "weight_decay": [0.1, 0.0],
    "adamw_lr_ratio": [0.3, 2.0],
    "beta1": [0.9, 0.0],
    "beta2": [0.95, 0.9],
    "eps": [1e-8, 0.1],
}


@pytest.fixture
def double(monkeypatch):
    """Let torch's Muon compute as precisely as its input is."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def test_muon_takes_the_steps_of_torch_with_kernels_as_matrices(setting, double):
    made = setting("muon", **VALUES)
    ours = made.moved()
    for lane in range(2):
        own, tensors, gradients = made.lane(lane)
        tensors = [t.flatten(1) if t.dim() > 1 else t for t in tensors]
        theirs = torch_optimizers(tensors, own)
        for step, rate in zip(gradients, made.rates, strict=True):
            for tensor, gradient in zip(tensors, step, strict=True):
                tensor.grad = gradient.view(tensor.shape)
            for optimizer, lr in theirs:
                optimizer.param_groups[0]["lr"] = rate * lr
                optimizer.step()
        for one, other in zip(ours, tensors, strict=True):
            torch.testing.assert_close(one[lane].view(other.shape), other, rtol=1e-9, atol=1e-11)


def torch_optimizers(tensors, own):
    """Return pairs of an optimizer and its learning rate."""
    decay = own["weight_decay"]
    muon = torch.optim.Muon(
        [t for t in tensors if t.dim() > 1],
        weight_decay=decay,
        momentum=own["momentum"],
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        [t for t in tensors if t.dim() < 2],
        betas=(own["beta1"], own["beta2"]),
        eps=own["eps"],
        weight_decay=decay,
    )
    return [(muon, own["lr"]), (adamw, own["lr"] * own["adamw_lr_ratio"])]


@pytest.mark.parametrize("role", Role)
def test_only_hidden_matrices_move_by_muon(role):
    shape, gradient = (3, 4), torch.rand(1, 12, generator=torch.Generator().manual_seed(0))
    columns = {name: torch.full((1, 1), values[0]) for name, values in VALUES.items()}
    moved = []
    for name in ("muon", "adamw"):
        flat, optimizer = torch.ones(1, 12), OPTIMIZERS[name]
        step = Step.of(optimizer, (ParameterTensor("weight", shape, role),), columns)
        rates = columns | {"lr": columns["lr"] * (columns["adamw_lr_ratio"] if moved else 1)}
        step(flat, gradient.clone(), optimizer.zeros(flat, step.described), rates)
        moved.append(flat)
    assert torch.allclose(*moved) is (role is not Role.MATRIX)
