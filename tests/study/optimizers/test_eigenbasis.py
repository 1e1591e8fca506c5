"""SOAP takes the steps of the library pytorch_optimizer, and of AdamW where there is no basis."""

import pytest
import torch

from study.optimizers import OPTIMIZERS, ParameterTensor, Role, Step, eigenbasis

VALUES = {
    "lr": [0.1, 0.02],
    "beta1": [0.95, 0.5],
    "beta2": [0.95, 0.8],
    "eps": [1e-12, 1e-12],
    "weight_decay": [0.1, 0.0],
    "adamw_lr_ratio": [1.0, 1.0],
}


@pytest.mark.parametrize("longest", [2048, 3])
def test_soap_takes_the_steps_of_a_library(setting, monkeypatch, longest):
    library = pytest.importorskip("pytorch_optimizer")
    monkeypatch.setattr(eigenbasis, "LARGEST_SIDE", longest)
    made = setting("soap", **VALUES)
    ours = made.moved()
    for lane in range(2):
        own, tensors, gradients = made.lane(lane)
        # of the kernel's long side one gradient tells two directions, and rounding the others
        matrices = [i for i, t in enumerate(tensors) if t.dim() == 2 or t.dim() > longest]
        tensors = [tensors[place].flatten(1) for place in matrices]
        theirs = library.SOAP(
            tensors,
            lr=own["lr"],
            betas=(own["beta1"], own["beta2"]),
            eps=own["eps"],
            weight_decay=own["weight_decay"],
            max_precondition_dim=longest,
        )
        for step, rate in zip(gradients, made.rates, strict=True):
            for tensor, place in zip(tensors, matrices, strict=True):
                tensor.grad = step[place].flatten(1)
            theirs.param_groups[0]["lr"] = rate * own["lr"]
            theirs.step()
        for tensor, place in zip(tensors, matrices, strict=True):
            # the library computes bases in single precision
            one = ours[place][lane].view(tensor.shape)
            torch.testing.assert_close(one, tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.MATRIX])
def test_all_but_hidden_matrices_move_by_adamw(role):
    gradient = torch.rand(1, 12, generator=torch.Generator().manual_seed(0))
    columns = {name: torch.full((1, 1), values[0]) for name, values in VALUES.items()}
    described, moved = (ParameterTensor("weight", (3, 4), role),), []
    for name, ratio in (("soap", 0.5), ("adamw", 1.0)):
        flat, optimizer = torch.ones(1, 12), OPTIMIZERS[name]
        rates = columns | {"adamw_lr_ratio": columns["lr"] * 0 + ratio}
        rates["lr"] = columns["lr"] * 0.5 / ratio
        step = Step.of(optimizer, described, columns)
        step(flat, gradient.clone(), optimizer.zeros(flat, described), rates)
        moved.append(flat)
    assert torch.allclose(*moved)


def test_rounding_has_no_say_in_the_first_bases():
    """Of the gradient of two examples, all but two directions are told by nothing."""
    generator = torch.Generator().manual_seed(1)
    gradients = torch.randn(3, 8, 2, generator=generator)
    gradients[1, 3] = 0  # an input that is always zero
    average = gradients @ gradients.mT
    average[2] = torch.nan
    bases = eigenbasis._eigenvectors(average)
    torch.testing.assert_close(bases.mT @ bases, torch.eye(8).expand(3, 8, 8), rtol=0, atol=1e-5)
    turned = bases.mT @ average @ bases
    torch.testing.assert_close(
        turned[:2], torch.diag_embed(turned.diagonal(dim1=1, dim2=2))[:2], rtol=0, atol=1e-4
    )
    assert (turned[:2].diagonal(dim1=1, dim2=2).diff() < 1e-4).all()
    noise = 1e-7 * torch.randn(8, 8, generator=generator) * average.abs()
    again = eigenbasis._eigenvectors(average + noise + noise.mT)
    alike = (bases * again).sum(1).abs()
    torch.testing.assert_close(alike, torch.ones(3, 8), rtol=0, atol=1e-4)
