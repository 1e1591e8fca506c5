"""Checks of a workload's target, data, model, loss and error before anything is trained."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from workloads.errors import WorkloadError
from workloads.items import Items, is_map_style
from workloads.trees import leaves, mapped, named_leaves
from workloads.workload import Data, Examples, Target, Workload

Measure = Callable[[nn.Module, Examples], Tensor]
"""A workload's `loss` or `error`."""

_ROUNDING = 1e-6
_NOT_INDEXABLE = {torch.uint16, torch.uint32, torch.uint64}
_NOT_REAL = {torch.bool, torch.complex64, torch.complex128}
_UPPER = {"error": 1.0, "loss": math.inf}


def sound_target(target: object) -> Target:
    """Return the target if it is one, in (0, 1) for an error or above 0 for a loss; else refuse."""
    if not isinstance(target, Target):
        raise WorkloadError(f"`target` must be a Target, got {target!r}; for example Target(0.05)")
    if target.quantity not in _UPPER:
        raise WorkloadError(f"the target's quantity must be error or loss, got {target.quantity!r}")
    upper, value = _UPPER[target.quantity], target.value
    if isinstance(value, bool | str) or not _is_between(0, value, upper):
        raise WorkloadError(
            f"a target on the {target.quantity} must lie in (0, {upper:g}), got {value!r:.100}"
            f"{above_one(value)}"
        )
    return target


def above_one(value: Any) -> str:
    """Return a remedy for a target of `value` on an error; empty if it is below 1."""
    if isinstance(value, bool) or not _is_between(1, value, math.inf):
        return ""
    percent = f"write {value / 100:g} for {value:g} %, or " if value <= 100 else ""
    return f'; {percent}Target({value:g}, quantity="loss") for a loss'


def _is_between(low: float, value: Any, high: float) -> bool:
    try:
        return bool(low < value < high)
    except TypeError:
        return False


def sound_data(data: object) -> Data:
    """Return data that a model can be trained on, with `Items` of data sets; refuse all others."""
    if not isinstance(data, Data):
        raise WorkloadError(
            f"data() must return a Data, got {type(data).__name__}; return "
            "Data(train=Examples(...), validation=Examples(...))"
        )
    sound: dict[str, Any] = {
        name: _sound_split(name, split, values_checked=name != "train" or not data.mapped)
        for name, split in data.splits.items()
    }
    return replace(data, **sound)


def _sound_split(split: str, given: object, *, values_checked: bool) -> Examples | Items:
    if isinstance(given, Examples):
        _sound_examples(split, given, values_checked=values_checked)
        return given
    if not isinstance(given, Items) and not is_map_style(given):
        raise WorkloadError(
            f"{split} must be Examples, got {type(given).__name__}; write "
            "Examples(inputs, targets), or give a map-style data set, with __len__ and __getitem__"
        )
    items = given if isinstance(given, Items) else Items(given)
    if items.size == 0:
        raise WorkloadError(f"{split} must hold examples, got none")
    if split != "train" and items.draws is not None:
        raise WorkloadError(
            f"an item of {split} must not be random, since every trial is measured on the same "
            f"examples, got draws from {items.draws}; augment what is trained on alone"
        )
    _sound_examples(split, items.checked(split), values_checked=True)
    return items


def _sound_examples(split: str, examples: Examples, *, values_checked: bool) -> None:
    for part, tree in examples._asdict().items():
        if not leaves(tree):
            raise WorkloadError(
                f"{part} of {split} must hold a tensor, got an empty {type(tree).__name__}"
            )
    named = {path.removeprefix("."): leaf for path, leaf in named_leaves(examples)}
    for name, tensor in named.items():
        if wrong := _fault(tensor):
            raise WorkloadError(
                f"{name} of {split} must be a tensor whose first axis is the examples, got {wrong}"
            )
    first, count = next(iter(named)), examples.size
    if count == 0:
        raise WorkloadError(f"{split} must hold examples, got none")
    for name, tensor in named.items():
        if len(tensor) != count:
            raise WorkloadError(
                f"{split} must have one row per example in every tensor, got {len(tensor)} for "
                f"{count} in {name} and {first}"
            )
    if values_checked:
        sound_values(split, examples)


def _fault(leaf: object) -> str:
    """Return why batches cannot be drawn from a leaf, and a remedy; empty if they can."""
    if leaf is None:
        return "None; leave it out"
    if not isinstance(leaf, Tensor):
        return f"{type(leaf).__name__}; convert it with torch.as_tensor, or to a dict or dataclass"
    if leaf.is_nested or leaf.layout is not torch.strided:
        return "one that is sparse or nested; convert it with to_dense(), or pad it"
    if leaf.dtype in _NOT_INDEXABLE or leaf.is_quantized:
        return f"one of {leaf.dtype}, which torch draws no batches from; convert it to torch.int32"
    return "" if leaf.dim() else "one without dimensions"


def sound_values(split: str, examples: Examples) -> None:
    """Refuse NaN and infinity in the examples of a split, which messages name."""
    for path, tensor in named_leaves(examples):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            wrong = int((~torch.isfinite(tensor)).reshape(len(tensor), -1).any(dim=1).sum())
            raise WorkloadError(
                f"{path.removeprefix('.')} of {split} must be finite, got NaN or infinity in "
                f"{wrong:,} of {len(tensor):,} examples; leave them out, or replace these values"
            )


def sound_model(model: object) -> nn.Module:
    """Return the model if it can be trained; refuse it if not."""
    if not isinstance(model, nn.Module):
        raise WorkloadError(f"model() must return a torch.nn.Module, got {type(model).__name__}")
    _refuse_shared_memory(model)
    types: dict[torch.dtype, str] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.numel():
            types.setdefault(parameter.dtype, name)
    if not types:
        raise WorkloadError("a model must have parameters that require a gradient, got none")
    # mixed types do not fit into one vector, and low precision loses small updates
    if len(types) > 1 or not set(types) <= {torch.float32, torch.float64}:
        named = (f"{str(kind).removeprefix('torch.')} ({name})" for kind, name in types.items())
        raise WorkloadError(
            "the parameters of a model must all be float32, or all float64, got "
            f"{' and '.join(named)}; convert them in model(), and activations in forward(); for "
            'faster arithmetic set compute.precision = "bf16" in the study file'
        )
    return model


def _refuse_shared_memory(model: nn.Module) -> None:
    """Refuse parameters without values, and two that share memory: training would separate them."""
    owners: dict[int, str] = {}
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise WorkloadError(
                f"a model must have all its parameters, got {name} without a shape; give lazy "
                "modules their sizes, as Linear(20, 10) for LazyLinear(10)"
            )
        if parameter.numel() and not parameter.is_meta:
            other = owners.setdefault(parameter.data_ptr(), name)
            if other != name:
                raise WorkloadError(
                    f"parameters must not share memory, got {other} and {name}; tie them as one "
                    "parameter, such as b.weight = a.weight in place of b.weight.data"
                )


def sound_number(name: str, value: object) -> float:
    """Return an untrained model's loss or error as a number; refuse all but one finite number."""
    if not isinstance(value, Tensor):
        got, remedy = f"{value!r:.100}", "return the tensor itself, not float() or item() of it"
    elif value.numel() != 1 or value.dtype in _NOT_REAL:
        got, remedy = f"shape {tuple(value.shape)} of {value.dtype}", "return the mean"
    elif math.isfinite(number := float(value.detach())):
        return number
    else:
        got, remedy = str(number), "look for such values in the data and in model()"
    raise WorkloadError(
        f"the workload's {name} must be one finite number in a tensor before training, got {got}; "
        f"{remedy}"
    )


def augmented(workload: Workload, batch: Examples) -> Examples:
    """Return a training batch after the workload's `augment`, if it has one; check the size."""
    augment = getattr(workload, "augment", None)
    if augment is None:
        return batch
    made = augment(batch)
    if not isinstance(made, Examples) or made.size != batch.size:
        got = f"{made.size}" if isinstance(made, Examples) else f"{type(made).__name__}"
        raise WorkloadError(
            f"`augment` must return Examples, as many as the {batch.size} of the batch, got {got}; "
            "write return batch._replace(inputs=...)"
        )
    return made


def sound_error(target: Target, error: float) -> None:
    """Refuse an error outside [0, 1], up to rounding, if the target is on an error."""
    outside = error < -_ROUNDING or error > 1 + _ROUNDING
    if target.quantity == "error" and outside and math.isfinite(error):
        raise WorkloadError(
            f"error must lie in [0, 1], got {error:.4g}; scale it, or write "
            f'Target({target.value:g}, quantity="loss")'
        )


def gradient(loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the dense gradient of a loss for each parameter; 0 where the loss does not use it."""
    # not backward(): a loss may call zero_grad(), which would drop the gradients
    pieces = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return [piece.to_dense() for piece in pieces]


def copied(examples: Examples) -> Examples:
    """Return examples with tensors and containers of their own."""
    own: Examples = mapped(Tensor.clone, examples)
    return own


def quantities(workload: Workload, model: nn.Module, examples: Examples) -> dict[str, Tensor]:
    """Return a workload's further measured quantities on some examples; refuse all but scalars."""
    measure = getattr(workload, "quantities", None)
    measured = {} if measure is None else measure(model, examples)
    if not isinstance(measured, Mapping):
        raise WorkloadError(
            f"`quantities` must return a dict of scalar tensors by name, got {measured!r:.100}"
        )
    for name, value in measured.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.numel() != 1:
            raise WorkloadError(
                "`quantities` must return a scalar tensor for each name, got "
                f"{value!r:.100} for {name!r}; take the mean, and keep it a tensor"
            )
    return {name: value.reshape(()).float() for name, value in measured.items()}


def quantity(workload: Workload, name: str) -> Measure:
    """Return a function that measures one of a workload's `quantities`."""
    return lambda model, examples: quantities(workload, model, examples)[name]
