"""What a workload does to parameters, which training owns: replace, share, hook or freeze them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError
from workloads.examination.python_state import tensors_beside

FREEZING = (
    "what is trained must stay the same through a trial: freeze parameters in model(), or detach() "
    "what must not reach them, in place of setting requires_grad"
)


def held_by(model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """Return parameters and their memory, which no other tensor can get while it is held."""
    return [(parameter, parameter.detach()) for parameter in model.parameters()]


def keeps(model: nn.Module, held: Sequence[tuple[nn.Parameter, Tensor]]) -> bool:
    """Return whether a model has the same parameters, in the same memory."""
    now = list(model.parameters())
    return len(now) == len(held) and all(
        parameter is then and parameter.detach().is_set_to(memory)
        for parameter, (then, memory) in zip(now, held, strict=True)
    )


def refuse_common(one: nn.Module, other: nn.Module) -> None:
    """Refuse two models that train one memory, as a layer that `model()` keeps and resets."""
    held = {p.data_ptr() for p in other.parameters() if p.requires_grad and p.numel()}
    for name, parameter in one.named_parameters():
        if parameter.data_ptr() in held:
            raise WorkloadError(
                "model() must return a model of its own for each trial, got two that both train "
                f"{name}; build its layers in model(), or copy what is kept: copy.deepcopy(layer)"
            )


def refuse_views(model: nn.Module) -> None:
    """Refuse another tensor of a trained parameter's memory, which the first update would part."""
    trained = {
        (p.untyped_storage().data_ptr(), p.untyped_storage().nbytes()): name
        for name, p in model.named_parameters()
        if p.requires_grad and p.numel()
    }
    for path, tensor in tensors_beside(model).items():
        place = _place(tensor)
        for (start, size), name in trained.items():
            if place is not None and start <= place < start + size:
                raise WorkloadError(
                    f"a model must hold no other tensor of a parameter's memory, got {path} for "
                    f"{name}; keep a copy, as {name}.detach().clone(), or ask for the parameter "
                    "where it is needed"
                )


def _place(held: Tensor | np.ndarray[Any, Any]) -> int | None:
    """Return where the elements of a tensor or an array begin; None where that is not known."""
    if isinstance(held, np.ndarray):
        return held.ctypes.data if held.size else None
    return held.data_ptr() if held.layout is torch.strided and held.numel() else None


def hooked(model: nn.Module) -> str | None:
    """Return that a gradient hook is on a parameter, which a trace does not run; None without one.

    Raises:
        WorkloadError: a hook would run where gradients are accumulated, which never happens.
    """
    for name, parameter in model.named_parameters():
        if parameter._post_accumulate_grad_hooks:
            raise WorkloadError(
                f"parameter {name} must have no hook for when its gradient is accumulated, since "
                "an update takes the gradient itself; use register_hook, which may change it"
            )
        if parameter._backward_hooks:
            return f"parameter {name} has a hook on its gradient"
    return None


def refuse_interference(model: nn.Module, trained: Sequence[nn.Parameter]) -> None:
    """Refuse that `loss` does what training does: say what is trained, or go backward."""
    kept = set(map(id, trained))
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            raise WorkloadError(
                f"`loss` must leave backward() to training, got a gradient in {name}; use "
                "torch.autograd.grad where the loss itself holds one"
            )
        if parameter.requires_grad is not (id(parameter) in kept):
            raise WorkloadError(f"{FREEZING}, got a change of {name} while the loss is computed")
