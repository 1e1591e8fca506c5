"""What a workload may not do to parameters, which training owns: replace, share, hook, freeze."""

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
    """Return parameters and their memory, which cannot be reused as long as it is referenced."""
    return [(parameter, parameter.detach()) for parameter in model.parameters()]


def keeps(model: nn.Module, held: Sequence[tuple[nn.Parameter, Tensor]]) -> bool:
    """Return whether a model still has the parameters that `held_by` returned, in their memory."""
    now = list(model.parameters())
    return len(now) == len(held) and all(
        parameter is then and parameter.detach().is_set_to(memory)
        for parameter, (then, memory) in zip(now, held, strict=True)
    )


def refuse_common(one: nn.Module, other: nn.Module) -> None:
    """Refuse two models that share a parameter, such as a layer that `model()` keeps and resets."""
    trained = {p.data_ptr() for p in other.parameters() if p.requires_grad and p.numel()}
    for name, parameter in one.named_parameters():
        if parameter.data_ptr() in trained:
            raise WorkloadError(
                "model() must return a model of its own for each trial, got two that both train "
                f"{name}; build its layers in model(), or copy what is kept: copy.deepcopy(layer)"
            )


def refuse_views(model: nn.Module) -> None:
    """Refuse a tensor that shares a trained parameter's memory: updates would separate the two."""
    trained = {
        (p.untyped_storage().data_ptr(), p.untyped_storage().nbytes()): name
        for name, p in model.named_parameters()
        if p.requires_grad and p.numel()
    }
    for path, tensor in tensors_beside(model).items():
        address = _address(tensor)
        for (start, size), name in trained.items():
            if address is not None and start <= address < start + size:
                raise WorkloadError(
                    f"a model must hold no other tensor of a parameter's memory, got {path} for "
                    f"{name}; keep a copy, such as {name}.detach().clone(), or use the parameter "
                    "itself"
                )


def _address(values: Tensor | np.ndarray[Any, Any]) -> int | None:
    """Return the address of the first element of a tensor or an array; None without one."""
    if isinstance(values, np.ndarray):
        return values.ctypes.data if values.size else None
    return values.data_ptr() if values.layout is torch.strided and values.numel() else None


def hooked(model: nn.Module) -> str | None:
    """Return which parameter has a hook on its gradient, which a trace does not run; else None.

    Raises:
        WorkloadError: a hook waits for an accumulated gradient, which there never is.
    """
    for name, parameter in model.named_parameters():
        if parameter._post_accumulate_grad_hooks:
            raise WorkloadError(
                f"parameter {name} must have no post-accumulate-grad hook, since training does "
                "not accumulate gradients; use register_hook, which may change the gradient"
            )
        if parameter._backward_hooks:
            return f"parameter {name} has a hook on its gradient"
    return None


def refuse_interference(model: nn.Module, trained: Sequence[nn.Parameter]) -> None:
    """Refuse a `loss` that calls backward() or changes which parameters are trained."""
    kept = set(map(id, trained))
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            raise WorkloadError(
                f"`loss` must leave backward() to training, got a gradient in {name}; use "
                "torch.autograd.grad if the loss itself contains a gradient"
            )
        if parameter.requires_grad is not (id(parameter) in kept):
            raise WorkloadError(f"{FREEZING}, got a change of {name} while the loss is computed")
