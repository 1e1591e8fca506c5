"""What an optimizer is: a rule for all lanes at once, and the step that is made of it for a model.

Parameters of all lanes stand in one tensor of shape (lanes, parameters), so a rule is a few
in-place operations whatever the model; every hyperparameter has shape (lanes, 1).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from study.config.space import Hyperparameter

Shapes = tuple[tuple[int, ...], ...]
"""The shape of each parameter tensor of a model, none empty, in their order in the flat vector."""

WEIGHT_DECAY = Hyperparameter(default=0.0, low=0.0)
"""Coupled (L2): added to the gradient, g + weight_decay p; 0 is off."""
CLIP_NORM = Hyperparameter(default=0.0, low=0.0)
"""Greatest norm of a lane's whole gradient, clipped as torch does; 0 is off."""


@dataclass(frozen=True, slots=True)
class State:
    """All lanes at one step, as a rule sees and changes them.

    Attributes:
        parameters: shape (lanes, parameters).
        gradients: of the same shape; a rule may overwrite them.
        buffers: by name; of the same shape, or (lanes, 1) for counters.
        values: hyperparameters by name, each (lanes, 1); `lr` as scheduled for this step.
        shapes: of the parameter tensors.
    """

    parameters: Tensor
    gradients: Tensor
    buffers: Mapping[str, Tensor]
    values: Mapping[str, Tensor]
    shapes: Shapes

    def tensors(self, flat: Tensor) -> list[Tensor]:
        """Gives views of the parameter tensors in a flat one, each (lanes, its size)."""
        return list(torch.split(flat, [prod(shape) for shape in self.shapes], dim=1))

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Gives views of the parameter tensors in a flat one, each (lanes, *its shape)."""
        pairs = zip(self.tensors(flat), self.shapes, strict=True)
        return [tensor.view(-1, *shape) for tensor, shape in pairs]


Update = Callable[[State], None]
"""Takes one step: changes parameters and buffers in place.

Memory must not fail it halfway, for a step that memory fails is taken again: it may allocate about
as much as one parameter tensor, far less than the pass for the gradients has just given back.
It must be a function of the module, or compare equal when made again: programs are kept by it.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """An update rule.

    Attributes:
        hyperparameters: what the rule is tuned by, with default ranges or fixed values.
        buffers: names of its state tensors, each of the parameters' shape, zero at the start.
        update: one step of the rule.
        counters: names of its state tensors of shape (lanes, 1), zero at the start.
        coupled_decay: whether `weight_decay` may be given, to be added to the gradient.
    """

    hyperparameters: Mapping[str, Hyperparameter]
    buffers: tuple[str, ...]
    update: Update
    counters: tuple[str, ...] = ()
    coupled_decay: bool = False

    @property
    def optional(self) -> Mapping[str, Hyperparameter]:
        """What a study may set besides: not part of its search space unless it names them."""
        decay = {"weight_decay": WEIGHT_DECAY} if self.coupled_decay else {}
        extras = decay | {"clip_norm": CLIP_NORM}
        return {name: entry for name, entry in extras.items() if name not in self.hyperparameters}

    def zeros(self, parameters: Tensor) -> dict[str, Tensor]:
        """Gives the state tensors at the start for parameters of shape (lanes, parameters)."""
        buffers = {name: torch.zeros_like(parameters) for name in self.buffers}
        return buffers | {name: torch.zeros_like(parameters[:, :1]) for name in self.counters}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A whole step on given gradients: clipping and coupled decay where asked for, then the rule.

    Equal for equal rules and models, so that a program made for it is found again.

    Attributes:
        update: the rule.
        shapes: of the model's parameter tensors.
        clips: whether gradients are clipped.
        decays: whether coupled decay is added, after clipping as in torch.
    """

    update: Update
    shapes: Shapes
    clips: bool = False
    decays: bool = False

    @classmethod
    def of(cls, optimizer: Optimizer, shapes: Shapes, named: Collection[str]) -> "Step":
        """Gives the step of an optimizer on a model.

        Args:
            optimizer: the rule.
            shapes: of the model's parameter tensors.
            named: hyperparameters that have values; what is optional and not named is left out.

        Returns:
            The step.
        """
        used = optimizer.optional.keys() & set(named)
        return cls(
            update=optimizer.update,
            shapes=tuple(tuple(shape) or (1,) for shape in shapes),
            clips="clip_norm" in used,
            decays="weight_decay" in used,
        )

    def __call__(
        self,
        parameters: Tensor,
        gradients: Tensor,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
    ) -> None:
        """Changes parameters and buffers in place; may overwrite the gradients."""
        if self.clips:
            _clip(gradients, values["clip_norm"])
        if self.decays:
            gradients.addcmul_(parameters, values["weight_decay"])
        self.update(State(parameters, gradients, buffers, values, self.shapes))


def _clip(gradients: Tensor, most: Tensor) -> None:
    """G <- g min(1, most / (|g| + 1e-6)), the norm over all of a lane's parameters."""
    norm = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    scale = (most / (norm + 1e-6)).clamp(max=1.0)
    gradients.mul_(torch.where(most > 0, scale, 1.0))
